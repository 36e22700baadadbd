"""Arrays and pointers of ctypes, each of which has one class, made when it is first asked for."""

from __future__ import annotations

import operator
from typing import Any


def made_of(made: Any) -> tuple[Any, ...] | None:
    """What gives that class, and of what; None for any other class."""
    if type(made).__module__ != "_ctypes" or not isinstance(of := vars(made).get("_type_"), type):
        return None
    import ctypes

    maker: Any = operator.mul if "_length_" in vars(made) else ctypes.POINTER
    args = (of, vars(made)["_length_"]) if "_length_" in vars(made) else (of,)
    return (maker, args) if maker(*args) is made else None
