"""Takes jobs away for good, with all that is kept for them alone: how disk is freed on this machine."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fanfold.errors import StoreError
from fanfold.stores.keys import bundle_key, inputs_key
from fanfold.stores.local.log import ROWS_PER_JOB, Database
from fanfold.stores.local.objects import FileObjectStore
from fanfold.stores.packing import header_from_text, object_keys

#: Large arguments and global values are referred to by their sha256, wherever they stand.
_SHA256 = re.compile(rb"[0-9a-f]{64}")
#: Jobs named in one query: SQLite before 3.32 takes 999 values.
_JOBS_PER_QUERY = 500
#: Free pages worth writing the database anew for: it takes as much room again while it lasts.
_FREE_SHARE = 0.25


def remove_jobs(database: Database, objects: FileObjectStore, job_ids: Sequence[str]) -> int:
    """Take away these jobs, the results that they computed for the cache, and what nothing refers to any more.

    Returns the bytes of files that were freed. Ids that no job has are passed over. Raises `StoreFull`, with what there
    was in files freed by then: again, it goes on.
    """
    with database.reading() as connection:
        numbers = _numbers(connection, job_ids)
        wanted = {key for number in numbers.values() for key in _results_of(connection, number)}
        wanted.update(_cached_by(connection, numbers))
        wanted.difference_update(referred_to(connection, but_jobs=numbers))
    # Files first: on a full disk there is no room even for the note that rows are gone.
    freed = sum(_delete(objects, key) for key in wanted)
    for job_id in numbers:
        folder = objects.path(inputs_key(job_id)).parent
        freed += sum(size_of(path) for path in folder.rglob("*"))
        shutil.rmtree(folder, ignore_errors=True)
    with database.writing() as connection:
        for which, ids in _of_jobs(numbers):
            forget_pages(connection, which, ids)
        for number in numbers.values():
            _delete_rows(connection, number)
    freed += sum(_delete(objects, key) for key in _needless_sources(database, objects))
    freed += sweep(database, objects)
    _compact(database)
    return freed


def _numbers(connection: sqlite3.Connection, job_ids: Sequence[str]) -> dict[str, int]:
    """The number of each of these jobs, by which its rows are found."""
    found = (
        (job_id, connection.execute("SELECT number FROM jobs WHERE id = ?", (job_id,)).fetchone()) for job_id in job_ids
    )
    return {job_id: int(row[0]) for job_id, row in found if row is not None}


def _results_of(connection: sqlite3.Connection, number: int) -> Iterator[str]:
    own = (number * ROWS_PER_JOB, (number + 1) * ROWS_PER_JOB)
    query = "SELECT notes FROM state WHERE row > ? AND row < ? AND notes IS NOT NULL"
    for (notes,) in connection.execute(query, own):
        yield from object_keys(notes)


def _cached_by(connection: sqlite3.Connection, job_ids: Iterable[str]) -> Iterator[str]:
    for which, ids in _of_jobs(job_ids):
        for (notes,) in connection.execute(f"SELECT notes FROM cache_pages WHERE notes IS NOT NULL AND {which}", ids):
            yield from object_keys(notes)


def _of_jobs(job_ids: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """What chooses the pages of the cache that these jobs have filled, and its values: some jobs at a time."""
    ids = list(job_ids)
    for start in range(0, len(ids), _JOBS_PER_QUERY):
        some = ids[start : start + _JOBS_PER_QUERY]
        yield f"job_id IN ({','.join('?' * len(some))})", some


def forget_pages(connection: sqlite3.Connection, which: str, values: Sequence[Any]) -> None:
    """Take pages away from the cache, with what the index has of them; `which` chooses them."""
    connection.execute(f"DELETE FROM cached WHERE page IN (SELECT page FROM cache_pages WHERE {which})", values)
    connection.execute(f"DELETE FROM cache_pages WHERE {which}", values)


def _delete_rows(connection: sqlite3.Connection, number: int) -> None:
    for table in ("state", "telemetry"):
        own = (number * ROWS_PER_JOB, (number + 1) * ROWS_PER_JOB)
        connection.execute(f"DELETE FROM {table} WHERE row > ? AND row < ?", own)
    connection.execute("DELETE FROM briefs WHERE number = ?", (number,))
    # Its number stays taken: a process that has held on to the job must not write into the rows of another.
    connection.execute("UPDATE jobs SET id = NULL, owner = NULL, header = NULL WHERE number = ?", (number,))


def _needless_sources(database: Database, objects: FileObjectStore) -> Iterator[str]:
    """The keys of bundles, large arguments and global values that no job needs any more."""
    candidates = {
        f"{kind}/{path.name}": path
        for kind in ("udf", "blobs")
        for path in (objects.root / kind).glob("*")
        if is_settled(path)
    }
    if not candidates:
        return
    with database.reading() as connection:
        texts = [text for (text,) in connection.execute("SELECT CAST(header AS BLOB) FROM jobs WHERE id IS NOT NULL")]
    for header in (header_from_text(text, cancelled_at=None) for text in texts):  # one damaged: nothing is needless
        bundles = [bundle_key(sha256) for sha256 in (header.bundle_sha256, *header.fixed_bundles)]
        for bundle in bundles:
            candidates.pop(bundle, None)
        for name in {
            *_names_in(objects, [*bundles, inputs_key(header.id)]),
            *_SHA256.findall(header.constants.encode()),
        }:
            candidates.pop(f"blobs/{name.decode()}", None)
    yield from (key for key, path in candidates.items() if is_settled(path))


def _names_in(objects: FileObjectStore, keys: Iterable[str]) -> Iterator[bytes]:
    for key in keys:
        with suppress(FileNotFoundError), objects.path(key).open("rb") as file:
            for line in file:
                yield from _SHA256.findall(line)


def _delete(objects: FileObjectStore, key: str) -> int:
    size = size_of(Path(objects.path(key)))
    objects.delete([key])
    return size


def _compact(database: Database) -> None:
    """Give the database's free pages back to the disk, where there is room to write it anew."""
    with suppress(StoreError), database.reading() as connection:
        pages, free = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count")
        )
        if free > pages * _FREE_SHARE and 2 * size_of(database.path) < shutil.disk_usage(database.path.parent).free:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


# Deletes result objects that nothing refers to: left by lost attempts, and by cache entries that were
# forgotten.

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
    for notes, job_id in connection.execute("SELECT notes, job_id FROM cache_pages WHERE notes IS NOT NULL"):
        if job_id not in but_jobs:
            yield from object_keys(notes)
    for row, notes in connection.execute("SELECT row, notes FROM state WHERE notes IS NOT NULL"):
        if row // ROWS_PER_JOB not in numbers:
            yield from object_keys(notes)
