"""The stores of this machine: one SQLite file and a directory of objects under one home."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from itertools import repeat
from operator import attrgetter
from pathlib import Path
from sqlite3 import Connection
from struct import Struct
from types import TracebackType
from typing import TYPE_CHECKING, Any

from fanfold.contract.records import no_collection
from fanfold.core.cache_key import RETURNED
from fanfold.core.models import CacheEntry, Event, JobHeader, sha256
from fanfold.errors import StoreError
from fanfold.settings import current
from fanfold.stores.disk import READ_ONLY, Syncer
from fanfold.stores.keys import inputs_key
from fanfold.stores.local.log import Database, SqliteEventLog, intact_headers
from fanfold.stores.local.objects import FileObjectStore
from fanfold.stores.packing import ENTRY_COLUMNS, EntryPage, compact_each, pack_entries, unpack_entries, without_entries

if TYPE_CHECKING:
    from fanfold.codec.sealed import Sealing, SealingKey
    from fanfold.environments.secrets import SecretFiles
    from fanfold.stores.local.data_files import FolderData

__all__ = ["LocalStores"]

#: While a job runs, what has been recorded is brought to the disk this often; and when it ends.
_SYNC_S = 1.0


class LocalStores:
    """The event log, the objects and the cache under `home`, which any number of processes may open at once.

    `scratch` is a directory on the objects' file system: what is written there, `objects.put_file` only renames.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.scratch = home / "scratch"
        #: What runs have as `fanfold.mount_path()`.
        self.shared_folder = home / "mount"
        #: Where runs keep data: `fanfold.data_path()`.
        self.data_place = f"{home / 'data'}/"
        self._durable = current().durability == "disk"
        self._synced_at = 0.0
        self.database = Database(home / "fanfold.db")
        self.objects = FileObjectStore(home / "objects", self.scratch, syncer=Syncer(enabled=self._durable))
        self.log = SqliteEventLog(self.database, sync_contents=self.objects.sync)
        self.cache = SqliteResultCache(self.database, self.objects)

    @property
    def secrets(self) -> SecretFiles:
        """What UDFs ask for by name."""
        from fanfold.environments.secrets import SecretFiles

        return SecretFiles(self.home)

    @property
    def data(self) -> FolderData:
        """The files that UDFs and people keep here."""
        from fanfold.stores.local.data_files import FolderData

        return FolderData(Path(self.data_place))

    def sealing(self, job_id: str, kept: str = "") -> Sealing:  # noqa: ARG002 - a home has one key for all
        """What seals a job's secret arguments; `kept` is what its header keeps of it already."""
        from fanfold.environments.secrets import SealingFile

        return SealingFile(self.home).sealing(kept)

    def sealing_key(self, header: JobHeader) -> SealingKey:  # noqa: ARG002
        """What opens a job's sealed secrets. Raises `ConfigurationError`."""
        from fanfold.environments.secrets import SealingFile

        return SealingFile(self.home).read()

    @classmethod
    def open(cls, home: Path) -> LocalStores:
        """Open the stores under `home`, making them where there are none.

        Raises `StoreTooNew` where a newer Fanfold wrote them, and `StoreError` where they cannot be opened.
        """
        stores = cls(home)
        try:
            home.parent.mkdir(parents=True, exist_ok=True)
            # Inputs and results are nobody else's, but where others may write: that is shared on purpose.
            home.mkdir(mode=0o700, exist_ok=True)
            private = not home.stat().st_mode & 0o022
            for directory in (stores.objects.root, stores.scratch):
                directory.mkdir(mode=0o700 if private else 0o777, exist_ok=True)
            if private:
                _make_private(stores.database.path)
        except OSError as error:
            if stores.database.path.exists() and error.errno in READ_ONLY:
                return stores  # it can be read all the same
            raise StoreError(
                f"The directory {home} cannot be used for Fanfold's stores: {error.strerror}.",
                next_step="set FANFOLD_HOME to a directory that is yours to write.",
            ) from error
        with stores.database.reading():
            return stores

    def record(self, events: Sequence[Event], entries: Sequence[CacheEntry]) -> None:
        """Append events and offer results to the cache, all or nothing: one that is found there is on record."""
        self.log.append(events, also=adding(entries) if entries else None)
        if time.monotonic() - self._synced_at >= _SYNC_S:
            self.sync()

    def sync(self) -> None:
        """Return when all that has been recorded so far outlives a power cut. Raises `StoreError`."""
        if self._durable:
            self._synced_at = time.monotonic()
            self.objects.sync()
            self.database.sync()

    def within(self, seconds: float) -> AbstractContextManager[None]:  # noqa: ARG002
        """Nothing to do: a file answers at once, or not at all."""
        return nullcontext()

    def remove_jobs(self, job_ids: Sequence[str]) -> int:
        """Take jobs away that have ended, and all that is kept for them alone; the bytes of files that were freed.

        Results that another job shares stay; those which these jobs computed for the cache are forgotten.
        """
        from fanfold.stores.local.removal import remove_jobs

        for job_id in job_ids:
            self.runner_log(job_id).unlink(missing_ok=True)
        freed = remove_jobs(self.database, self.objects, job_ids)
        self.log.forget(job_ids)
        return freed

    def note_use(self, job_id: str) -> None:
        """Note that somebody reads the job's results (`used_at`)."""
        with suppress(OSError):  # a home that can only be read, from which nothing goes either
            os.utime(self._folder(job_id), (time.time(),) * 2)

    def used_at(self, job_id: str) -> float:
        """When the job was put or last read (seconds since 1970); long ago where it has no inputs any more."""
        try:
            return self._folder(job_id).stat().st_mtime
        except OSError:
            return 0.0

    def _folder(self, job_id: str) -> Path:
        return self.objects.path(inputs_key(job_id)).parent

    def runner_log(self, job_id: str) -> Path:
        """Where a job's runner process writes what it has to say."""
        return self.home / "runners" / f"{job_id}.log"

    def close(self) -> None:
        """Let go of the database file. Using the stores again opens it anew."""
        self.database.close()

    def __enter__(self) -> LocalStores:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _make_private(path: Path) -> None:
    """See to it that nobody else may read a database, new or old; its log takes its mode from it. Raises `OSError`."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:  # it must not be opened here: closing it would drop this process's locks on it
        mode = path.stat().st_mode
        if mode & 0o077 and path.stat().st_uid == os.geteuid():
            for file in (path, *(path.with_name(f"{path.name}-{part}") for part in ("wal", "shm"))):
                with suppress(FileNotFoundError):
                    file.chmod(0o600)


# The result cache of this machine: pages of entries beside the event log, and an index that has the page of each key.

#: Keys asked for in one query: SQLite before 3.32 takes 999 values.
_KEYS_PER_QUERY = 500
#: The most entries on one page, so that to read one entry stays cheap however many were recorded at once.
_ENTRIES = 128

_SELECT = f"SELECT page, {ENTRY_COLUMNS} FROM cache_pages"
_ADD = f"""
INSERT INTO cache_pages (returned, entries, size, oldest, newest, {ENTRY_COLUMNS})
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

