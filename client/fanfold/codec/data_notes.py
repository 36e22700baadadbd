"""How a reader is told that a value, or a part of it, is plain data in place of an object."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import local


class ReadAsDataWarning(UserWarning):
    """A value was read as plain data, for its class is not to be had here."""


_notes = local()


@contextmanager
def noted_plain_data() -> Iterator[list[str]]:
    """What is read as plain data within it stands in a list, in place of the warnings, which all threads share."""
    _notes.noted = noted = list[str]()
    try:
        yield noted
    finally:
        del _notes.noted


@contextmanager
def untold_plain_data() -> Iterator[None]:
    """What is read as plain data within it, to be shown as an input, warns nobody; who notes it still does."""
    if getattr(_notes, "noted", None) is not None:
        yield
        return
    with noted_plain_data():
        yield


def tell(name: str, reason: str) -> None:
    """Say that an object of that name is plain data here, and why."""
    noted: list[str] | None = getattr(_notes, "noted", None)
    if noted is not None:
        noted.append(f"{name} is shown as plain data: {reason}.")
        return
    warnings.warn(
        f"{name} is read as plain data: {reason}. Import or define it before you read the result; or, if you "
        "trust who wrote it, read with `allow_pickle=True`.",
        ReadAsDataWarning,
        stacklevel=3,
    )
