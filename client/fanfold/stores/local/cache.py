"""The result cache of this machine: a table beside the event log."""

from __future__ import annotations

import time
from collections.abc import Sequence

from fanfold.models import CacheEntry
from fanfold.stores.local import rows
from fanfold.stores.local.database import Database

#: Keys asked for in one query: SQLite before 3.32 takes 999 values.
_KEYS_PER_QUERY = 900

_RECORD = (
    f"INSERT INTO cache ({rows.CACHE_COLUMNS}) VALUES ({', '.join('?' * 9)})"
    " ON CONFLICT (cache_key) DO UPDATE SET created_at = excluded.created_at, duration_s = excluded.duration_s,"
    " job_id = excluded.job_id, codec = excluded.codec, sha256 = excluded.sha256, size = excluded.size,"
    " inline = excluded.inline, key = excluded.key WHERE excluded.created_at >= cache.created_at"
)


class SqliteResultCache:
    """Results that may serve again, in `fanfold.db`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def lookup(self, keys: Sequence[str], *, max_age_s: float) -> dict[str, CacheEntry]:
        """The entries that exist and are no older than `max_age_s` seconds, by key."""
        oldest = time.time() - max_age_s
        found: list[rows.Row] = []
        with self._database.reading() as connection:
            for start in range(0, len(keys), _KEYS_PER_QUERY):
                some = [rows.hex_to_bytes(key) for key in keys[start : start + _KEYS_PER_QUERY]]
                query = f"SELECT {rows.CACHE_COLUMNS} FROM cache WHERE cache_key IN ({','.join('?' * len(some))})"
                found += connection.execute(f"{query} AND created_at >= ?", (*some, oldest)).fetchall()
        return {entry.key: entry for entry in map(rows.cache_entry, found)}

    def record(self, entries: Sequence[CacheEntry]) -> None:
        """Keep entries; a newer one replaces an older. Raises `StoreFull`."""
        with self._database.writing() as connection:
            connection.executemany(_RECORD, map(rows.cache_row, entries))