#: Made when it is first needed: a file of an earlier version has none.
_FLIGHTS = "CREATE TABLE IF NOT EXISTS flights (flight TEXT, job_id TEXT, PRIMARY KEY (flight, job_id)) WITHOUT ROWID"


#: Of results alone: what files were that a result names takes no room to speak of.
_USAGE = "SELECT coalesce(sum(entries), 0), coalesce(sum(size), 0) FROM cache_pages WHERE NOT returned"


class SqliteResultCache:
    """Results that may serve again, in `fanfold.db`."""

    def __init__(self, database: Database, objects: FileObjectStore) -> None:
        self._database = database
        self._objects = objects

    def lookup(
        self,
        keys: Sequence[str],
        *,
        max_age_s: float,
        consistent: bool = False,  # noqa: ARG002  it always is
    ) -> dict[str, CacheEntry]:
        """The entries that exist and are no older than `max_age_s` seconds, by key."""
        asked, oldest = set(keys), time.time() - max_age_s
        with no_collection(), self._reading() as connection:
            if connection.execute("SELECT 1 FROM cached LIMIT 1").fetchone() is None:
                return {}  # as in a home that is new: each key would be looked for in vain
            pages = {page for _, page in _indexed(connection, cache_slots(list(asked)))}
            entries = [entry for _, page in _pages(connection, pages) for entry in _intact(page)]
        return {entry.key: entry for entry in entries if entry.key in asked and entry.created_at >= oldest}

    def record(self, entries: Sequence[CacheEntry]) -> None:
        """Keep entries; a newer one replaces an older. Raises `StoreFull`."""
        if entries:
            add = adding(entries)
            with self._database.writing() as connection:
                add(connection)

    def forget(self, keys: Sequence[str]) -> None:
        """Take entries away, such as one whose result turned out damaged."""
        with self._database.writing() as connection:
            found = _indexed(connection, cache_slots(keys))
            connection.executemany("DELETE FROM cached WHERE slot = ?", [(slot,) for slot, _ in found])
            _take_out(connection, found)

    def join_flight(self, flight: str, job_id: str) -> list[str]:
        """Say that a job may compute results of a flight; the jobs that had said so before."""
        with self._database.writing() as connection:  # which lets one in at a time
            connection.execute(_FLIGHTS)
            earlier = connection.execute("SELECT job_id FROM flights WHERE flight = ?", (flight,)).fetchall()
            connection.execute("INSERT OR IGNORE INTO flights VALUES (?, ?)", (flight, job_id))
        return [row[0] for row in earlier if row[0] != job_id]

    def is_in_flight(self, flight: str, job_id: str) -> bool:
        """Whether the job has joined the flight, and not left it."""
        with self._database.writing() as connection:
            connection.execute(_FLIGHTS)
            asked = connection.execute("SELECT 1 FROM flights WHERE flight = ? AND job_id = ?", (flight, job_id))
            return asked.fetchone() is not None

    def leave_flight(self, flight: str, job_ids: Sequence[str]) -> None:
        """Tell nobody of these jobs any more."""
        with self._database.writing() as connection:
            connection.execute(_FLIGHTS)
            rows = [(flight, job_id) for job_id in job_ids]
            connection.executemany("DELETE FROM flights WHERE flight = ? AND job_id = ?", rows)

    def usage(self) -> tuple[int, int]:
        """How many results are cached, and how many bytes they have together."""
        with self._reading() as connection:
            entries, size = connection.execute(_USAGE).fetchone()
        return int(entries), int(size)

    def clear(self, older_than_s: float | None = None, *, udf: str | None = None) -> tuple[int, int]:
        """Forget cached results (only those older than `older_than_s` seconds) and delete what nothing needs any more.

        `udf`: only those of jobs of that name.

        Returns how many entries are forgotten and how many bytes of objects deleted. A result that a job refers to
        stays: the job can still be collected.
        """
        from fanfold.stores.local.removal import forget_pages, sweep

        before = math.inf if older_than_s is None else time.time() - older_than_s
        with self._database.writing() as connection:
            jobs = None if udf is None else _jobs_named(connection, udf)
            which = "" if jobs is None else f" AND job_id IN ({','.join('?' * len(jobs))})"
            older = f"oldest < ?{which}", (before, *(jobs or ()))
            had = connection.execute(_USAGE).fetchone()[0]
            pages = connection.execute(f"{_SELECT} WHERE newest >= ? AND {older[0]}", (before, *older[1]))
            younger = [entry for _, *page in pages for entry in _intact(page) if entry.created_at >= before]
            forget_pages(connection, *older)
            adding(younger)(connection)
            forgotten = had - connection.execute(_USAGE).fetchone()[0]
            if older_than_s is None:  # nor are they to be found in the records of these jobs
                connection.execute(_FLIGHTS)
                connection.execute(f"DELETE FROM flights WHERE TRUE{which}", jobs or ())
        return int(forgotten), sweep(self._database, self._objects)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._database.reading() as connection:
            if self._database.is_older(connection):  # one that can only be read
                from fanfold.stores.local.upgrading import read_as_pages

                read_as_pages(connection)
            yield connection


