"""The event log of this machine: rows of SQLite, which several processes append to and follow."""

from __future__ import annotations

import atexit
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from operator import attrgetter
from pathlib import Path
from typing import Any

from fanfold.contract.records import NamedTuple
from fanfold.core.models import TELEMETRY, Event, EventKind, JobHeader
from fanfold.core.processes import Locked
from fanfold.errors import UPDATE, JobNotFound, StoreError, StoreFull, StoreTooNew
from fanfold.settings import Logger
from fanfold.stores.disk import disk_errors, sqlite_error, sync_path
from fanfold.stores.keys import job_not_found
from fanfold.stores.packing import COLUMNS, header_from_text, header_to_text, pack, unpack
from fanfold.stores.protocols import Channel, Cursor

# The SQLite file that the event log and the result cache share.

#: What `PRAGMA user_version` says of a file that this version writes.
SCHEMA_VERSION = 3

#: How long a writer waits for another process's transaction; theirs take milliseconds.
_BUSY_TIMEOUT_S = 30.0
#: A database that is being made is empty no longer.
_BEGINS_S = 0.5

#: Pages in the write-ahead log before they are moved into the file: 32 MiB, so that a usual job waits for no fsync.
_CHECKPOINT_PAGES = 8192

#: Cache keys are spread over their whole table: SQLite's own 2 MiB would have it read most pages again and again.
_PAGE_CACHE_KIB = 16 * 1024

# A row is a page: what one append told of one job (see `pages`). Its number is the job's times 2**36 plus a count from
# 1, so a job's pages lie side by side, are read with one range scan, and need no index. The cache has pages of results,
# and an index of slots: a slot is the first eight bytes of a key, and the rest is compared when it is read.
#: A job's number times this is where its pages begin.
ROWS_PER_JOB = 1 << 36
_PAGES = "(row INTEGER PRIMARY KEY, events INTEGER, heads BLOB, results BLOB, inline BLOB, codecs TEXT, notes TEXT)"
CACHE_TABLES = (
    "CREATE TABLE cached (slot INTEGER PRIMARY KEY, page INTEGER)",
    "CREATE TABLE cache_pages (page INTEGER PRIMARY KEY, returned INTEGER, entries INTEGER, size INTEGER, oldest REAL,"
    " newest REAL, job_id TEXT, keys BLOB, made_at BLOB, results BLOB, inline BLOB, codecs TEXT, notes TEXT)",
)
_SCHEMA = (
    "CREATE TABLE jobs (number INTEGER PRIMARY KEY, id TEXT UNIQUE, owner TEXT, header TEXT, cancelled_at REAL)",
    f"CREATE TABLE state {_PAGES}",
    f"CREATE TABLE telemetry {_PAGES}",
    *CACHE_TABLES,
)
#: How large jobs stand in a list, as of a row of `state`: so that a list need not read a million events.
BRIEFS = "CREATE TABLE briefs (number INTEGER PRIMARY KEY, row INTEGER, cancelled_at REAL, text TEXT)"


#: As bytes: text that is none would else end the query, and hide all other jobs.
_HEADER = "CAST(header AS BLOB), cancelled_at"


