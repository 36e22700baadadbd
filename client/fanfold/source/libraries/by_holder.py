"""Objects that pickle takes for a name, as functions behind a cache are, or methods within their class, of cachetools.

Where nobody finds anything under that name, or the class travels with what it holds, they go as what they are.
"""

from __future__ import annotations

import copyreg
from types import FunctionType, MethodType
from typing import Any

from fanfold.source.modules import is_library


def holder_of(value: Any, made: Any) -> type | None:
    """The class by which a value is found, going by what it says to pickle; None for any other value."""
    if type(made) is not tuple or len(made) < 2 or not isinstance(made[1], tuple):
        return None
    maker, args = made[:2]
    if len(args) == 2 and isinstance(args[0], type) and type(args[1]) is str:
        return args[0] if vars(args[0]).get(args[1]) is value else None
    if type(maker) is not MethodType or any(each is not None for each in args):
        return None
    found_by: Any = maker.__self__  # what a class gives when it is asked for such a thing
    kind = type(found_by)
    if not is_library(str(kind.__module__)) or type(kind.__reduce__) is not FunctionType:
        return None
    return holder_of(found_by, found_by.__reduce__())


def without_its_name(value: Any, kind: type) -> tuple[Any, ...]:
    """What makes an object that pickle takes for a name which only this process has: a function behind a cache."""
    names = copyreg._slotnames(kind)  # type: ignore[attr-defined]
    slots = {name: getattr(value, name) for name in names if hasattr(value, name)}
    own = getattr(value, "__dict__", None)
    return getattr(copyreg, "__newobj__"), (kind,), (own, slots) if slots else own  # noqa: B009 - mangled otherwise