def _jobs_named(connection: Connection, udf: str) -> list[str]:
    found = connection.execute("SELECT CAST(header AS BLOB), NULL FROM jobs WHERE id IS NOT NULL")
    return [header.id for header in intact_headers(found) if header.name == udf]


def cache_slots(keys: Sequence[str]) -> tuple[int, ...]:
    """Where keys stand in the index: by their first eight bytes, which are spread evenly; the rest is compared."""
    packed = compact_each(32, keys)
    if not all(packed):  # a key is a sha256; anything else is spread by another
        packed = [key or sha256(text.encode()).digest() for key, text in zip(packed, keys, strict=True)]
    return Struct(">" + "q24x" * len(packed)).unpack(b"".join(packed))


def adding(entries: Sequence[CacheEntry]) -> Callable[[Connection], None]:
    """What keeps them within a transaction that somebody else has begun."""
    with no_collection():
        pages = [(cache_slots([entry.key for entry in some]), _page_of(some)) for some in _by_page(entries)]

    def add(connection: Connection) -> None:
        index: list[tuple[int, int]] = []
        for slots, page in pages:
            index += zip(slots, repeat(int(connection.execute(_ADD, page).lastrowid or 0)), strict=False)
        index.sort()  # neighbours share a page of the file
        if connection.executemany("INSERT OR IGNORE INTO cached VALUES (?, ?)", index).rowcount < len(index):
            _replace_older(connection, dict(index))

    return add


