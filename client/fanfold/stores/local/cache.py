"""The result cache of this machine: a table beside the event log."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from fanfold.core.hex_packing import compact, expand
from fanfold.core.models import CacheEntry, Output
from fanfold.stores.local.database import Database
from fanfold.stores.local.objects import FileObjectStore
from fanfold.stores.local.removal import sweep

#: Keys asked for in one query: SQLite before 3.32 takes 999 values.
_KEYS_PER_QUERY = 500

_COLUMNS = "cache_key, created_at, duration_s, job_id, codec, sha256, size, inline, key"
_RECORD = f"""
INSERT INTO cache (slot, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (slot) DO UPDATE SET
  ({_COLUMNS}) = ({", ".join(f"excluded.{name}" for name in _COLUMNS.split(", "))})
WHERE excluded.created_at >= cache.created_at
"""


class SqliteResultCache:
    """Results that may serve again, in `fanfold.db`."""

    def __init__(self, database: Database, objects: FileObjectStore) -> None:
        self._database = database
        self._objects = objects

    def lookup(self, keys: Sequence[str], *, max_age_s: float) -> dict[str, CacheEntry]:
        """The entries that exist and are no older than `max_age_s` seconds, by key."""
        asked, oldest = set(keys), time.time() - max_age_s
        slots = sorted(map(_slot, asked))  # neighbours share a page of the file
        found: dict[str, CacheEntry] = {}
        with self._database.reading() as connection:
            for start in range(0, len(slots), _KEYS_PER_QUERY):
                some = slots[start : start + _KEYS_PER_QUERY]
                query = f"SELECT {_COLUMNS} FROM cache WHERE slot IN ({','.join('?' * len(some))}) AND created_at >= ?"
                for row in connection.execute(query, (*some, oldest)):
                    key = expand(row[0])
                    if key in asked:  # else another key of the same slot
                        found[key] = _entry(key, row)
        return found

    def record(self, entries: Sequence[CacheEntry]) -> None:
        """Keep entries; a newer one replaces an older. Raises `StoreFull`."""
        if not entries:
            return
        with self._database.writing() as connection:
            connection.executemany(_RECORD, sorted(map(_row, entries), key=itemgetter(0)))

    def forget(self, keys: Sequence[str]) -> None:
        """Take entries away, such as one whose result turned out damaged."""
        with self._database.writing() as connection:
            connection.executemany("DELETE FROM cache WHERE slot = ?", [(_slot(key),) for key in keys])

    def usage(self) -> tuple[int, int]:
        """How many results are cached, and how many bytes they have together."""
        with self._database.reading() as connection:
            entries, size = connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM cache").fetchone()
        return int(entries), int(size)

    def clear(self, older_than_s: float | None = None) -> tuple[int, int]:
        """Forget cached results (only those older than `older_than_s` seconds) and delete what nothing needs any more.

        Returns how many entries are forgotten and how many bytes of objects deleted. A result that a job refers to
        stays: the job can still be collected.
        """
        before = math.inf if older_than_s is None else time.time() - older_than_s
        with self._database.writing() as connection:
            forgotten = connection.execute("DELETE FROM cache WHERE created_at < ?", (before,)).rowcount
        return forgotten, sweep(self._database, self._objects)


def _slot(key: str) -> int:
    # A key is a sha256, whose first eight bytes are spread evenly; anything else is spread by another.
    digits = key if len(key) == 64 else hashlib.sha256(key.encode()).hexdigest()
    return int(digits[:16], 16) - (1 << 63)


def _row(entry: CacheEntry) -> tuple[Any, ...]:
    output = entry.output
    about = (entry.created_at, entry.duration_s, entry.job_id)
    return (
        _slot(entry.key),
        compact(entry.key),
        *about,
        output.codec,
        compact(output.sha256),
        output.size,
        output.inline,
        output.key,
    )


def _entry(key: str, row: tuple[Any, ...]) -> CacheEntry:
    _, created_at, duration_s, job_id, codec, sha256, size, inline, object_key = row
    return CacheEntry(key, Output(codec, expand(sha256), size, inline, object_key), created_at, duration_s, job_id)