class Database(Locked):
    """One connection, opened on first use and shared by the process's threads; a lock lets one in at a time."""

    #: What a thread holds of the file SQLite would take for held in the child, for ever.
    is_whole_at_a_fork = True

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._owner_pid = os.getpid()
        self._connection: sqlite3.Connection | None = None
        self._had_no_room = False
        self._inherited: list[sqlite3.Connection | None] = []
        self._synced_inode = 0

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for this thread alone. Raises `StoreError` in place of SQLite's errors."""
        if self._owner_pid != os.getpid():
            self._part_from_parent()
        with self.lock, self._explained():
            if self._connection is None:
                self._connection = self._open_as_it_can_be()
            yield self._connection

    def _open_as_it_can_be(self) -> sqlite3.Connection:
        """Open it; where there is no room for the files that SQLite has beside it, to be read all the same."""
        try:
            connection = _open(self.path)
        except sqlite3.Error as error:
            told = sqlite_error(error, self.path, waited_s=_BUSY_TIMEOUT_S)
            if not isinstance(told, StoreFull) or not self.path.stat().st_size:
                raise
            connection, self._had_no_room = _open_to_read(self.path), True
        return connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection within a transaction that holds the file's one write lock; kept at the end, or undone."""
        if self._had_no_room:
            self._open_anew()
        with self.reading() as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")  # a Ctrl-C while it waits is raised after it has begun
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # It may not have begun, and where the disk was full, SQLite has already undone it.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def sync(self) -> None:
        """Return when all that any process has committed so far outlives a power cut.

        Only the write-ahead log is brought to the disk: SQLite itself syncs the database file, when it moves pages
        there. (Nor may that file be opened here: closing it would drop this process's locks on it.)
        """
        log = self.path.with_name(f"{self.path.name}-wal")
        try:
            inode = log.stat().st_ino
        except FileNotFoundError:  # all of it has been moved to the database file
            return
        with disk_errors(log):
            sync_path(log)
            if inode != self._synced_inode:  # a new file, whose name has to be on the disk too
                sync_path(log.parent)
                sync_path(log.parent.parent)
                self._synced_inode = inode

    def close(self) -> None:
        """Close the connection; the next use opens a new one."""
        if self._owner_pid != os.getpid():
            self._part_from_parent()
        with self.lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def __del__(self, _pid: Callable[[], int] = os.getpid) -> None:
        """Close the connection of a store that nobody has any more, if it is this process's own."""
        if self._connection is not None and self._owner_pid == _pid():
            self._connection.close()

    @staticmethod
    def is_older(connection: sqlite3.Connection) -> bool:
        """Whether an older Fanfold wrote the file, and it could not be brought up to date: it can only be read."""
        return version_of(connection) < SCHEMA_VERSION

    def _open_anew(self) -> None:
        """Open it to be written, as there may be room by now. Raises `StoreFull`."""
        with self.lock, self._explained():
            connection = _open(self.path)
            self.close()
            self._connection, self._had_no_room = connection, False

    def _part_from_parent(self) -> None:
        # A connection must not be used, nor even closed, by a forked child: it would break its parent's locks.
        self._inherited.append(self._connection)
        self._owner_pid, self._connection = os.getpid(), None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise sqlite_error(error, self.path, waited_s=_BUSY_TIMEOUT_S) from error


def _open(path: Path) -> sqlite3.Connection:
    if path.exists() and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        return _open_to_read(path)
    if _was_emptied(path):
        time.sleep(_BEGINS_S)  # or another process has begun it just now
        if _was_emptied(path):
            raise StoreError(
                f"{path} is empty, though there are inputs of jobs beside it: something has emptied it.",
                next_step="restore it from a backup; or remove it, and begin anew with no jobs and an empty cache.",
            )
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _was_emptied(path: Path) -> bool:
    """Whether it has no bytes and no log, in a home in which there have been jobs: a crash of a disk leaves that."""
    log, jobs = path.with_name(f"{path.name}-wal"), path.parent / "objects" / "jobs"
    try:
        return path.stat().st_size == 0 and not (log.exists() and log.stat().st_size) and any(jobs.iterdir())
    except FileNotFoundError:
        return False


