"""What somebody has done since to the names of a module: bound them again elsewhere, or wrapped what they stand for."""

from __future__ import annotations

import sys
from types import FunctionType
from typing import Any

from fanfold.source.modules import attribute_of, is_library


def wrappers(value: Any) -> int:
    """How many wrappers of the user's are around a function, by what `functools.wraps` says."""
    found = 0
    while isinstance(value, FunctionType) and "__wrapped__" in vars(value) and found < _MOST:
        found += not is_library(str(value.__globals__.get("__name__")))
        value = vars(value)["__wrapped__"]
    return found


#: Of a function that says that it wraps itself there is no end.
_MOST = 100


def is_of_before(function: FunctionType, now: Any) -> bool:
    """Whether a function is that of its module before this was loaded anew."""
    said = (getattr(now, "__module__", None), getattr(now, "__qualname__", None))
    is_current = attribute_of(function.__module__, function.__qualname__) is now
    return is_current and said == (function.__module__, function.__qualname__)


def was_bound_again(module: str, attribute: str, value: Any) -> bool:
    """Whether a module of the project has another value by now than it had when this one was imported."""
    home = sys.modules.get(module)
    if home is None or attribute not in vars(home) or is_library(module, vars(home)):
        return False
    from fanfold.source.drift import same  # which asks this

    now = vars(home)[attribute]
    kinds = (value, now) if isinstance(value, type) else (type(value), type(now))
    if kinds[0] is not kinds[1]:
        return len({(kind.__module__, kind.__qualname__) for kind in kinds}) > 1  # one that was reloaded is no other
    return not same(now, value)
