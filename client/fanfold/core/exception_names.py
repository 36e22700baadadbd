"""Exceptions by name, as `retry_on=` and `Retry(on=...)` are given them. Loaded where a call or a UDF names any."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from typing import Any

from fanfold.errors import InputError


def exception_names(given: Any, argument: str) -> tuple[str, ...]:
    """Exceptions by their full names, as they are told from far away. `argument`: how the caller has given them.

    Raises `InputError` for what names none.
    """
    if isinstance(given, (str, type)) or not isinstance(given, Iterable):
        given = (given,)
    names = []
    for one in given:
        if isinstance(one, str):
            _check_name(one, argument)
            names.append(one)
        elif _is_exception(one):
            names.append(one.__name__ if one.__module__ == "builtins" else f"{one.__module__}.{one.__qualname__}")
        else:
            some = '(ConnectionError, "requests.Timeout")'
            written = argument.replace("...", some) if "..." in argument else f"{argument}={some}"
            raise InputError(
                f"{argument} holds {one!r}, which is not an exception.",
                next_step=f"give exception classes or their names: {written}.",
            )
    return tuple(names)


def _check_name(text: str, argument: str) -> None:
    """Raises `InputError` for what is no name, or nearly one of Python's own: it would match nothing, silently."""
    name = text.split(None, 1)[0] if text.strip() else text
    if not all(part.isidentifier() for part in name.split(".")):
        raise InputError(
            f"{argument} holds {text!r}, which does not begin with the name of an exception.",
            next_step='write the name first, then words of its message: "HTTPError 429".',
        )
    if "." in name or hasattr(builtins, name):
        return
    import difflib

    known = {own.casefold(): own for own, kind in vars(builtins).items() if _is_exception(kind)}
    close = difflib.get_close_matches(name.casefold(), known, n=1, cutoff=0.9)
    if close:
        raise InputError(
            f"{argument} names {name!r}, which Python does not have; did you mean {known[close[0]]!r}?",
            next_step="correct it, or pass the class itself where the exception is your own.",
        )


def _is_exception(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)