def _open_to_read(path: Path) -> sqlite3.Connection:
    """A database that this process may only read.

    SQLite reads one in WAL mode only where it may write beside it, or where nothing is left in the log. With something
    in the log, a copy of both is read, as of now.
    """
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        import shutil  # these two cost more than to open the store
        import tempfile

        folder = Path(tempfile.mkdtemp(prefix="fanfold-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        for file in (path, log):
            shutil.copyfile(file, folder / file.name)
        connection = sqlite3.connect(folder / path.name, isolation_level=None, check_same_thread=False)
    else:
        where = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        connection = sqlite3.connect(where, uri=True, isolation_level=None, check_same_thread=False)
    try:
        _check_version(connection, path)
        connection.execute("PRAGMA query_only=ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _check_version(connection: sqlite3.Connection, path: Path) -> int:
    version = version_of(connection)
    if version > SCHEMA_VERSION:
        raise StoreTooNew(
            f"{path} was written by a newer Fanfold: its format is {version}, this one knows up to {SCHEMA_VERSION}.",
            next_step=f"{UPDATE} Or set FANFOLD_HOME to another folder.",
        )
    return version


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    version = _check_version(connection, path)
    if version == 0:
        _create(connection)
    elif version < SCHEMA_VERSION:
        from fanfold.stores.local.upgrading import upgrade

        upgrade(connection)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute(f"PRAGMA cache_size=-{_PAGE_CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")


def version_of(connection: sqlite3.Connection) -> int:
    """The version of the file's format; 0 where nothing is in it."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _create(connection: sqlite3.Connection) -> None:
    _enter_wal_mode(connection)
    connection.execute("BEGIN IMMEDIATE")
    if version_of(connection) == 0:  # else another process was faster
        for statement in (*_SCHEMA, BRIEFS):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _enter_wal_mode(connection: sqlite3.Connection) -> None:
    # This one statement does not honour the busy timeout: SQLite fears a deadlock and gives up at once.
    deadline = time.monotonic() + _BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


_logger = Logger("fanfold.stores")

#: Where one read stops, whichever is met first. With 8 KiB inline in each, 1,000 events are the larger by far.
_READ_EVENTS = 5_000
_READ_BYTES = 8 << 20

#: The version of the file in which briefs came.
BRIEFS_SINCE = 2

#: The most events that one page holds, so that reading one stays cheap however much was appended at once.
_PAGE_EVENTS = 1_000

#: What tells of nothing that is kept beside the log.
_STARTS = {EventKind.PROCESS, EventKind.STARTED}

#: How often another process's commits are looked for: at once quick, then at ease.
_POLL_FIRST_S = 0.05
_POLL_LAST_S = 0.25


class RecentPage(NamedTuple):
    """A page of state that this process has just written: `row`, its events, and the bytes of their results."""

    job_id: str
    row: int
    events: list[Event]
    size: int


class RecentPages(Locked):
    """The last pages that this process wrote: one who reads them here need not unpack them again.

    Only of events that packing gives back as they were: pages without notes.
    """

    #: The most bytes of results in them; they have no more events than one read.
    _BYTES = 2 << 20

    def __init__(self) -> None:
        super().__init__()
        self._pages: dict[tuple[str, int], RecentPage] = {}
        self._events = self._size = 0

    def keep(self, pages: Iterable[RecentPage]) -> None:
        """Keep pages that have been committed; the oldest go."""
        with self.lock:
            for page in pages:
                self._pages[page.job_id, page.row] = page
                self._events += len(page.events)
                self._size += page.size
            while self._events > _READ_EVENTS or self._size > self._BYTES:
                self._give_out(next(iter(self._pages)))

    def any_of(self, job_id: str) -> bool:
        """Whether there is one of that job."""
        with self.lock:
            return any(of == job_id for of, _ in self._pages)

    def take(self, job_id: str, rows: Iterable[int]) -> list[RecentPage]:
        """Those of these rows, up to the first that is not here; they are given once."""
        with self.lock:
            there = takewhile(self._pages.__contains__, ((job_id, row) for row in rows))
            return [self._give_out(key) for key in list(there)]

    def _give_out(self, key: tuple[str, int]) -> RecentPage:
        page = self._pages.pop(key)
        self._events -= len(page.events)
        self._size -= page.size
        return page


class SqliteEventLog(Locked):
    """Jobs and events in `fanfold.db`. Any thread and any process may write and read at any time."""

    def __init__(self, database: Database, *, sync_contents: Callable[[], None] = lambda: None) -> None:
        """`sync_contents` brings to the disk what events may refer to."""
        super().__init__()
        self._database = database
        self._sync_contents = sync_contents
        self._numbers: dict[str, int] = {}
        self._recent = RecentPages()
        self._appends = 0
        self._waiters = threading.local()

    def begin_anew(self) -> None:
        """Have what no thread holds, or waits for."""
        super().begin_anew()
        self._appended = threading.Condition(self.lock)

    def put_job(self, header: JobHeader) -> None:
        """Record a new job. Doing it again changes nothing, least of all a cancel flag."""
        values = (header.id, header.owner, header_to_text(header), header.cancelled_at)
        with self._database.writing() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO jobs (id, owner, header, cancelled_at) VALUES (?, ?, ?, ?)", values
            )
        self._announce()

    def get_job(self, job_id: str) -> JobHeader:
        """The job's header as it is now. Raises `JobNotFound`, naming the ids that come near."""
        with self._database.reading() as connection:
            found = connection.execute(f"SELECT {_HEADER} FROM jobs WHERE id = ?", (job_id,)).fetchone()
            if found is None:
                raise _job_not_found(connection, job_id)
        return header_from_text(found[0], cancelled_at=found[1])

    def list_jobs(self, *, owner: str | None = None, limit: int = 100, before: str | None = None) -> list[JobHeader]:
        """Headers, newest first; `before` a job id, for the page after it."""
        query = (
            f"SELECT {_HEADER} FROM jobs"
            " WHERE id IS NOT NULL AND (? IS NULL OR owner = ?) AND (? IS NULL OR id < ?)"
            " ORDER BY id DESC LIMIT ?"
        )
        with self._database.reading() as connection:
            found = connection.execute(query, (owner, owner, before, before, limit)).fetchall()
        return list(intact_headers(found))

    def request_cancel(self, job_id: str, at: float | None) -> None:
        """Set the cancel flag (seconds since 1970), or clear it with None so that the job can go on."""
        with self._database.writing() as connection:
            done = connection.execute("UPDATE jobs SET cancelled_at = ? WHERE id = ?", (at, job_id))
            if done.rowcount == 0:
                raise _job_not_found(connection, job_id)
        self._announce()

    def request_stack(self, job_id: str, index: int, question: str) -> None:
        """Nothing: a worker of this machine is asked by a signal."""

    def replace_header(self, header: JobHeader) -> None:
        """Record a job's header anew. Its cancel flag stays. Raises `JobNotFound`."""
        with self._database.writing() as connection:
            done = connection.execute("UPDATE jobs SET header = ? WHERE id = ?", (header_to_text(header), header.id))
            if done.rowcount == 0:
                raise _job_not_found(connection, header.id)
        self._announce()

    def append(self, events: Sequence[Event], *, also: Callable[[sqlite3.Connection], None] | None = None) -> None:
        """Record events and what `also` writes, all or nothing.

        Raises `JobNotFound` where a job was never put, and `StoreFull`.
        """
        batches: dict[tuple[str, Channel], list[Event]] = {}
        for event in events:
            channel: Channel = "telemetry" if event.kind in TELEMETRY else "state"
            batches.setdefault((event.job_id, channel), []).append(event)
        if not batches and also is None:
            return
        if also is not None or not {*map(attrgetter("kind"), events)} <= _STARTS:
            self._sync_contents()  # before the events: these must not tell of what a power cut has taken
        pages: list[RecentPage] = []
        with self._database.writing() as connection:
            for (job_id, channel), batch in batches.items():
                pages += self._insert(connection, job_id, channel, batch)
            if also is not None:
                also(connection)
        self._recent.keep(pages)
        self._announce()

    def read_since(
        self,
        job_id: str,
        cursor: Cursor | None = None,
        *,
        channel: Channel = "state",
        consistent: bool = False,  # noqa: ARG002 - SQLite always is
    ) -> tuple[list[Event], Cursor]:
        """The next events after `cursor`, oldest first, and where to go on. None: all read for now."""
        with self._database.reading() as connection:
            self._note_first_read(connection)
            base = self._number(connection, job_id) * ROWS_PER_JOB
            after = base + int(cursor or 0)
            known = []
            if channel == "state" and self._recent.any_of(job_id):
                known = self._recent.take(job_id, _rows(connection, after, base + ROWS_PER_JOB))
            found = [] if known else _read(connection, channel, after, base + ROWS_PER_JOB)
        if known:
            return [event for page in known for event in page.events], str(known[-1].row - base)
        if not found:
            return [], cursor or "0"
        return [event for row in found for event in unpack(job_id, row[2:])], str(found[-1][0] - base)

    def now(self) -> float:
        """This machine's time."""
        return time.time()

    def put_brief(self, job_id: str, cursor: Cursor, text: str, *, cancelled_at: float | None = None) -> None:
        """Note how a job stands in a list, as of `cursor` and of that cancel flag."""
        with self._database.writing() as connection:
            number = self._number(connection, job_id)
            row = number * ROWS_PER_JOB + int(cursor)
            connection.execute("INSERT OR REPLACE INTO briefs VALUES (?, ?, ?, ?)", (number, row, cancelled_at, text))

    def brief(self, job_id: str) -> tuple[str, bool] | None:
        """What was noted last, and whether nothing has been recorded of the job since; None where its flag changed."""
        query = (
            "SELECT text, row = (SELECT max(row) FROM state WHERE row > ? AND row < ?)"
            " FROM briefs JOIN jobs USING (number)"
            " WHERE number = ? AND briefs.cancelled_at IS jobs.cancelled_at"
        )
        with self._database.reading() as connection:
            number = self._number(connection, job_id)
            if version_of(connection) < BRIEFS_SINCE:  # an older one, only to be read
                return None
            own = number * ROWS_PER_JOB, (number + 1) * ROWS_PER_JOB
            found = connection.execute(query, (*own, number)).fetchone()
        return None if found is None else (str(found[0]), bool(found[1]))

    def drop_brief(self, job_id: str) -> None:
        """Nothing: whatever is recorded later tells that it is old."""

    def wait_for_news(self, timeout_s: float) -> bool:
        """Wait until anyone may have written since this thread last waited; False after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        pause_s = _POLL_FIRST_S
        while True:
            with self._database.reading() as connection:
                seen, now = self._note_first_read(connection), self._now(connection)
            if now != seen:
                self._waiters.seen = now
                return True
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            with self._appended:
                if self._appends == now[0]:
                    self._appended.wait(min(pause_s, left_s))
            pause_s = min(pause_s * 1.25, _POLL_LAST_S)

    def forget(self, job_ids: Iterable[str]) -> None:
        """Hold on to nothing of jobs that have been removed."""
        for job_id in job_ids:
            self._numbers.pop(job_id, None)
        self._announce()

    def _note_first_read(self, connection: sqlite3.Connection) -> tuple[int, int]:
        # Only a wait moves the mark on, and each thread has its own: one reader's news are never another's.
        seen: tuple[int, int] | None = getattr(self._waiters, "seen", None)
        if seen is None:
            seen = self._waiters.seen = self._now(connection)
        return seen

    def _now(self, connection: sqlite3.Connection) -> tuple[int, int]:
        # data_version counts other connections' commits only; this process's own are counted here.
        return self._appends, int(connection.execute("PRAGMA data_version").fetchone()[0])

    def _announce(self) -> None:
        with self._appended:
            self._appends += 1
            self._appended.notify_all()

    def _insert(
        self, connection: sqlite3.Connection, job_id: str, channel: Channel, events: list[Event]
    ) -> list[RecentPage]:
        """Add pages of events; those which readers in this process may be given as they are."""
        base = self._number(connection, job_id) * ROWS_PER_JOB
        # The write lock is held: nobody else can take the numbers that follow.
        query = f"SELECT max(row) FROM {channel} WHERE row < ?"
        last = connection.execute(query, (base + ROWS_PER_JOB,)).fetchone()[0]
        row = max(last or 0, base)
        plain = []
        for start in range(0, len(events), _PAGE_EVENTS):
            row += 1
            page = events[start : start + _PAGE_EVENTS]
            insert = f"INSERT INTO {channel} (row, events, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"
            heads, results, inline, codecs, notes = pack(page)
            connection.execute(insert, (row, len(page), heads, results, inline, codecs, notes))
            if channel == "state" and notes is None:
                plain.append(RecentPage(job_id, row, page, len(inline or b"")))
        return plain

    def _number(self, connection: sqlite3.Connection, job_id: str) -> int:
        number = self._numbers.get(job_id)
        if number is None:
            found = connection.execute("SELECT number FROM jobs WHERE id = ?", (job_id,)).fetchone()
            if found is None:
                raise _job_not_found(connection, job_id)
            number = self._numbers[job_id] = int(found[0])
        return number


def intact_headers(rows: Iterable[tuple[bytes, float | None]]) -> Iterator[JobHeader]:
    """The headers that can be read: one that is damaged must not hide the others."""
    for text, cancelled_at in rows:
        try:
            yield header_from_text(text, cancelled_at=cancelled_at)
        except StoreError as error:
            _logger.warning("a job is passed over: %s", error.message)


def _rows(connection: sqlite3.Connection, after: int, end: int) -> list[int]:
    """The numbers of the next pages of state."""
    query = f"SELECT row FROM state WHERE row > ? AND row < ? ORDER BY row LIMIT {_READ_EVENTS}"
    return [row for (row,) in connection.execute(query, (after, end))]


def _read(connection: sqlite3.Connection, channel: Channel, after: int, end: int) -> list[tuple[Any, ...]]:
    query = f"SELECT row, events, {COLUMNS} FROM {channel} WHERE row > ? AND row < ? ORDER BY row LIMIT {_READ_EVENTS}"
    selected = connection.execute(query, (after, end))
    found, events, size = [], 0, 0
    for row in selected:
        found.append(row)
        events += row[1]
        size += sum(len(part) for part in row[2:] if isinstance(part, (bytes, str)))
        if events >= _READ_EVENTS or size >= _READ_BYTES:
            break
    selected.close()
    return found


def _job_not_found(connection: sqlite3.Connection, job_id: str) -> JobNotFound:
    latest = [
        row[0] for row in connection.execute("SELECT id FROM jobs WHERE id IS NOT NULL ORDER BY id DESC LIMIT 200")
    ]
    return job_not_found(job_id, latest, place="this store")