def _by_page(entries: Sequence[CacheEntry]) -> Iterator[list[CacheEntry]]:
    """Entries that go on one page: of one job, and either results or what files were."""
    if len({entry.key for entry in entries}) < len(entries):  # the newest of each key
        entries = list({entry.key: entry for entry in sorted(entries, key=attrgetter("created_at"))}.values())
    groups: dict[tuple[str, bool], list[CacheEntry]] = {}
    for entry in entries:
        groups.setdefault((entry.job_id, entry.output.codec == RETURNED), []).append(entry)
    for group in groups.values():
        for start in range(0, len(group), _ENTRIES):
            yield group[start : start + _ENTRIES]


def _page_of(entries: Sequence[CacheEntry]) -> tuple[Any, ...]:
    times = [entry.created_at for entry in entries]
    size = sum(entry.output.size for entry in entries)
    returned = entries[0].output.codec == RETURNED
    return returned, len(entries), size, min(times), max(times), *pack_entries(entries)


def _indexed(connection: Connection, slots: Iterable[int]) -> list[tuple[int, int]]:
    """The pages of these slots: of each that is taken."""
    wanted, found = sorted(slots), []  # neighbours share a page of the file
    for start in range(0, len(wanted), _KEYS_PER_QUERY):
        some = wanted[start : start + _KEYS_PER_QUERY]
        query = f"SELECT slot, page FROM cached WHERE slot IN ({','.join('?' * len(some))})"
        found += connection.execute(query, some).fetchall()
    return found


def _pages(connection: Connection, numbers: Iterable[int]) -> Iterator[tuple[int, EntryPage]]:
    wanted = sorted(numbers)
    for start in range(0, len(wanted), _KEYS_PER_QUERY):
        some = wanted[start : start + _KEYS_PER_QUERY]
        for number, *page in connection.execute(f"{_SELECT} WHERE page IN ({','.join('?' * len(some))})", some):
            yield number, page


def _intact(page: EntryPage) -> list[CacheEntry]:
    """The entries of a page; none of one that is damaged: they are computed again."""
    try:
        return unpack_entries(page)
    except StoreError:
        return []


def _replace_older(connection: Connection, index: dict[int, int]) -> None:
    """Of slots that were taken before these pages were added, have the index name the page with the newer entry."""
    taken = {slot: page for slot, page in _indexed(connection, index) if page != index[slot]}
    made_at = {
        (slot, number): entry.created_at
        for number, page in _pages(connection, {*taken.values(), *(index[slot] for slot in taken)})
        for entry, slot in _with_slots(_intact(page))
    }
    newer = {slot for slot, page in taken.items() if made_at[slot, index[slot]] >= made_at.get((slot, page), 0.0)}
    connection.executemany("UPDATE cached SET page = ? WHERE slot = ?", [(index[slot], slot) for slot in newer])
    _take_out(connection, [(slot, page if slot in newer else index[slot]) for slot, page in taken.items()])


def _take_out(connection: Connection, places: Iterable[tuple[int, int]]) -> None:
    """Have pages no longer tell of what stood in these slots of the index."""
    gone: dict[int, set[int]] = {}
    for slot, number in places:
        gone.setdefault(number, set()).add(slot)
    for number, page in list(_pages(connection, gone)):
        there = list(_with_slots(_intact(page)))
        stay = [entry for entry, slot in there if slot not in gone[number]]
        if stay:
            notes = without_entries(page, {entry.key for entry, slot in there if slot in gone[number]})
            facts = len(stay), sum(entry.output.size for entry in stay), notes, number
            connection.execute("UPDATE cache_pages SET entries = ?, size = ?, notes = ? WHERE page = ?", facts)
        else:
            connection.execute("DELETE FROM cache_pages WHERE page = ?", (number,))


def _with_slots(entries: Sequence[CacheEntry]) -> Iterable[tuple[CacheEntry, int]]:
    return zip(entries, cache_slots([entry.key for entry in entries]), strict=True)
