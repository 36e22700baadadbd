"""The event log of a deployment: items of DynamoDB, which any number of workers append to and clients follow."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

from fanfold.contract.cloud import (
    EXPIRES_AT,
    PARTITION_KEY,
    SORT_KEY,
    WAKES,
    event_partition,
    event_sort_key,
    shard_of,
    shards,
    telemetry_partition,
)
from fanfold.contract.layout import PROVEN_RUNS
from fanfold.contract.payloads import FAILED_EXECUTION, FAILED_EXECUTION_ATTRIBUTES
from fanfold.core.models import TELEMETRY, Event, EventKind, JobHeader, RunStatus
from fanfold.core.processes import Locked
from fanfold.stores.aws.account import CONCURRENCY
from fanfold.stores.aws.clock import ServiceClock
from fanfold.stores.aws.failed_executions import read_failed_execution
from fanfold.stores.aws.job_headers import JobHeaders, StackQuestion
from fanfold.stores.aws.shard_cursors import BEGINNING, CompletedShards, Reading, Window, iso, reopened_as_of
from fanfold.stores.aws.table import Item, Page, Table
from fanfold.stores.keys import overflow_key
from fanfold.stores.packing import events_from_bytes, events_to_bytes, events_too_new
from fanfold.stores.protocols import Channel, Cursor, ObjectStore

# Events as items: what one append tells of one shard is one item, whose one attribute of ours is a packed page.

#: The packed page, or where it is instead when it is too large for an item of 400 KB.
PAGE, PAGE_AT = "e", "o"
#: What `EventItems.read` needs of an item, from any writer.
READ_ATTRIBUTES = (
    PAGE,
    PAGE_AT,
    *(name for name in FAILED_EXECUTION_ATTRIBUTES if name not in (PARTITION_KEY, EXPIRES_AT, WAKES)),
)
#: Of a larger job the end of its execution tells, which one of Express executions does not.
_SMALL_JOB = 1_000
#: How runs end of which nothing more has to be done, by who waits or by the shepherd.
_GOOD = (RunStatus.SUCCEEDED, RunStatus.CACHED)

_PAGE_EVENTS = 1_000
#: A page is closed when it has about this much: few items are nearly empty, none comes near 400 KB by many events.
_PAGE_BYTES = 128 * 1024
_ITEM_BYTES = 350 * 1024
#: What an event takes besides its own bytes.
_EVENT_BYTES = 110


class EventItems:
    """Makes items of a job's events, and events of items."""

    def __init__(self, objects: ObjectStore, clock: ServiceClock) -> None:
        self._objects = objects
        self._clock = clock

    def of(self, events: Iterable[Event], *, header: JobHeader, expires_at: int) -> Iterator[Item]:
        """The items that tell of these events of a job, to be kept until `expires_at`.

        They are sorted by when they are written, not by when it happened: a large result is on its way for minutes
        before the event that tells of it, and readers look back for seconds. Both moments are in the service's time.
        """
        now, ahead_s, job_id = iso(self._clock.now()), self._clock.ahead_s, header.id
        partitions: dict[str, list[Event]] = {}
        for event in events:
            place = telemetry_partition if event.kind in TELEMETRY else event_partition
            told = event._replace(at=event.at - ahead_s) if ahead_s else event
            partitions.setdefault(place(job_id, shard_of(event.index, header.count)), []).append(told)
        for partition, some in partitions.items():
            for portion in _portions(some):
                yield {
                    PARTITION_KEY: {"S": partition},
                    SORT_KEY: {"S": event_sort_key(now, portion[0].id)},
                    EXPIRES_AT: {"N": str(expires_at)},
                    **({WAKES: {"N": "1"}} if any(_wakes(event, header) for event in portion) else {}),
                    **self._kept(job_id, events_to_bytes(portion)),
                }

    def read(self, job_id: str, item: Item) -> list[Event]:
        """The events that an item tells of."""
        if PAGE in item:
            return events_from_bytes(job_id, item[PAGE]["B"])
        if PAGE_AT in item:
            return events_from_bytes(job_id, self._objects.get(item[PAGE_AT]["S"]))
        if item.get("status", {}).get("S") == FAILED_EXECUTION:
            return [read_failed_execution(job_id, item)]
        raise events_too_new()

    def _kept(self, job_id: str, page: bytes) -> Item:
        if len(page) <= _ITEM_BYTES:
            return {PAGE: {"B": page}}
        key = overflow_key(job_id, hashlib.sha256(page).hexdigest())
        self._objects.put(key, page)
        return {PAGE_AT: {"S": key}}


