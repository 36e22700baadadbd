"""Making a new store of what can still be read in a damaged `fanfold.db`, whose name says where the old one is.

SQLite gives up at the first page that it cannot follow, and reads nothing at all where the first page of the file is
gone. Here every page is looked at by itself, as https://sqlite.org/fileformat2.html says, the log that belongs to the
file included. Pages that no table leads to are taken only where a page that could lead to them is damaged: what has
been removed stays removed. Whatever a page tells is compared with what it has to be, and dropped where it is not.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fanfold.contract.records import NamedTuple
from fanfold.core.models import TELEMETRY, CacheEntry, JobHeader
from fanfold.errors import StoreError
from fanfold.stores.disk import disk_errors, sync_path
from fanfold.stores.local import LocalStores, adding
from fanfold.stores.local.log import ROWS_PER_JOB
from fanfold.stores.local.upgrading import entries_of_rows
from fanfold.stores.packing import COLUMNS, header_from_text, unpack, unpack_entries
from fanfold.stores.state import read_state

#: What a page begins with that is a leaf of a table, or leads to such.
_LEAF, _INTERIOR = 0x0D, 0x05
#: The file's header, which the first page begins with; and what SQLite makes pages of since 2016.
_HEADER_BYTES, _PAGE_BYTES = 100, 4096
_LOG_HEADER_BYTES, _FRAME_BYTES = 32, 24
#: Which table a row is of, by how many columns it has.
_COLUMNS_OF_JOBS, _COLUMNS_OF_PAGES, _COLUMNS_OF_CACHE, _COLUMNS_OF_OLDER_CACHE = 5, 7, 13, 10
#: Where SQLite locks a file that it has open, for as long as it has: how many bytes, and where they begin.
_LOCKED_BYTES = (510, 0x40000002)
#: Integers by their serial type: how many bytes they take.
_INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_REAL, _ZERO, _ONE = 7, 8, 9

_Row = tuple[int, list[Any]]


class Salvaged(NamedTuple):
    """What came of it: ids of the jobs that are there again, of those that are not, and of those that lack something.

    `results`: how many results the cache has again. `damaged`: where the damaged file is now.
    """

    jobs: list[str]
    lost: list[str]
    incomplete: list[str]
    results: int
    damaged: Path


class _Damage(Exception):
    """A page or a record is not what it has to be."""


def salvage(home: Path) -> Salvaged:
    """Put a new `fanfold.db` in place of the one in `home`, with all that can be read there; the old one is kept.

    Nobody else may use the home meanwhile. Raises `StoreError`.
    """
    path, new = home / "fanfold.db", home / "salvaged"
    if not path.exists():
        raise StoreError(f"There is no {path}.", next_step="see which folder FANFOLD_HOME names.")
    with disk_errors(home), _held(path):
        _remove_database(new / path.name)
        new.mkdir(mode=0o700, exist_ok=True)
        rows = _sorted_rows(_read(path))
        told = _write(rows, LocalStores.open(new), home)
        damaged = path.with_name(f"fanfold.db.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
        for part in ("-wal", "-shm", ""):
            file = path.with_name(f"{path.name}{part}")
            if file.exists():
                file.rename(f"{damaged}{part}")
        (new / path.name).rename(path)
        sync_path(home)
        for folder in (new / "objects", new / "scratch", new):
            folder.rmdir()
    return told._replace(damaged=damaged)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold the file as SQLite does that lets nobody else in. Raises `StoreError` where somebody has it open."""
    with path.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, *_LOCKED_BYTES)
        except (BlockingIOError, PermissionError):
            raise StoreError(
                f"{path} is in use by another process.",
                next_step=f"end whatever uses it (`fuser {path}` names it), then call again.",
            ) from None
        yield


def _remove_database(path: Path) -> None:
    for part in ("", "-wal", "-shm"):
        path.with_name(f"{path.name}{part}").unlink(missing_ok=True)


# Reading: pages, what leads to them, and the records on them.


