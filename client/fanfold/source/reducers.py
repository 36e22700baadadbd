"""What a class says of how its objects are pickled, and what is left out where it says nothing itself."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from fanfold.source.modules import is_library

#: What a class has to say how it is pickled.
REDUCERS = ("__reduce__", "__reduce_ex__", "__getstate__", "__getnewargs__", "__getnewargs_ex__")
#: Of a class that a statement has made.
_HEAP_TYPE = 1 << 9


def forgotten(value: Any, state: Any) -> dict[str, Any]:
    """The attributes that a base in C leaves out of the state of an object: of an array's, or a date's, subclass."""
    kind: Any = type(value)
    if not forgets(kind) or any(type(each) is dict for each in (state if type(state) is tuple else (state,))):
        return {}
    own: dict[str, Any] = value.__dict__
    return own


@lru_cache(maxsize=1024)
def forgets(kind: Any) -> bool:
    """Whether a class of the user's leaves it to a base in C to say how its objects are pickled."""
    if is_library(kind.__module__) or "_member_map_" in vars(kind):  # an Enum's members are its class's
        return False
    if not any("__dict__" in vars(base) for base in kind.__mro__):
        return False
    for base in kind.__mro__[:-1]:
        if any(name in vars(base) for name in REDUCERS):
            return not base.__flags__ & _HEAP_TYPE
    return False


def says_nothing(kind: Any) -> bool:
    """Whether a class of the user's, and all that it extends, leave it to Python to say how its objects are pickled."""
    above = kind.__mro__[:-1]
    return not any(is_library(str(base.__module__)) or any(name in vars(base) for name in REDUCERS) for base in above)