def _wakes(event: Event, header: JobHeader) -> bool:
    """Whether the shepherd is to know of it: of what has been started, and of a run that may have to be once more.

    Where somebody is to be told of the job's end, of all that may be its end, too: of a large job it hears by the end
    of its execution, else every second of it would wake it. So does it hear of a large stage of a ramp; of a small one
    by its runs, and by a job's first runs that more may go on side by side.
    """
    if event.kind is EventKind.FINISHED:
        may_be_last = header.notify and (header.count <= _SMALL_JOB or event.attempt > 0)
        return event.status not in _GOOD or bool(may_be_last) or _moves_a_ramp(event.index, header)
    return event.kind is EventKind.DISPATCH or (event.kind is EventKind.CACHE and bool(header.notify))


def _moves_a_ramp(index: int, header: JobHeader) -> bool:
    """Whether the end of that run may be the end of a small stage, or may widen a Map Run (`engines.aws.map_runs`)."""
    begin, is_wide = 0, header.count > _SMALL_JOB or header.max_workers or header.rate
    if header.stages and is_wide and index < PROVEN_RUNS and header.instance_type is None:
        return True
    for stop in header.stages:
        if begin <= index < stop:
            return stop - begin <= _SMALL_JOB
        begin = stop
    return False


def _portions(events: Sequence[Event]) -> Iterator[list[Event]]:
    """Events that make up a page each."""
    portion: list[Event] = []
    size = 0
    for event in events:
        added = _size(event)
        if portion and (size + added > _PAGE_BYTES or len(portion) == _PAGE_EVENTS):
            yield portion
            portion, size = [], 0
        portion.append(event)
        size += added
    yield portion


def _size(event: Event) -> int:
    size = _EVENT_BYTES
    if event.output is not None and event.output.inline is not None:
        size += len(event.output.inline)
    if event.error is not None:
        size += len(event.error.traceback) + len(event.error.message)
    if event.data:
        size += len(str(event.data.get("text", ""))) + 100
    return size


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


