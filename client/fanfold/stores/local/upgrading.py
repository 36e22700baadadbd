"""Brings `fanfold.db` of an older Fanfold up to today's format; nothing that it has is lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from fanfold.contract.records import made_of
from fanfold.core.models import CacheEntry, Output, expand
from fanfold.stores.local import adding
from fanfold.stores.local.log import BRIEFS, BRIEFS_SINCE, CACHE_TABLES, SCHEMA_VERSION, version_of

#: Entries that are read and written at once.
_AT_ONCE = 10_000

#: The cache before its entries were kept by pages: a row for each, in the table `cache`.
ROW_COLUMNS = "cache_key, created_at, duration_s, job_id, codec, sha256, size, inline, key"
_ROWS = f"SELECT {ROW_COLUMNS} FROM cache ORDER BY job_id, created_at"


def upgrade(connection: sqlite3.Connection) -> None:
    """From version 1, which had no briefs, and whose events of a job as a whole were all of one kind; and from 2."""
    connection.execute("BEGIN IMMEDIATE")
    version = version_of(connection)
    if version < BRIEFS_SINCE:
        connection.execute(BRIEFS)
    if version < SCHEMA_VERSION:  # else another process was faster
        for statement in CACHE_TABLES:
            connection.execute(statement)
        for entries in _entries_by_row(connection):
            adding(entries)(connection)
        connection.execute("DROP TABLE cache")
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.execute("COMMIT")


def read_as_pages(connection: sqlite3.Connection) -> None:
    """Have a file that can only be read look as if its cache had been brought up to date; again is harmless."""
    if connection.execute("SELECT 1 FROM sqlite_temp_master").fetchone():
        return
    connection.execute("PRAGMA query_only=OFF")
    for statement in CACHE_TABLES:
        connection.execute(statement.replace("CREATE TABLE", "CREATE TEMP TABLE"))
    for entries in _entries_by_row(connection):
        adding(entries)(connection)
    connection.execute("PRAGMA query_only=ON")


def _entries_by_row(connection: sqlite3.Connection) -> Iterator[list[CacheEntry]]:
    rows = connection.execute(_ROWS)
    while some := rows.fetchmany(_AT_ONCE):
        yield entries_of_rows(some)


def entries_of_rows(rows: Sequence[Sequence[Any]]) -> list[CacheEntry]:
    """The entries of such rows."""
    if not rows:
        return []
    keys, made_at, took_s, job_ids, codecs, hashes, sizes, inlines, objects = zip(*rows, strict=True)
    outputs = made_of(Output, (codecs, map(expand, hashes), sizes, inlines, objects), len(rows))
    return made_of(CacheEntry, (map(expand, keys), outputs, made_at, took_s, job_ids), len(rows))
