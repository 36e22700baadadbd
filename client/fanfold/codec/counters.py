"""Where an `itertools.count` stands: since Python 3.14 it says so to nobody but a reader."""

from __future__ import annotations

from itertools import count
from typing import Any

_NUMBERS = (int, float)


def stands_at(counter: Any) -> tuple[Any, ...] | None:
    """What makes a counter that goes on like this one; None where its text does not say that exactly."""
    from ast import literal_eval

    try:
        given: tuple[Any, ...] = literal_eval(f"({repr(counter).removeprefix('count(').removesuffix(')')},)")
    except (ValueError, SyntaxError):  # of fractions, of an infinite number
        return None
    return given if all(type(each) in _NUMBERS for each in given) and repr(count(*given)) == repr(counter) else None