class _File:
    """The pages of a database file, with what its log has changed of them."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        self.page_bytes = _page_bytes(data)
        self._data = data
        self._changed = dict(_logged(path.with_name(f"{path.name}-wal"), self.page_bytes))
        self.count = max([-(-len(data) // self.page_bytes), *self._changed])

    def page(self, number: int) -> bytes:
        """A page, counted from 1. Raises `_Damage` for one that is not there."""
        if number in self._changed:
            return self._changed[number]
        start = (number - 1) * self.page_bytes
        page = self._data[start : start + self.page_bytes] if number > 0 else b""
        if len(page) < self.page_bytes:
            raise _Damage(number)
        return page

    def kind(self, number: int) -> int:
        """What kind of page it is."""
        return self.page(number)[_begin(number)]

    def children(self, number: int) -> Iterator[int]:
        """The pages that an interior page leads to, in their order."""
        page, begin = self.page(number), _begin(number)
        for at in _cells(page, begin, 12):
            yield _integer(page, at, 4)
        yield _integer(page, begin + 8, 4)

    def rows(self, number: int) -> Iterator[_Row]:
        """The rows of a leaf that can be read: the number of each, and its values."""
        page = self.page(number)
        for at in _cells(page, _begin(number), 8):
            try:
                yield self._row(page, at)
            except (_Damage, IndexError, UnicodeDecodeError):
                continue

    def _row(self, page: bytes, at: int) -> _Row:
        size, at = _varint(page, at)
        number, at = _varint(page, at)
        usable = self.page_bytes
        most, least = usable - 35, (usable - 12) * 32 // 255 - 23
        fit = least + (size - least) % (usable - 4)
        here = size if size <= most else fit if fit <= most else least
        payload, then = page[at : at + here], _integer(page, at + here, 4) if here < size else 0
        parts, left = [payload], size - len(payload)
        for _ in range(self.count if left > 0 else 0):
            if left <= 0:
                break
            more = self.page(then)
            parts.append(more[4 : 4 + left])
            then, left = _integer(more, 0, 4), left - len(parts[-1])
        if left:
            raise _Damage(number)
        return _signed(number), list(_values(b"".join(parts)))


def _page_bytes(data: bytes) -> int:
    told = int.from_bytes(data[16:18], "big")
    size = 65536 if told == 1 else told
    return size if data.startswith(b"SQLite format 3\0") and size >= 512 and not size & (size - 1) else _PAGE_BYTES


def _logged(path: Path, page_bytes: int) -> Iterator[tuple[int, bytes]]:
    """The pages that the log has, up to its last commit."""
    log = path.read_bytes() if path.exists() else b""
    salts, waiting = log[16:24], []
    for at in range(_LOG_HEADER_BYTES, len(log) - _FRAME_BYTES - page_bytes + 1, _FRAME_BYTES + page_bytes):
        if log[at + 8 : at + 16] != salts:  # of before the log was begun anew
            return
        waiting.append((_integer(log, at, 4), log[at + _FRAME_BYTES : at + _FRAME_BYTES + page_bytes]))
        if _integer(log, at + 4, 4):
            yield from waiting
            waiting = []


def _begin(number: int) -> int:
    return _HEADER_BYTES if number == 1 else 0


def _cells(page: bytes, begin: int, header_bytes: int) -> Iterator[int]:
    count = min(_integer(page, begin + 3, 2), len(page) // 2)
    for at in range(begin + header_bytes, begin + header_bytes + 2 * count, 2):
        where = _integer(page, at, 2)
        if begin + header_bytes + 2 * count <= where < len(page):
            yield where


def _values(record: bytes) -> Iterator[Any]:
    head, at = _varint(record, 0)
    body, types = head, []
    while at < head:
        kind, at = _varint(record, at)
        types.append(kind)
    for kind in types:
        size = _INTEGER_BYTES.get(kind, 8 if kind == _REAL else max(kind - 12, 0) // 2)
        part = record[body : body + size]
        if len(part) < size:
            raise _Damage(kind)
        yield _value(kind, part)
        body += size


def _value(kind: int, part: bytes) -> Any:
    if kind == _REAL:
        return struct.unpack(">d", part)[0]
    if kind in (_ZERO, _ONE):
        return kind - _ZERO
    if kind in _INTEGER_BYTES:
        return int.from_bytes(part, "big", signed=True)
    if kind < 12:
        return None
    return part.decode() if kind % 2 else part


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(at, at + 8):
        value = value << 7 | data[place] & 0x7F
        if data[place] < 0x80:
            return value, place + 1
    return value << 8 | data[at + 8], at + 9


def _integer(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number


def _read(path: Path) -> Iterator[_Row]:
    """Every row of every table that can be found: first what tables lead to, then what nothing leads to any more."""
    file = _File(path)
    leaves, seen, whole = _leaves(file)
    if not whole:
        free = set(_free(file))
        leaves += [number for number in range(1, file.count + 1) if number not in seen and number not in free]
    for number in leaves:
        try:
            if file.kind(number) == _LEAF:
                yield from file.rows(number)
        except (_Damage, IndexError):
            continue


def _leaves(file: _File) -> tuple[list[int], set[int], bool]:
    """The leaves that the file's tables lead to, all pages seen on the way, and whether every way was whole."""
    leaves: list[int] = []
    seen: set[int] = set()
    whole, roots = True, [1]
    while roots:
        todo = [roots.pop(0)]
        is_schema = todo == [1]
        while todo:
            number = todo.pop()
            if number in seen:
                whole = False
                continue
            seen.add(number)
            try:
                kind = file.kind(number)
                if kind == _INTERIOR:
                    todo += reversed(list(file.children(number)))
                elif kind == _LEAF:
                    leaves.append(number)
                    roots += _roots(file, number) if is_schema else []
                else:
                    whole = False
            except (_Damage, IndexError):
                whole = False
    return leaves, seen, whole and len(seen) > 1


