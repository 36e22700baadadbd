"""The stores of this machine: one SQLite file and a directory of objects under one home."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from operator import itemgetter
from pathlib import Path
from sqlite3 import Connection
from types import TracebackType
from typing import TYPE_CHECKING, Any

from fanfold.contract.records import made_of, no_collection
from fanfold.core.cache_key import RETURNED
from fanfold.core.models import CacheEntry, Event, JobHeader, Output, expand, sha256
from fanfold.errors import StoreError
from fanfold.settings import current
from fanfold.stores.disk import READ_ONLY, Syncer
from fanfold.stores.keys import inputs_key
from fanfold.stores.local.log import Database, SqliteEventLog, intact_headers
from fanfold.stores.local.objects import FileObjectStore
from fanfold.stores.packing import compact_each

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
        self.log.append(events, also=self.cache.adding(entries) if entries else None)
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


# The result cache of this machine: a table beside the event log.

#: Keys asked for in one query: SQLite before 3.32 takes 999 values.
_KEYS_PER_QUERY = 500

_COLUMNS = "cache_key, created_at, duration_s, job_id, codec, sha256, size, inline, key"
#: Most keys are new, and adding them takes two thirds of what looking at what is there takes.
_ADD = f"INSERT OR IGNORE INTO cache (slot, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_RECORD = f"""
INSERT INTO cache (slot, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (slot) DO UPDATE SET
  ({_COLUMNS}) = ({", ".join(f"excluded.{name}" for name in _COLUMNS.split(", "))})
WHERE excluded.created_at >= cache.created_at
"""

#: Made when it is first needed: a file of an earlier version has none.
_FLIGHTS = "CREATE TABLE IF NOT EXISTS flights (flight TEXT, job_id TEXT, PRIMARY KEY (flight, job_id)) WITHOUT ROWID"


#: Of results alone: what files were that a result names takes no room to speak of.
_USAGE = "SELECT count(*), coalesce(sum(size), 0) FROM cache WHERE codec != ?"


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
        slots = sorted(map(cache_slot, asked))  # neighbours share a page of the file
        found: list[tuple[Any, ...]] = []
        with no_collection(), self._database.reading() as connection:
            for start in range(0, len(slots), _KEYS_PER_QUERY):
                some = slots[start : start + _KEYS_PER_QUERY]
                query = f"SELECT {_COLUMNS} FROM cache WHERE slot IN ({','.join('?' * len(some))}) AND created_at >= ?"
                found += connection.execute(query, (*some, oldest)).fetchall()
            entries = _entries(found)
        return {entry.key: entry for entry in entries if entry.key in asked}  # else another of the same slot

    def record(self, entries: Sequence[CacheEntry]) -> None:
        """Keep entries; a newer one replaces an older. Raises `StoreFull`."""
        if entries:
            add = self.adding(entries)
            with self._database.writing() as connection:
                add(connection)

    def adding(self, entries: Sequence[CacheEntry]) -> Callable[[Connection], None]:
        """What keeps them within a transaction that somebody else has begun."""
        with no_collection():
            rows = sorted(_rows(entries), key=itemgetter(0))  # neighbours share a page of the file

        def add(connection: Connection) -> None:
            if connection.executemany(_ADD, rows).rowcount < len(rows):  # some are there: the newer counts
                connection.executemany(_RECORD, rows)

        return add

    def forget(self, keys: Sequence[str]) -> None:
        """Take entries away, such as one whose result turned out damaged."""
        with self._database.writing() as connection:
            connection.executemany("DELETE FROM cache WHERE slot = ?", [(cache_slot(key),) for key in keys])

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
        with self._database.reading() as connection:
            entries, size = connection.execute(_USAGE, (RETURNED,)).fetchone()
        return int(entries), int(size)

    def clear(self, older_than_s: float | None = None, *, udf: str | None = None) -> tuple[int, int]:
        """Forget cached results (only those older than `older_than_s` seconds) and delete what nothing needs any more.

        `udf`: only those of jobs of that name.

        Returns how many entries are forgotten and how many bytes of objects deleted. A result that a job refers to
        stays: the job can still be collected.
        """
        from fanfold.stores.local.removal import sweep

        before = math.inf if older_than_s is None else time.time() - older_than_s
        with self._database.writing() as connection:
            jobs = None if udf is None else _jobs_named(connection, udf)
            which = "" if jobs is None else f" AND job_id IN ({','.join('?' * len(jobs))})"
            where = f"WHERE created_at < ?{which}"
            count = f"SELECT count(*) FROM cache {where} AND codec != ?"
            forgotten = connection.execute(count, (before, *(jobs or ()), RETURNED)).fetchone()[0]
            connection.execute(f"DELETE FROM cache {where}", (before, *(jobs or ())))
            if older_than_s is None:  # nor are they to be found in the records of these jobs
                connection.execute(_FLIGHTS)
                connection.execute(f"DELETE FROM flights WHERE TRUE{which}", jobs or ())
        return int(forgotten), sweep(self._database, self._objects)


def _jobs_named(connection: Connection, udf: str) -> list[str]:
    found = connection.execute("SELECT CAST(header AS BLOB), NULL FROM jobs WHERE id IS NOT NULL")
    return [header.id for header in intact_headers(found) if header.name == udf]


def cache_slot(key: str) -> int:
    # A key is a sha256, whose first eight bytes are spread evenly; anything else is spread by another.
    digits = key if len(key) == 64 else sha256(key.encode()).hexdigest()
    return int(digits[:16], 16) - (1 << 63)


def _rows(entries: Sequence[CacheEntry]) -> Iterable[tuple[Any, ...]]:
    keys, outputs, made_at, took_s, job_ids = zip(*entries, strict=True)
    codecs, digests, sizes, inlines, objects = zip(*outputs, strict=True)
    packed, hashes = (map(_or_text, compact_each(32, texts), texts) for texts in (keys, digests))
    columns = packed, made_at, took_s, job_ids, codecs, hashes, sizes, inlines, objects
    return zip(map(cache_slot, keys), *columns, strict=True)


def _or_text(packed: bytes, text: str) -> bytes | str:
    return packed or text


def _entries(rows: Sequence[tuple[Any, ...]]) -> list[CacheEntry]:
    if not rows:
        return []
    keys, made_at, took_s, job_ids, codecs, hashes, sizes, inlines, objects = zip(*rows, strict=True)
    outputs = made_of(Output, (codecs, map(expand, hashes), sizes, inlines, objects), len(rows))
    return made_of(CacheEntry, (map(expand, keys), outputs, made_at, took_s, job_ids), len(rows))
