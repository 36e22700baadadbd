"""Why one input does not fit. A rejection never leaves this package: it becomes a line of an `InputError`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class Rejection(Exception):
    """One input's offence: which parameter, what it was given, and why that will not do."""

    def __init__(self, reason: str, *, parameter: str = "", value: Any = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.parameter = parameter
        self.value = value


def unknown_name(name: Any, value: Any, known: Iterable[str], *, whole: str | None = None) -> Rejection:
    """The rejection of a name that is no parameter, with the one that was perhaps meant.

    `whole` is the parameter that may have been meant to take the whole dict.
    """
    import difflib

    known = tuple(known)
    close = difflib.get_close_matches(str(name), known, n=1)
    if close:
        hint = f"did you mean {close[0]!r}?"
    elif whole is not None:
        hint = f'a dict is keyword arguments; to pass it whole: {{"{whole}": {{...}}}}'
    elif known:
        hint = f"it takes {', '.join(known)}"
    else:
        hint = "it takes none"
    return Rejection(f"there is no such parameter; {hint}", parameter=str(name), value=value)


def short(value: Any, width: int = 40) -> str:
    """`repr(value)` in at most `width` characters."""
    import reprlib

    printer = reprlib.Repr()
    printer.maxstring = printer.maxother = printer.maxlong = width
    text = " ".join(printer.repr(value).split())
    return text if len(text) <= width else f"{text[: width - 3]}..."
