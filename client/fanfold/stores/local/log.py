"""The event log of this machine: rows of SQLite, which several processes append to and follow."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from fanfold.core.models import TELEMETRY, Event, JobHeader, header_from_text, header_to_text
from fanfold.errors import JobNotFound, StoreError
from fanfold.stores.keys import job_not_found
from fanfold.stores.local.database import ROWS_PER_JOB, Database
from fanfold.stores.pages import COLUMNS, pack, unpack
from fanfold.stores.protocols import Channel, Cursor

_logger = logging.getLogger("fanfold.stores")

#: Where one read stops, whichever is met first. With 8 KiB inline in each, 1,000 events are the larger by far.
_READ_EVENTS = 5_000
_READ_BYTES = 8 << 20

#: The version of the file in which briefs came.
_BRIEFS_SINCE = 2

#: The most events that one page holds, so that reading one stays cheap however much was appended at once.
_PAGE_EVENTS = 1_000

#: How often another process's commits are looked for: at once quick, then at ease.
_POLL_FIRST_S = 0.05
_POLL_LAST_S = 0.25


class SqliteEventLog:
    """Jobs and events in `fanfold.db`. Any thread and any process may write and read at any time."""

    def __init__(self, database: Database, *, sync_contents: Callable[[], None] = lambda: None) -> None:
        """`sync_contents` brings to the disk what events may refer to."""
        self._database = database
        self._sync_contents = sync_contents
        self._numbers: dict[str, int] = {}
        self._appended = threading.Condition()
        self._appends = 0
        self._waiters = threading.local()

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
            found = connection.execute("SELECT header, cancelled_at FROM jobs WHERE id = ?", (job_id,)).fetchone()
            if found is None:
                raise _job_not_found(connection, job_id)
        return header_from_text(found[0], cancelled_at=found[1])

    def list_jobs(self, *, owner: str | None = None, limit: int = 100, before: str | None = None) -> list[JobHeader]:
        """Headers, newest first; `before` a job id, for the page after it."""
        query = (
            "SELECT header, cancelled_at FROM jobs"
            " WHERE id IS NOT NULL AND (? IS NULL OR owner = ?) AND (? IS NULL OR id < ?)"
            " ORDER BY id DESC LIMIT ?"
        )
        with self._database.reading() as connection:
            found = connection.execute(query, (owner, owner, before, before, limit)).fetchall()
        return list(_intact(found))

    def request_cancel(self, job_id: str, at: float | None) -> None:
        """Set the cancel flag (seconds since 1970), or clear it with None so that the job can go on."""
        with self._database.writing() as connection:
            done = connection.execute("UPDATE jobs SET cancelled_at = ? WHERE id = ?", (at, job_id))
            if done.rowcount == 0:
                raise _job_not_found(connection, job_id)
        self._announce()

    def replace_header(self, header: JobHeader) -> None:
        """Record a job's header anew. Its cancel flag stays. Raises `JobNotFound`."""
        with self._database.writing() as connection:
            done = connection.execute("UPDATE jobs SET header = ? WHERE id = ?", (header_to_text(header), header.id))
            if done.rowcount == 0:
                raise _job_not_found(connection, header.id)
        self._announce()

    def append(self, events: Sequence[Event]) -> None:
        """Record events, all of them or none. Raises `JobNotFound` where a job was never put, and `StoreFull`."""
        batches: dict[tuple[str, Channel], list[Event]] = {}
        for event in events:
            channel: Channel = "telemetry" if event.kind in TELEMETRY else "state"
            batches.setdefault((event.job_id, channel), []).append(event)
        if not batches:
            return
        self._sync_contents()  # before the events: these must not tell of what a power cut has taken
        with self._database.writing() as connection:
            for (job_id, channel), batch in batches.items():
                self._insert(connection, job_id, channel, batch)
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
            found = _read(connection, channel, base + int(cursor or 0), base + ROWS_PER_JOB)
        if not found:
            return [], cursor or "0"
        return [event for row in found for event in unpack(job_id, row[2:])], str(found[-1][0] - base)

    def put_brief(self, job_id: str, cursor: Cursor, text: str) -> None:
        """Note how a job that has ended stands in a list, as of `cursor`."""
        with self._database.writing() as connection:
            number = self._number(connection, job_id)
            at = connection.execute("SELECT cancelled_at FROM jobs WHERE number = ?", (number,)).fetchone()[0]
            row = number * ROWS_PER_JOB + int(cursor)
            connection.execute("INSERT OR REPLACE INTO briefs VALUES (?, ?, ?, ?)", (number, row, at, text))

    def brief(self, job_id: str) -> str | None:
        """What was noted, where nothing has been recorded of the job since; else None."""
        query = (
            "SELECT text FROM briefs JOIN jobs USING (number)"
            " WHERE number = ? AND briefs.cancelled_at IS jobs.cancelled_at"
            " AND row = (SELECT max(row) FROM state WHERE row > ? AND row < ?)"
        )
        with self._database.reading() as connection:
            number = self._number(connection, job_id)
            if connection.execute("PRAGMA user_version").fetchone()[0] < _BRIEFS_SINCE:  # an older one, only to be read
                return None
            own = number * ROWS_PER_JOB, (number + 1) * ROWS_PER_JOB
            found = connection.execute(query, (number, *own)).fetchone()
        return None if found is None else str(found[0])

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

    def _insert(self, connection: sqlite3.Connection, job_id: str, channel: Channel, events: list[Event]) -> None:
        base = self._number(connection, job_id) * ROWS_PER_JOB
        # The write lock is held: nobody else can take the numbers that follow.
        query = f"SELECT max(row) FROM {channel} WHERE row < ?"
        last = connection.execute(query, (base + ROWS_PER_JOB,)).fetchone()[0]
        row = max(last or 0, base)
        for start in range(0, len(events), _PAGE_EVENTS):
            row += 1
            page = events[start : start + _PAGE_EVENTS]
            insert = f"INSERT INTO {channel} (row, events, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"
            connection.execute(insert, (row, len(page), *pack(page)))

    def _number(self, connection: sqlite3.Connection, job_id: str) -> int:
        number = self._numbers.get(job_id)
        if number is None:
            found = connection.execute("SELECT number FROM jobs WHERE id = ?", (job_id,)).fetchone()
            if found is None:
                raise _job_not_found(connection, job_id)
            number = self._numbers[job_id] = int(found[0])
        return number


def _intact(rows: Iterable[tuple[str, float | None]]) -> Iterator[JobHeader]:
    """The headers that can be read: one that is damaged must not hide the others."""
    for text, cancelled_at in rows:
        try:
            yield header_from_text(text, cancelled_at=cancelled_at)
        except StoreError as error:
            _logger.warning("a job is passed over: %s", error.message)


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