class DynamoEventLog(Locked):
    """Jobs and events in the table. Any thread and any process may write and read at any time."""

    def __init__(self, table: Table, objects: ObjectStore, *, retention_s: float) -> None:
        super().__init__()
        self._table = table
        self._clock = table.account.clock
        self._items = EventItems(objects, self._clock)
        self.job_headers = JobHeaders(table, objects, retention_s)
        self.completed_shards = CompletedShards()
        self._appends = 0
        self._appends_to: Counter[str] = Counter()
        self._news_at = time.monotonic()
        self._asking_s = 0.0
        self._waiters = threading.local()

    def begin_anew(self) -> None:
        """Have what no thread holds, or waits for."""
        super().begin_anew()
        self._appended = threading.Condition(self.lock)

    def put_job(self, header: JobHeader) -> None:
        """Record a new job. Doing it again changes nothing, least of all a cancel flag."""
        self.job_headers.put(header)
        self.announce([header.id])

    def get_job(self, job_id: str) -> JobHeader:
        """The job's header as of some seconds ago at most. Raises `JobNotFound`, naming the ids that come near."""
        return self.job_headers.get(job_id).header

    def list_jobs(self, *, owner: str | None = None, limit: int = 100, before: str | None = None) -> list[JobHeader]:
        """Headers, newest first; `before` a job id, for the page after it."""
        return self.job_headers.listed(owner=owner, limit=limit, before=before)

    def request_cancel(self, job_id: str, at: float | None) -> None:
        """Set the cancel flag (seconds since 1970), or clear it with None so that the job can go on."""
        self.job_headers.flag(job_id, None if at is None else at - self._clock.ahead_s)
        self.announce([job_id])

    def request_stack(self, job_id: str, index: int, question: str) -> None:
        """Leave the question beside the cancel flag, where the workers see it when they look for that."""
        self.job_headers.ask_stack(job_id, StackQuestion(index, question, self._clock.now()))

    def replace_header(self, header: JobHeader) -> None:
        """Record a job's header anew. Its cancel flag stays. Raises `JobNotFound`."""
        self.job_headers.replace(header)
        self.announce([header.id])

    def append(self, events: Sequence[Event]) -> None:
        """Record events, 25 items at a time. Raises `JobNotFound` where a job was never put."""
        if events:
            self._table.put_all(self.items(events))
            self.announce({event.job_id for event in events})

    def items(self, events: Sequence[Event]) -> Iterator[Item]:
        """The items of these events, to be written together with others."""
        jobs: dict[str, list[Event]] = {}
        for event in events:
            jobs.setdefault(event.job_id, []).append(event)
        for job_id, some in jobs.items():
            head = self.job_headers.known(job_id)
            yield from self._items.of(some, header=head.header, expires_at=head.expires_at)

    def events_of(self, job_id: str, item: Item) -> list[Event]:
        """The events that an item of a job tells of."""
        return self._items.read(job_id, item)

    def read_since(
        self, job_id: str, cursor: Cursor | None = None, *, channel: Channel = "state", consistent: bool = False
    ) -> tuple[list[Event], Cursor]:
        """The next events after `cursor`, and where to go on. None: all read for now.

        A round over all shards that brought something is followed by one empty page without asking again, for as long
        as nothing of the job is appended here: a reader who reads until there is no more would ask for all twice.
        """
        here, now, head = self._appended_here(job_id), self._clock.now(), self.job_headers.known(job_id)
        header = head.header
        reading = Reading.of(cursor, shards(header.count))
        if reading.rested == here:
            reading.rested = None
            return [], reading.to_cursor()
        if not reading.todo:
            reading.reopened = head.reopened  # as it was before anything is read
            reading.begin(now, partial(self._count, job_id, channel))
        pages: list[tuple[int, list[Event]]] = []
        read, began = 0, time.monotonic()
        while reading.todo and read < _READ_EVENTS:
            some = self._read_some(job_id, channel, reading, now, consistent=consistent)
            read += sum(len(found) for _, found in some)
            pages += some
        self._asking_s = time.monotonic() - began
        if channel == "state":
            self.completed_shards.note(reading.id, header, pages)
            reading.settle(self.completed_shards.asker(reading.id))
        events = [event for _, found in pages for event in found]
        reading.rested = here if events and not reading.todo else None
        if any(event.status is RunStatus.CANCELLED or event.kind is EventKind.STOP for event in events):
            self.job_headers.forget(job_id)  # a reader of a cancelled run must see the flag that it comes from
        return events, reading.to_cursor()

    def read_runs(
        self, job_id: str, indexes: Iterable[int], *, since: float = 0.0, consistent: bool = True
    ) -> Iterator[Event]:
        """All that is recorded by now in the shards of these runs (-1: of the job itself), and of their neighbours.

        `since`: only what was written from then on (AWS's time, in seconds since 1970).
        """
        count = self.job_headers.known(job_id).header.count
        for shard in sorted({shard_of(index, count) for index in indexes}):
            after, more = iso(since) if since else BEGINNING, True
            while more:
                where = {":partition": {"S": event_partition(job_id, shard)}, ":after": {"S": after}}
                items, more = self._table.query(_AFTER, where, consistent=consistent, **_ONLY_TOLD)
                for item in items:
                    after = item[SORT_KEY]["S"]
                    yield from self._items.read(job_id, item)

    def now(self) -> float:
        """AWS's time, as its answers say."""
        return self._clock.now()

    def put_brief(self, job_id: str, cursor: Cursor, text: str, *, cancelled_at: float | None = None) -> None:
        """Note it beside the header, which lists read anyway; nothing where the job has gone on since it was read."""
        reopened = reopened_as_of(cursor)
        if self.job_headers.keep_brief(job_id, text, reopened=reopened, cancelled_at=cancelled_at):
            self.job_headers.forget(job_id)

    def brief(self, job_id: str) -> tuple[str, bool] | None:
        """What was noted last, of a job that had ended; who has it go on takes it away."""
        kept = self.job_headers.brief(job_id)
        return (kept, True) if kept else None

    def drop_brief(self, job_id: str) -> None:
        """Forget what was noted: the job goes on."""
        self.job_headers.drop_brief(job_id)

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
        """Wake those who wait here, and read again what is new of these jobs."""
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
                self._note_news(job_id, found)
            pages.append((shard, found))
        return pages

    def _note_news(self, job_id: str, events: Iterable[Event]) -> None:
        """Have the header read less often while runs go on to succeed."""
        if all(event.status in _GOOD for event in events):
            self.job_headers.note_progress(job_id)

    def _count(self, job_id: str, channel: Channel, windows: dict[int, Window]) -> dict[int, int]:
        """How many items there are in each window, by shard."""

        def counted(shard: int) -> int:
            after, until = windows[shard].after + _JUST_BEHIND, windows[shard].until
            where = {":partition": _partition(job_id, channel, shard), ":first": after, ":last": until}
            return self._table.count(_WITHIN, {name: {"S": key} for name, key in where.items()})

        return dict(zip(windows, self._table.account.each(counted, windows), strict=True))


def _partition(job_id: str, channel: Channel, shard: int) -> str:
    return (event_partition if channel == "state" else telemetry_partition)(job_id, shard)
