"""What a job's events mean together: `fold(header, events)`, whatever their order and however often they come."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from math import isnan, nan
from typing import TYPE_CHECKING

from fanfold.core.columns import CODES, STATUSES, Columns, Ended, Spending
from fanfold.core.models import (
    GOES_ON,
    THROTTLED,
    Event,
    EventKind,
    JobHeader,
    JobStatus,
    Output,
    RunError,
    RunStatus,
    Usage,
)
from fanfold.core.options import pause_s, should_retry
from fanfold.errors import StoreError

if TYPE_CHECKING:
    from fanfold.core.duplicates import OpenTries

__all__ = ["JobState", "fold"]


def fold(header: JobHeader, events: Iterable[Event]) -> JobState:
    """The state of the job that `header` and `events` tell of. The same events in any order give the same state."""
    state = JobState(header)
    state.apply(events)
    return state


def _tries_of(header: JobHeader) -> OpenTries | None:
    if not header.hedge:
        return None
    from fanfold.core.duplicates import OpenTries  # few jobs have duplicates

    return OpenTries()


# The state of a job, kept up to date as its events come in.

_QUEUED, _RUNNING = CODES[RunStatus.QUEUED], CODES[RunStatus.RUNNING]
_SUCCEEDED, _CACHED, _CANCELLED = (
    CODES[status] for status in (RunStatus.SUCCEEDED, RunStatus.CACHED, RunStatus.CANCELLED)
)
_GOOD_STATUSES = (RunStatus.SUCCEEDED, RunStatus.CACHED)
_GOOD = (_SUCCEEDED, _CACHED)
#: How a run ends that met a limit of time or memory; a machine that it has alone lifts that of memory alone.
_TIMED_OUT, _OUT_OF_MEMORY = CODES[RunStatus.TIMED_OUT], CODES[RunStatus.OUT_OF_MEMORY]
_PERFORMED = frozenset(
    CODES[status] for status in (RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.OUT_OF_MEMORY)
)

#: The names of what stops a job.
_STOPS = ("errors", "budget", "ramp")
#: So many starts in a row may be refused, which takes hours: then a run ends as throttled, rather than never.
_MOST_THROTTLED = 200

#: Equal errors are kept once: a million runs that fail the same way must not keep a million tracebacks.
_SHARED_ERRORS = 1_000


class JobState:
    """What a job's header and events mean: each run's status, attempt, times, error and output.

    Of a run's terminal events one counts. A good one beats any failure; among good ones the lowest (attempt, event id)
    counts, among failures the highest attempt (then the lowest id). A failure is final only if no retry is due. Where
    runs may have two tries at once (`header.hedge`), the good one that ended first counts, and no failure is final
    while another try is open. A
    `queued` event gives the run a new budget from its attempt on: earlier failures no longer count.

    A run that was too large is not over while its job has a ladder of larger machines: it waits, as queued, for what
    becomes of it there (`engines.larger`). The end that it had on a rung says so, and nothing tries it again here.

    In a cancelled job a run counts as cancelled that had not begun when the flag was set: one that has not begun at
    all, and one whose worker had read the job's header before the flag and said "started" after it. That worker sees
    the flag in a moment. So a job that was said to be cancelled does not run again because of what was under way.

    Events may be applied in any order, any number of times and in any portions. One thread at a time.
    """

    def __init__(self, header: JobHeader) -> None:
        self._header = header
        self._columns = Columns(header.count)
        #: What attempts took that do not count: for what a job costs.
        self.spending = Spending(self._columns)
        self._codes = bytearray(header.count)  # all queued
        self._counts = [header.count] + [0] * (len(STATUSES) - 1)
        self._begun = False
        self._starts: dict[int, tuple[int, float]] = {}
        #: Where runs may have two tries at once; None where they have not.
        self.tries: OpenTries | None = _tries_of(header)
        self._budgets: dict[int, int] = {}
        self._errors: dict[int, RunError] = {}
        self._shared_errors: dict[RunError, RunError] = {}
        self._job_events: dict[tuple[EventKind, str], Event] = {}
        #: Why its reader hears nothing of it now, in words; empty while the log answers. No part of the job's state.
        self.silence = ""
        #: The log holds what its reader has passed by: it is to read all once more. No part of the job's state either.
        self.has_missed = False
        #: Runs wait that only a client of the job's owner starts, and none does. No part of the job's state either.
        self.waits_for_owner = False
        #: What time it is where the events are kept, in seconds since 1970: this machine's clock may be minutes wrong.
        self.now: Callable[[], float] = time.time
        #: Of runs that were retried with other code: from which attempt on, and which of the header's fixes.
        self._fixes: dict[int, dict[int, int]] = {}
        #: Runs that wait for a larger machine, each with the rung of the ladder, from 1; and the rungs of ends.
        self.too_large: dict[int, int] = {}
        self._rungs: dict[int, int] = {}
        #: Rises whenever something may have changed.
        self.version = 0

    @property
    def header(self) -> JobHeader:
        """The job's header; assign the newer one to let a cancel take effect."""
        return self._header

    @header.setter
    def header(self, header: JobHeader) -> None:
        if header != self._header:
            self._header = header
            self.version += 1

    def apply(self, events: Iterable[Event]) -> None:
        """Take more events into account. Raises `StoreError` for an event of a run that the job does not have."""
        count, codes, finished, good = self._header.count, self._codes, EventKind.FINISHED, _GOOD
        queued, started, spending = EventKind.QUEUED, EventKind.STARTED, self.spending
        for event in self._apply_first_ends(events):
            index, kind = event.index, event.kind
            if not 0 <= index < count:
                self._apply_elsewhere(event)
            elif kind is finished:
                code = CODES.get(event.status, _QUEUED)  # type: ignore[arg-type]
                if code in good:
                    self._apply_good(index, code, event)
                elif code > _RUNNING:
                    if codes[index] in good:
                        self._note_end(index, event)
                    else:
                        self._apply_failure(index, event)
            else:
                if kind is started:
                    spending.begin(index, event.attempt, event.at)
                if kind is queued and "fix" in event.data:
                    self._fixes.setdefault(index, {})[event.attempt] = int(event.data["fix"])
                if codes[index] not in good:
                    self._apply_progress(index, event)

    def counts(self) -> dict[RunStatus, int]:
        """How many runs there are of each status, zeros included."""
        counts = dict(zip(STATUSES, self._counts, strict=True))
        if self._header.cancelled_at is not None:
            late = self._count_late()
            counts[RunStatus.CANCELLED] += counts[RunStatus.QUEUED] + late
            counts[RunStatus.RUNNING] -= late
            counts[RunStatus.QUEUED] = 0
        return counts

    @property
    def runs_over(self) -> int:
        """How many runs have a status that is final."""
        return sum(count for status, count in self.counts().items() if status.final)

    @property
    def done(self) -> bool:
        """True where every run's status is final."""
        if self._header.cancelled_at is not None:
            return self._counts[_RUNNING] == self._count_late()
        return self._counts[_QUEUED] + self._counts[_RUNNING] == 0

    @property
    def status(self) -> JobStatus:
        """The job's status, in the words that users see."""
        if self._counts[_SUCCEEDED] + self._counts[_CACHED] == self._header.count:
            return JobStatus.COMPLETED
        if self.done:
            ended_by_itself = self._header.cancelled_at is None or bool(self.stop_reason)
            return JobStatus.FAILED if ended_by_itself else JobStatus.CANCELLED
        return JobStatus.RUNNING if self._begun else JobStatus.QUEUED

    @property
    def stop_reason(self) -> str:
        """Why no more runs were started before all had been, or "": a caller's own cancel is no such reason."""
        stops = filter(None, (self._job_events.get((EventKind.STOP, name)) for name in _STOPS))
        # A job may have been stopped, retried and then cancelled: only the stop that set this flag is its reason.
        return next((str(one.data.get("reason", "")) for one in stops if one.at == self._header.cancelled_at), "")

    def status_of(self, index: int) -> RunStatus:
        """The run's status."""
        code = self._codes[index]
        if self._header.cancelled_at is not None and (code == _QUEUED or self._is_late(index, code)):
            return RunStatus.CANCELLED
        return STATUSES[code]

    def attempt_of(self, index: int) -> int:
        """The attempt that the run's status tells of; for a queued run, the one to come."""
        code = self._codes[index]
        ended_or_started = self._starts[index][0] if code == _RUNNING else self._columns.attempts[index]
        return self._following(index) if code == _QUEUED else ended_or_started

    def first_attempt_of(self, index: int) -> int:
        """The attempt from which the run's budget of retries counts."""
        return self._budgets.get(index, 0)

    def due_at(self, index: int) -> float | None:
        """When a run that has failed is to be tried again (seconds since 1970); None where it waits for no such pause.

        It follows from the event that ended its attempt, and is the same for every reader.
        """
        ended, budget = self._columns.attempts[index], self._budgets.get(index, 0)
        if (
            not self._header.backoff_s
            or ended < budget
            or index in self.too_large
            or self.status_of(index) is not RunStatus.QUEUED
        ):
            return None
        return self._columns.finished_at[index] + pause_s(self._header, index, ended, budget)

    def next_attempt(self, index: int) -> int:
        """The number of the run's next attempt, higher than any that ended or started."""
        # In a cancelled job, the worker of the next attempt may still be about to say what became of it.
        unheard = self._codes[index] == _QUEUED and self._header.cancelled_at is not None
        return self._following(index) + unheard

    def _following(self, index: int) -> int:
        started, _ = self._starts.get(index, (-1, 0.0))
        return max(self._budgets.get(index, 0), self._columns.attempts[index] + 1, started + 1)

    def code_hash_of(self, index: int) -> str:
        """The hash of the code that the attempt ran which the run's status tells of."""
        attempt = self.attempt_of(index)
        fixes = {begins: fix for begins, fix in self._fixes.get(index, {}).items() if begins <= attempt}
        fix = fixes[max(fixes)] if fixes else 0
        hashes = (self._header.code_hash, *self._header.fixed_hashes)
        return hashes[min(fix, len(hashes) - 1)]  # the event may have been read before the header that goes with it

    def code_hashes(self) -> dict[str, int]:
        """How many runs have ended with each code, in the order in which the job got it."""
        known = dict.fromkeys((self._header.code_hash, *self._header.fixed_hashes), 0)
        if not self._fixes:
            known[self._header.code_hash] = self.runs_over
            return known
        for index in self.indexes(*(status for status in STATUSES if status.final)):
            known[self.code_hash_of(index)] += 1
        return known

    def error(self, index: int) -> RunError | None:
        """Why the run's last attempt failed, if it did; of a run that is tried again too."""
        return self._errors.get(index)

    def output(self, index: int) -> Output | None:
        """Where the run's result is kept, or None where it has none (yet)."""
        return self._columns.output(index) if self._codes[index] in _GOOD else None

    def inline_outputs(self, indexes: Iterable[int]) -> Iterator[tuple[int, bytes, bytes, bytes]]:
        """Of those of these runs whose result stands in its event: the run, its codec, sha256 (hex) and bytes.

        Of many small results this takes a quarter of the time of `output` for each.
        """
        return self._columns.inline([index for index in indexes if self._codes[index] in _GOOD])

    def usage(self, index: int) -> Usage | None:
        """What the run's last ended attempt took, or None where that is not known."""
        return self._columns.usage(index)

    def started_at(self, index: int) -> float | None:
        """When the attempt that the status tells of started (seconds since 1970), or None."""
        if self._codes[index] == _RUNNING:
            return self._starts[index][1]
        finished_at, usage = self.finished_at(index), self.usage(index)
        return finished_at if finished_at is None or usage is None else finished_at - usage.duration_s

    def finished_at(self, index: int) -> float | None:
        """When the run ended (seconds since 1970), or None where it has not."""
        final = self._codes[index] not in (_QUEUED, _RUNNING)
        return self._columns.finished_at[index] if final else None

    def measured_s(self) -> list[float]:
        """How long each attempt took that has told it, whether it counts or not, without results from the cache."""
        durations_s, cached = self._columns.duration_s, _CACHED
        counted = [
            s for s, code in zip(durations_s, self._columns.ended_as, strict=True) if code != cached and not isnan(s)
        ]
        return counted + self.spending.superseded_s()

    def duration_s(self, index: int) -> float | None:
        """How long the run's last ended attempt took, or None where that is not known."""
        usage = self.usage(index)
        return None if usage is None else usage.duration_s

    @property
    def tried_again(self) -> bool:
        """Whether any run has, or will have, more than its first attempt."""
        later = any(attempt > 0 for attempt, _ in self._starts.values())
        return later or bool(self._budgets) or max(self._columns.attempts, default=0) > 0 or self._waits_again()

    def _waits_again(self) -> bool:
        """Whether a run that has failed waits for its next attempt."""
        ended = self._columns.attempts
        return bool(self._counts[_QUEUED]) and any(
            code == _QUEUED and ended[index] >= 0 for index, code in enumerate(self._codes)
        )

    def ends(self) -> tuple[bytes, array[float], array[float]]:
        """Of all runs at once: the number of the status (`STATUSES`), when they ended, and how long they took.

        Times are seconds since 1970, and NaN where they are not known. One by one, 100,000 take ten times as long.
        """
        return bytes(self._codes), self._columns.finished_at, self._columns.duration_s

    def running(self) -> Iterator[tuple[int, float]]:
        """The runs that run now, and when each began (seconds since 1970)."""
        return ((index, began) for index, (_, began) in self._starts.items() if self._codes[index] == _RUNNING)

    def last_ended_at(self, index: int) -> float:
        """When the run's last attempt ended that has (seconds since 1970), whether or not another is to follow."""
        return self._columns.finished_at[index]

    def ended_as(self, index: int) -> RunStatus:
        """How the run's last attempt ended that has, whether or not another is to follow."""
        return STATUSES[self._columns.ended_as[index]]

    def last_end_at(self) -> float | None:
        """When the last of the runs that have ended did so (seconds since 1970); None where none has."""
        ends = zip(self._columns.finished_at, self._codes, strict=True)
        return max([end for end, code in ends if code > _RUNNING and not isnan(end)], default=None)

    def performed(self) -> list[tuple[RunStatus, float, float]]:
        """The status, seconds and peak MiB of each run that did its work, failed or met a limit."""
        columns = self._columns
        ended = zip(self._codes, columns.duration_s, columns.peak_memory_mib, strict=True)
        return [(STATUSES[code], s, mib) for code, s, mib in ended if code in _PERFORMED and not isnan(s)]

    def is_over(self, stop: int) -> bool:
        """Whether every run below `stop` has ended for good. At the first that has not it looks no further."""
        if self._header.cancelled_at is not None:
            return all(self.status_of(index).final for index in range(stop))
        codes = self._codes
        return codes.find(_RUNNING, 0, stop) < 0 and codes.find(_QUEUED, 0, stop) < 0

    def indexes(self, *statuses: RunStatus) -> Iterator[int]:
        """The runs that have one of these statuses, in order."""
        codes = {CODES[status] for status in statuses}
        if self._header.cancelled_at is None:
            return (index for index, code in enumerate(self._codes) if code in codes)
        cancelled = _CANCELLED in codes
        codes = codes | {_QUEUED} if cancelled else codes - {_QUEUED}
        return (
            index
            for index, code in enumerate(self._codes)
            if (cancelled if self._is_late(index, code) else code in codes)
        )

    def job_events(self, *kinds: EventKind) -> list[Event]:
        """The latest event about each process, machine, dispatch and so on (see `job_records`), oldest first.

        `kinds`: only those of these kinds.
        """
        events = (event for event in self._job_events.values() if not kinds or event.kind in kinds)
        return sorted(events, key=lambda event: event.id)

    def missing(self) -> list[int]:
        """The runs without a terminal event that counts; a complete job has none."""
        return [index for index, code in enumerate(self._codes) if code <= _RUNNING]

    def _is_late(self, index: int, code: int) -> bool:
        """Whether a run of a cancelled job began only after the flag was set."""
        cancelled_at = self._header.cancelled_at
        return code == _RUNNING and cancelled_at is not None and self._starts[index][1] >= cancelled_at

    def _count_late(self) -> int:
        return sum(self._is_late(index, self._codes[index]) for index in self._starts) if self._counts[_RUNNING] else 0

    def _apply_first_ends(self, events: Iterable[Event]) -> Iterable[Event]:
        """Take the good ends into account that are the first to be heard of their runs, as most are; the others."""
        if self.tries is not None or self._header.ladder:
            return events
        codes, attempts, budgets, finished = self._codes, self._columns.attempts, self._budgets, EventKind.FINISHED
        count, first, others = self._header.count, dict[int, Event](), list[Event]()
        for event in events:
            index = event.index
            is_good = event.kind is finished and event.status in _GOOD_STATUSES and 0 <= index < count
            if (
                is_good
                and codes[index] == _QUEUED
                and attempts[index] < 0
                and index not in budgets
                and index not in first
            ):
                first[index] = event
            else:
                others.append(event)
        if first:
            self._columns.put(first)
            for index, event in first.items():
                self._turn(index, CODES[event.status])  # type: ignore[index]
            self._begun = True
        return others

    def _apply_good(self, index: int, code: int, event: Event) -> None:
        columns = self._columns
        before = self._codes[index]
        if before in _GOOD:
            by_time = self.tries is not None
            known = columns.finished_at[index] if by_time else columns.attempts[index]
            told = event.at if by_time else event.attempt
            if told > known or (told == known and event.id >= columns.event_id(index)):
                self._note_end(index, event)
                return
        self._put(index, event)
        if self.tries is not None:
            self.tries.forget(index)
        # Nothing that failed, started or was queued can matter to this run any more.
        self._starts.pop(index, None)
        self._budgets.pop(index, None)
        self._errors.pop(index, None)
        self.too_large.pop(index, None)
        self._turn(index, code)
        self._begun = True

    def _apply_failure(self, index: int, event: Event) -> None:
        columns = self._columns
        known = columns.attempts[index]
        if self.tries is not None:
            self.tries.end(index, event.attempt, event.at)
            self._follow_tries(index)
        kind = "" if event.error is None else event.error.type
        if kind == GOES_ON or (kind == THROTTLED and event.attempt < _MOST_THROTTLED):
            # It has not been tried, or got on: the next attempt begins with the whole budget, as after `queued`.
            self._budgets[index] = max(event.attempt + 1, self._budgets.get(index, 0))
            self._settle(index)
        if event.attempt < known or (event.attempt == known and event.id >= columns.event_id(index)):
            self._note_end(index, event)
            return
        self._put(index, event)
        self._errors.pop(index, None)
        if event.error is not None:
            self._errors[index] = self._shared(event.error)
        if self.tries is None and index in self._starts and self._starts[index][0] <= event.attempt:
            del self._starts[index]
        self._begun = True
        self._settle(index)

    def _put(self, index: int, event: Event) -> None:
        """Let `event` count from now on."""
        self.spending.replace(index)
        self._columns.put({index: event})
        if self._header.ladder:
            self._rungs[index] = event.data.get("rung", 0)
        self.spending.settle(index, event.id)

    def _note_end(self, index: int, event: Event) -> None:
        """An attempt has ended that does not count. What it took was paid for."""
        if event.status is not RunStatus.CACHED:
            took_s = nan if event.usage is None else event.usage.duration_s
            self.spending.end(index, event.id, Ended(event.attempt, took_s, event.at))

    def _apply_progress(self, index: int, event: Event) -> None:
        attempt = event.attempt
        if event.kind is EventKind.STARTED:
            self._begun = True
            if self.tries is not None:
                self.tries.start(index, attempt, event.at)
                self._follow_tries(index)
                return
            known = self._starts.get(index, (-1, 0.0))
            if attempt <= self._columns.attempts[index] or attempt < known[0]:
                return
            at = min(event.at, known[1]) if attempt == known[0] else event.at
            self._starts[index] = (attempt, at)
        elif event.kind is EventKind.QUEUED:
            self._budgets[index] = max(attempt, self._budgets.get(index, 0))
        else:
            return
        self._settle(index)

    def _follow_tries(self, index: int) -> None:
        """Of a run that may have two tries at once, the latest that is open is the one that its status tells of."""
        latest = None if self.tries is None else self.tries.latest(index)
        self._starts.pop(index, None)
        if latest is not None:
            self._starts[index] = latest
        self._settle(index)

    def _apply_elsewhere(self, event: Event) -> None:
        if event.index >= 0:
            raise StoreError(
                f"Job {self._header.id} has {self._header.count} runs, but an event tells of run {event.index}.",
                next_step="look at what wrote to this job: the event does not belong to it.",
            )
        subject = event.kind, str(event.data.get("name", ""))
        if event.kind is EventKind.MACHINE:
            self.spending.see_machine(subject[1], event.at)
        known = self._job_events.get(subject)
        if known is None or known.id < event.id:
            self._job_events[subject] = event
            self.version += 1

    def _settle(self, index: int) -> None:
        """Decide what a run is that has no good result: ended, running or waiting for its next attempt."""
        columns = self._columns
        budget, ended = self._budgets.get(index, 0), columns.attempts[index]
        self.too_large.pop(index, None)
        if index in self._starts and (self.tries is not None or self._starts[index][0] >= budget):
            self._turn(index, _RUNNING)
            return
        code = columns.ended_as[index]
        counts, elsewhere = ended >= budget, bool(self._rungs.get(index))
        error = self._errors.get(index)
        if not counts or (not elsewhere and should_retry(self._header, STATUSES[code], error, ended, budget)):
            self._turn(index, _QUEUED)
        elif rung := self._next_rung(index, code):
            self.too_large[index] = rung
            self._turn(index, _QUEUED)
        else:
            self._turn(index, code)

    def _next_rung(self, index: int, code: int) -> int:
        """On which rung of the ladder a run that has ended so is to be run again, counted from 1; 0: nowhere."""
        if code not in (_TIMED_OUT, _OUT_OF_MEMORY):
            return 0
        above = enumerate(self._header.ladder[self._rungs.get(index, 0) :], self._rungs.get(index, 0) + 1)
        here = self._header.instance_type  # as a rung: a machine that the run has alone
        return next((rung for rung, machine in above if code == _OUT_OF_MEMORY or machine != here), 0)

    def _turn(self, index: int, code: int) -> None:
        self._counts[self._codes[index]] -= 1
        self._counts[code] += 1
        self._codes[index] = code
        self.version += 1

    def _shared(self, error: RunError) -> RunError:
        if len(self._shared_errors) >= _SHARED_ERRORS:
            self._shared_errors.clear()
        return self._shared_errors.setdefault(error, error)
