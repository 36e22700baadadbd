"""The event log of a deployment: items of DynamoDB, which any number of workers append to and clients follow."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

from fanfold.contract.cloud import PARTITION_KEY, SORT_KEY, event_partition, shards, telemetry_partition
from fanfold.models import Event, JobHeader, RunStatus
from fanfold.stores.aws.account import CONCURRENCY
from fanfold.stores.aws.finished import FinishedShards
from fanfold.stores.aws.heads import Heads
from fanfold.stores.aws.items import READ_ATTRIBUTES, EventItems
from fanfold.stores.aws.positions import Reading, Window
from fanfold.stores.aws.table import Item, Page, Table
from fanfold.stores.protocols import Channel, Cursor, ObjectStore

#: Where one read stops, as soon as what it asked for side by side is here.
_READ_EVENTS = 5_000
#: How often is asked for others' news: at first quickly, and ever less often the longer there were none.
_POLL_FIRST_S, _POLL_LAST_S = 0.25, 2.0
#: Nor does asking take more than an eighth of the time: a job of many shards is asked for less often.
_ASKING_SHARE = 0.12

_AFTER = f"{PARTITION_KEY} = :partition AND {SORT_KEY} > :after"
_WITHIN = f"{PARTITION_KEY} = :partition AND {SORT_KEY} BETWEEN :first AND :last"
#: Behind a key, and before any other: what a key goes on with after its time is greater.
_JUST_BEHIND = "!"
#: Only what tells something: taking an answer apart costs its reader the more, the more attributes there are.
_TOLD = {f"#{name}": name for name in READ_ATTRIBUTES}
_ONLY_TOLD: dict[str, Any] = {"ProjectionExpression": ", ".join(_TOLD), "ExpressionAttributeNames": _TOLD}


class DynamoEventLog:
    """Jobs and events in the table. Any thread and any process may write and read at any time."""

    def __init__(self, table: Table, objects: ObjectStore, *, retention_s: float) -> None:
        self._table = table
        self._items = EventItems(objects)
        self.heads = Heads(table, objects, retention_s)
        self._finished = FinishedShards()
        self._appended = threading.Condition()
        self._appends = 0
        self._appends_to: Counter[str] = Counter()
        self._news_at = time.monotonic()
        self._asking_s = 0.0
        self._waiters = threading.local()

    def put_job(self, header: JobHeader) -> None:
        """Record a new job. Doing it again changes nothing, least of all a cancel flag."""
        self.heads.put(header)
        self.announce([header.id])

    def get_job(self, job_id: str) -> JobHeader:
        """The job's header as of some seconds ago at most. Raises `JobNotFound`, naming the ids that come near."""
        return self.heads.get(job_id).header

    def list_jobs(self, *, owner: str | None = None, limit: int = 100, before: str | None = None) -> list[JobHeader]:
        """Headers, newest first; `before` a job id, for the page after it."""
        return self.heads.listed(owner=owner, limit=limit, before=before)

    def request_cancel(self, job_id: str, at: float | None) -> None:
        """Set the cancel flag (seconds since 1970), or clear it with None so that the job can go on."""
        self.heads.flag(job_id, at)
        self.announce([job_id])

    def append(self, events: Sequence[Event]) -> None:
        """Record events, 25 items at a time. Raises `JobNotFound` where a job was never put."""
        if events:
            self._table.put_all(self.items(events))
            self.announce({event.job_id for event in events})

    def items(self, events: Sequence[Event]) -> Iterator[Item]:
        """The items that tell of these events, for whoever writes them together with others."""
        jobs: dict[str, list[Event]] = {}
        for event in events:
            jobs.setdefault(event.job_id, []).append(event)
        for job_id, some in jobs.items():
            head = self.heads.known(job_id)
            yield from self._items.of(some, job_id=job_id, count=head.header.count, expires_at=head.expires_at)

    def read_since(
        self, job_id: str, cursor: Cursor | None = None, *, channel: Channel = "state", consistent: bool = False
    ) -> tuple[list[Event], Cursor]:
        """The next events after `cursor`, and where to go on. None: all read for now.

        A round over all shards that brought something is followed by one empty page without asking again, for as long
        as nothing of the job is appended here: whoever reads until there is no more would else ask for all twice.
        """
        here, now, header = self._appended_here(job_id), time.time(), self.heads.known(job_id).header
        reading = Reading.of(cursor, shards(header.count))
        if reading.rested == here:
            reading.rested = None
            return [], reading.to_cursor()
        if not reading.todo:
            reading.begin(now, partial(self._count, job_id, channel))
        pages: list[tuple[int, list[Event]]] = []
        read, began = 0, time.monotonic()
        while reading.todo and read < _READ_EVENTS:
            some = self._read_some(job_id, channel, reading, now, consistent=consistent)
            read += sum(len(found) for _, found in some)
            pages += some
        self._asking_s = time.monotonic() - began
        if channel == "state":
            self._finished.note(reading.id, header, pages)
            reading.settle(self._finished.asker(reading.id))
        events = [event for _, found in pages for event in found]
        reading.rested = here if events and not reading.todo else None
        if any(event.status is RunStatus.CANCELLED for event in events):
            self.heads.forget(job_id)  # whoever reads of a cancelled run must see the flag that it comes from
        return events, reading.to_cursor()

    def wait_for_news(self, timeout_s: float) -> bool:
        """Wait until something was appended here, or it is time to ask what others did; False after `timeout_s`."""
        seen, asked_at = getattr(self._waiters, "seen", (0, 0.0))
        quiet_s = time.monotonic() - self._news_at
        pause_s = max(_POLL_FIRST_S, quiet_s / 8, self._asking_s / _ASKING_SHARE)
        ask_at = asked_at + min(pause_s, _POLL_LAST_S)
        until = min(time.monotonic() + timeout_s, ask_at)
        with self._appended:
            while self._appends == seen and (left_s := until - time.monotonic()) > 0:
                self._appended.wait(left_s)
            news = self._appends != seen or time.monotonic() >= ask_at
            if news:
                self._waiters.seen = self._appends, time.monotonic()
        return news

    def announce(self, job_ids: Iterable[str]) -> None:
        """Have whoever waits here look again, and read again what is new of these jobs."""
        with self._appended:
            self._appends += 1
            self._appends_to.update(job_ids)
            self._appended.notify_all()

    def _appended_here(self, job_id: str) -> str:
        return f"{os.getpid()}:{id(self)}:{self._appends_to[job_id]}"

    def _read_some(
        self, job_id: str, channel: Channel, reading: Reading, now: float, *, consistent: bool
    ) -> list[tuple[int, list[Event]]]:
        """A page of each of a few shards, asked for side by side."""
        some = list(islice(reading.todo.items(), CONCURRENCY))

        def page(asked: tuple[int, str]) -> Page:
            where = {":partition": {"S": _partition(job_id, channel, asked[0])}, ":after": {"S": asked[1]}}
            return self._table.query(_AFTER, where, consistent=consistent, **_ONLY_TOLD)

        pages = []
        for (shard, _), (items, more) in zip(some, self._table.account.each(page, some), strict=True):
            found = [event for item in items for event in self._items.read(job_id, item)]
            keys = [item[SORT_KEY]["S"] for item in items]
            if reading.note(shard, keys, more=more, now=now) and found:
                self._news_at = time.monotonic()
            pages.append((shard, found))
        return pages

    def _count(self, job_id: str, channel: Channel, windows: dict[int, Window]) -> dict[int, int]:
        """How many items there are in each window, by shard."""

        def counted(shard: int) -> int:
            after, until = windows[shard].after + _JUST_BEHIND, windows[shard].until
            where = {":partition": _partition(job_id, channel, shard), ":first": after, ":last": until}
            return self._table.count(_WITHIN, {name: {"S": key} for name, key in where.items()})

        return dict(zip(windows, self._table.account.each(counted, windows), strict=True))


def _partition(job_id: str, channel: Channel, shard: int) -> str:
    return (event_partition if channel == "state" else telemetry_partition)(job_id, shard)
