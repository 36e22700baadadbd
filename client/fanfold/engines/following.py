"""Single flight: a job waits for runs that an earlier job performs already, and takes their results over.

Jobs whose runs can have cache keys in common (same code, constants, path and image) are of one *flight*, a set that
the cache keeps. Joining it is one atomic step, which tells who has joined before: those may lead, and they alone, so
that no job ever waits for one that waits for it. What a job follows is an event of its own; all else is in the leader's
log.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from fanfold.core.fold import JobState
from fanfold.core.models import (
    FOLLOWING,
    DispatchRecord,
    Event,
    EventKind,
    JobHeader,
    Output,
    RunRef,
    RunStatus,
    records,
    to_event,
)
from fanfold.engines.base import Stores
from fanfold.errors import JobNotFound, StoreError
from fanfold.stores.packing import Manifest
from fanfold.stores.state import read_on, read_state

#: So many jobs of one flight are looked at: each costs a reading of its log.
_MOST_LEADERS = 100
#: The ranges of runs that follow one leader, for one event: what is beyond is performed twice, at worst.
_MOST_RANGES = 10_000
#: How often it is made sure that somebody works on a leader.
_RECONCILE_S = 2.0
#: A leader's run that nobody performs may be about to be started again by the process that looks after the leader; and
#: what has ended so long ago is in the cache for sure.
_GRACE_S = 30.0
_OPEN = (RunStatus.QUEUED, RunStatus.RUNNING)

#: Looks after a leader; which of its runs nobody performs any more.
LookAfter = Callable[[JobHeader, JobState], Collection[int]]


def find_leaders(stores: Stores, header: JobHeader, keys: dict[str, list[int]], earlier: Iterable[str]) -> list[Event]:
    """Which of the jobs that were `earlier` perform runs of these cache keys: an event for each, to be recorded.

    `keys`: the runs of `header` by their key, where the cache does not know it; those that have a leader are taken out.
    """
    events, over = [], []
    for leader in _read_leaders(stores, header, earlier):
        if promised := _promised(stores, leader, keys):
            ranges = _ranges(sorted(index for key in promised for index in keys[key]))[:_MOST_RANGES]
            followed = {index for first, last in ranges for index in range(first, last + 1)}
            for key in promised:
                keys[key] = [index for index in keys[key] if index not in followed]
            text = ",".join(f"0:{first}-{last}" for first, last in ranges)
            events.append(to_event(header.id, DispatchRecord(leader.header.id, FOLLOWING, "started", text)))
        if _ended_a_while_ago(leader):
            over.append(leader.header.id)
    if over:
        stores.cache.leave_flight(header.flight, over)
    return events


def record_leaders(
    stores: Stores, header: JobHeader, runs: Iterable[tuple[int, str]], earlier: Iterable[str]
) -> list[int]:
    """Leave to earlier jobs what they perform already of these runs, each with its key; record and return which."""
    wanted: dict[str, list[int]] = {}
    for index, key in runs:
        wanted.setdefault(key, []).append(index)
    every = {index for indexes in wanted.values() for index in indexes}
    events = find_leaders(stores, header, wanted, earlier)
    if events:
        stores.log.append(events)
    return sorted(every.difference(*wanted.values())) if events else []


def _read_leaders(stores: Stores, header: JobHeader, earlier: Iterable[str]) -> Iterator[JobState]:
    for job_id in sorted(earlier)[-_MOST_LEADERS:]:
        try:
            leader = stores.log.get_job(job_id)
            if leader.cache and leader.flight == header.flight:
                yield read_state(stores.log, leader, consistent=True)
        except JobNotFound:
            stores.cache.leave_flight(header.flight, [job_id])
        except StoreError:
            continue  # a damaged job leads nobody


def _promised(stores: Stores, leader: JobState, keys: dict[str, list[int]]) -> set[str]:
    """Which of these keys the leader has a result for, or may come to one.

    Those that have ended are among them: they may have since the cache was asked.
    """
    manifest = Manifest(stores.objects, leader.header.id, leader.header.count)
    theirs = map(manifest.cache_key, leader.indexes(*_OPEN, RunStatus.SUCCEEDED))
    return {key for key in theirs if keys.get(key)}


def _ended_a_while_ago(leader: JobState) -> bool:
    """Whether all that the job has computed is in the cache by now."""
    if not leader.done:
        return False
    ends = (leader.finished_at(index) for index in range(leader.header.count))
    return leader.now() - max((at for at in ends if at is not None), default=0.0) > _GRACE_S


def _ranges(indexes: Sequence[int]) -> list[tuple[int, int]]:
    """The first and the last of each row of neighbours; `indexes` in order."""
    ranges: list[tuple[int, int]] = []
    for index in indexes:
        if ranges and ranges[-1][1] == index - 1:
            ranges[-1] = ranges[-1][0], index
        else:
            ranges.append((index, index))
    return ranges


def runs_of(record: DispatchRecord) -> Iterator[int]:
    """The runs that follow an earlier job, as that record tells."""
    for text in record.runs.split(","):
        first, _, last = text.partition(":")[2].partition("-")
        yield from range(int(first), int(last) + 1)


class Following:
    """What one job waits for, as its own log says. One thread at a time."""

    def __init__(self, stores: Stores, state: JobState, look_after: LookAfter) -> None:
        self._stores = stores
        self._job_id = state.header.id
        self._look_after = look_after
        manifest = Manifest(stores.objects, state.header.id, state.header.count)
        waiting = {index for index in state.indexes(RunStatus.QUEUED) if state.attempt_of(index) == 0}
        self._leaders = [
            _Leader(stores, record.name, {one: manifest.cache_key(one) for one in runs_of(record) if one in waiting})
            for record in records(state.job_events(EventKind.DISPATCH), DispatchRecord)
            if record.path == FOLLOWING
        ]

    def __len__(self) -> int:
        """How many runs are waited for."""
        return sum(len(leader.waiting) for leader in self._leaders)

    @property
    def waiting(self) -> list[RunRef]:
        """The runs that are waited for."""
        return [RunRef(index) for leader in self._leaders for index in leader.waiting]

    def advance(self) -> list[RunRef]:
        """Take over what the leaders have by now; the runs that they leave, each as the attempt that is due."""
        left: list[RunRef] = []
        for leader in (one for one in self._leaders if one.waiting):
            results, without = leader.read(self._look_after)
            # Attempt 0 is the one that waited: it has been made by nobody, and takes nothing of the budget.
            due = [RunRef(index, 1) for index in without]
            events = [_taken_over(self._job_id, index, output) for index, output in results]
            events += (Event.new(self._job_id, *run[:2], EventKind.QUEUED) for run in due)
            if events:
                self._stores.log.append(events)
            leader.resolve(event.index for event in events)  # not before: what was not recorded is read again
            left += due
        return left

    def left_runs(self, is_cancelled: Callable[[], bool]) -> Iterator[list[RunRef]]:
        """The runs to start, as leaders leave them, until nothing is waited for or the job is cancelled."""
        while len(self) and not is_cancelled():
            if left := self.advance():
                yield left
            if len(self):
                self._stores.log.wait_for_news(0.25)


def _taken_over(job_id: str, index: int, output: Output) -> Event:
    return Event.new(job_id, index, 0, EventKind.FINISHED, status=RunStatus.CACHED, output=output)


class _Leader:
    """An earlier job, and the runs of the later one that wait for it, each with its cache key."""

    def __init__(self, stores: Stores, job_id: str, waiting: dict[int, str]) -> None:
        self._stores = stores
        self._job_id = job_id
        self._cursor: str | None = None
        self._state: JobState | None = None
        self._places: dict[str, int] = {}
        self._looked_at = time.monotonic()
        self._deserted_at: dict[int, float] = {}
        self.waiting = waiting

    def read(self, look_after: LookAfter) -> tuple[list[tuple[int, Output]], list[int]]:
        """Which runs have a result now, and which will have none from this leader."""
        try:
            state = self._refresh()
        except JobNotFound:  # it was removed
            return [], list(self.waiting)
        deserted = self._deserted(state, look_after)
        results, without = [], []
        for index, key in self.waiting.items():
            place = self._places.get(key)
            output = None if place is None else state.output(place)
            if output is not None:
                results.append((index, output))
            elif place is None or place in deserted or state.status_of(place).final or not state.header.cache:
                without.append(index)
        return results, without

    def resolve(self, indexes: Iterable[int]) -> None:
        """Wait for these runs no longer."""
        for index in indexes:
            self.waiting.pop(index, None)

    def _refresh(self) -> JobState:
        log = self._stores.log
        header = log.get_job(self._job_id)
        if self._state is None:
            self._state = JobState(header)
            wanted, manifest = set(self.waiting.values()), Manifest(self._stores.objects, header.id, header.count)
            self._places = {key: one for one in range(header.count) if (key := manifest.cache_key(one)) in wanted}
        self._state.header = header
        self._cursor = read_on(log, self._state, self._cursor)
        return self._state

    def _deserted(self, state: JobState, look_after: LookAfter) -> set[int]:
        """The leader's runs that nobody has performed for a while."""
        now = time.monotonic()
        if not state.done and now - self._looked_at >= _RECONCILE_S:
            self._looked_at = now
            found = look_after(state.header, state)
            self._deserted_at = {index: self._deserted_at.get(index, now) for index in found}
        return {index for index, since in self._deserted_at.items() if now - since >= _GRACE_S}
