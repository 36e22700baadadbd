"""How a value of the user's is shown in a sentence, also one that Python itself does not write."""

from __future__ import annotations

from reprlib import Repr
from typing import Any


def text_of(value: Any) -> str:
    """`repr(value)`, or what stands for it where that cannot be had."""
    try:
        return repr(value)
    except Exception:  # noqa: BLE001  the user's own `__repr__`, or an integer of more digits than Python writes
        return Shortened().repr(value)


def short(value: Any, width: int = 40) -> str:
    """`repr(value)` in at most `width` characters."""
    printer = Shortened()
    printer.maxstring = printer.maxother = printer.maxlong = width
    text = " ".join(printer.repr(value).split())
    return text if len(text) <= width else f"{text[: width - 3]}..."


class Shortened(Repr):
    """The beginning of what is long, and of each part of it."""

    def repr_int(self, value: int, level: int) -> str:
        """The integer, or how long it is."""
        try:
            return super().repr_int(value, level)
        except ValueError:  # of more digits than Python writes
            return f"<an integer of {value.bit_length():,} bits>"
