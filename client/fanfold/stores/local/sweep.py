"""Deletes result objects that nothing refers to: left by lost attempts, and by cache entries that were forgotten."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from fanfold.stores.local.database import ROWS_PER_JOB, Database
from fanfold.stores.local.objects import FileObjectStore
from fanfold.stores.pages import object_keys

#: A result is stored a moment before the event that refers to it. Nothing written or found again this recently goes.
_IN_FLIGHT_S = 3600.0


def sweep(database: Database, objects: FileObjectStore) -> int:
    """Delete what nothing refers to; returns the bytes that were freed.

    The objects are listed before the references are read: what is referred to in between was not yet listed, or is
    too new to go.
    """
    unwanted = {
        path.relative_to(objects.root).as_posix() for path in _files(objects.root / "results") if is_settled(path)
    }
    with database.reading() as connection:
        unwanted.difference_update(referred_to(connection))
    freed = 0
    for key in unwanted:
        path = objects.path(key)
        if is_settled(path):  # still: it may have been found again meanwhile
            freed += size_of(path)
            objects.delete([key])
    _sweep_scratch(objects.scratch)
    return freed


def _sweep_scratch(scratch: Path) -> None:
    """Delete what a process that was killed has half written. A pool's folder is its own, and may live for weeks."""
    for path in scratch.glob("*"):
        if path.is_file() and _older(path, time.time() - _IN_FLIGHT_S - 24 * 3600):
            path.unlink(missing_ok=True)


def _files(directory: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(directory):
        yield from (Path(parent, name) for name in names)


def _older(path: Path, than: float) -> bool:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime < than
    return False


def is_settled(path: Path) -> bool:
    """Whether a file is there and old enough that nobody is just about to refer to it."""
    return _older(path, time.time() - _IN_FLIGHT_S)


def size_of(path: Path) -> int:
    """Bytes of a file; none where there is no file."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0


def referred_to(connection: sqlite3.Connection, *, but_jobs: Mapping[str, int] = MappingProxyType({})) -> Iterator[str]:
    """The keys of all results that jobs or the cache refer to, as if `but_jobs` (numbers by id) were not there."""
    numbers = frozenset(but_jobs.values())
    for key, job_id in connection.execute("SELECT key, job_id FROM cache WHERE key IS NOT NULL"):
        if job_id not in but_jobs:
            yield key
    for row, notes in connection.execute("SELECT row, notes FROM state WHERE notes IS NOT NULL"):
        if row // ROWS_PER_JOB not in numbers:
            yield from object_keys(notes)