def _roots(file: _File, number: int) -> Iterator[int]:
    for _, values in file.rows(number):
        is_table = len(values) == _COLUMNS_OF_JOBS and values[0] == "table" and isinstance(values[3], int)
        if is_table and "WITHOUT ROWID" not in str(values[4]):
            yield values[3]


def _free(file: _File) -> Iterator[int]:
    """The pages that the file lists as free, which hold what has been removed."""
    seen: set[int] = set()
    try:
        trunk = _integer(file.page(1), 32, 4)
        while trunk and trunk not in seen:
            seen.add(trunk)
            yield trunk
            page = file.page(trunk)
            for at in range(8, 8 + 4 * min(_integer(page, 4, 4), len(page) // 4), 4):
                yield _integer(page, at, 4)
            trunk = _integer(page, 0, 4)
    except _Damage:
        return


# Writing: what has been found, where it proves to be what it says.


class _Rows(NamedTuple):
    jobs: dict[int, tuple[JobHeader, list[Any]]]
    pages: dict[str, dict[int, list[Any]]]
    cache: list[CacheEntry]
    #: Ids of jobs whose header can be read no more.
    lost: set[str]


def _sorted_rows(found: Iterable[_Row]) -> _Rows:
    rows = _Rows({}, {"state": {}, "telemetry": {}}, [], set())
    later = []
    for number, values in found:
        if values[:1] != [None]:
            continue  # of the file's own schema
        if len(values) == _COLUMNS_OF_JOBS:
            _note_job(rows, number, values)
        elif len(values) == _COLUMNS_OF_PAGES:
            later.append((number, values))
        else:
            rows.cache.extend(_entries(values))
    for number, values in later:
        _note_page(rows, number, values)
    rows.lost.difference_update(header.id for header, _ in rows.jobs.values())
    return rows


def _note_job(rows: _Rows, number: int, values: list[Any]) -> None:
    if not isinstance(values[1], str):
        return
    try:
        header = header_from_text(str(values[3]).encode(), cancelled_at=values[4])
    except StoreError:
        rows.lost.add(values[1])
        return
    if header.id == values[1]:
        rows.jobs.setdefault(number, (header, values))


def _note_page(rows: _Rows, number: int, values: list[Any]) -> None:
    job, place = rows.jobs.get(number // ROWS_PER_JOB), number % ROWS_PER_JOB
    if job is None or not place:
        return
    try:
        events = list(unpack(job[0].id, tuple(values[2:])))
    except StoreError:
        return
    if events and len(events) == values[1]:
        table = "telemetry" if events[0].kind in TELEMETRY else "state"
        rows.pages[table].setdefault(number, values)


def _entries(values: list[Any]) -> list[CacheEntry]:
    """The entries of the cache that a row has, if it is of a kind that has such."""
    try:
        if len(values) == _COLUMNS_OF_CACHE:
            return unpack_entries(values[6:])
        return entries_of_rows([values[1:]]) if len(values) == _COLUMNS_OF_OLDER_CACHE else []
    except (StoreError, TypeError, ValueError, AttributeError):
        return []


def _write(rows: _Rows, stores: LocalStores, home: Path) -> Salvaged:
    with stores, stores.database.writing() as connection:
        for number, (_, values) in sorted(rows.jobs.items()):
            connection.execute("INSERT INTO jobs VALUES (?, ?, ?, ?, ?)", (number, *values[1:]))
        for table, pages in rows.pages.items():
            query = f"INSERT INTO {table} (row, events, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"
            connection.executemany(query, ((number, *values[1:]) for number, values in sorted(pages.items())))
        adding(rows.cache)(connection)
    with stores, stores.database.reading() as connection:
        incomplete = sorted(_incomplete(rows, stores))
        results = stores.cache.usage()[0]
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    sync_path(stores.database.path)
    kept = [header.id for header, _ in rows.jobs.values()]
    lost = (rows.lost | set(_ids_on_disk(home))).difference(kept)
    return Salvaged(sorted(kept), sorted(lost), incomplete, results, home)


def _ids_on_disk(home: Path) -> list[str]:
    """Jobs whose inputs are there."""
    folder = home / "objects" / "jobs"
    return os.listdir(folder) if folder.exists() else []


def _incomplete(rows: _Rows, stores: LocalStores) -> Iterator[str]:
    """Jobs of which pages are missing, which are numbered from 1 without a gap, or runs without an end."""
    places: dict[int, list[int]] = defaultdict(list)
    for number in rows.pages["state"]:
        places[number // ROWS_PER_JOB].append(number % ROWS_PER_JOB)
    for number, (header, _) in rows.jobs.items():
        has_gap = len(places[number]) < max(places[number], default=1)
        if has_gap or not read_state(stores.log, header).done:
            yield header.id
