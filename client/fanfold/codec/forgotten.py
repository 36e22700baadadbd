"""Attributes that a class of the user's adds to what it extends, where that says to pickle only what it has itself.

A date, a `Counter`, a `Decimal` or a path goes to pickle as what makes it; what a class that extends one puts into its
objects beside that is left out.
"""

from __future__ import annotations

from functools import lru_cache
from types import FunctionType
from typing import Any

from fanfold.codec.classes import origin
from fanfold.codec.state_shapes import names_kept, standard_classes

#: What a class has to say how it is pickled.
REDUCERS = ("__reduce__", "__reduce_ex__", "__getstate__", "__getnewargs__", "__getnewargs_ex__")


def forgotten(value: Any, maker: Any, state: Any) -> dict[str, Any]:
    """The attributes that are left out of what an object is made of: by what `__reduce_ex__` calls, and its state."""
    kind: Any = type(value)
    if not forgets(kind) or any(type(each) is dict for each in (state if type(state) is tuple else (state,))):
        return {}
    own: dict[str, Any] = value.__dict__
    is_made = maker is kind or getattr(maker, "__name__", "") == "__newobj__"
    if not own or (not is_made and _says_in_python(kind)):  # a logger is looked up, and has all that is its own
        return {}
    known = names_kept(standard_classes(kind))
    return {name: each for name, each in own.items() if name not in known}


@lru_cache(maxsize=1024)
def forgets(kind: Any) -> bool:
    """Whether a class of the user's leaves it to one in C, or of the standard library, to say how it is pickled."""
    if not isinstance(kind.__module__, str) or origin(kind.__module__) != "own" or "_member_map_" in vars(kind):
        return False  # an Enum's members are its class's
    if not any("__dict__" in vars(base) for base in kind.__mro__):
        return False
    owner = _who_says(kind)
    return owner is not None and (not _says_in_python(kind) or origin(owner.__module__) == "stdlib")


def _who_says(kind: Any) -> Any:
    """The class that says how objects of a class are pickled; None where Python does.

    What `__new__` is to be given, only Python itself asks for: a class in C with a `__reduce__` of its own does not.
    """
    is_python_s = kind.__reduce__ is object.__reduce__ and kind.__reduce_ex__ is object.__reduce_ex__
    names = REDUCERS if is_python_s else REDUCERS[:3]
    return next((base for base in kind.__mro__[:-1] if any(name in vars(base) for name in names)), None)


def _says_in_python(kind: Any) -> bool:
    said = vars(_who_says(kind))
    return any(isinstance(said.get(name), FunctionType) for name in REDUCERS)


def object_again(kind: Any, state: Any, attributes: dict[str, Any]) -> Any:
    """An object of a class that sets its state, with what its own attributes are besides."""
    made = kind.__new__(kind)
    made.__setstate__(state)
    vars(made).update(attributes)
    return made
