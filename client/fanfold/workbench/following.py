"""Reading a store again and again without ever holding up a page: a store may answer late, or not at all."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
import weakref
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from fanfold.api.submit import get_job
from fanfold.contract.records import NamedTuple
from fanfold.core.fold import JobState
from fanfold.core.models import Event, EventKind, RunStatus
from fanfold.engines.base import engine_for
from fanfold.errors import FanfoldError, JobNotFound, SignInNeeded, StoreTooNew
from fanfold.job import Job
from fanfold.job.chart_data import LoadSample
from fanfold.job.step_history import StepRecord, step_record
from fanfold.workbench.job_log import JobLog
from fanfold.workbench.results_process import ResultsProcess

_log = logging.getLogger(__name__)

#: How long a page waits for a look before it goes on with what it has.
_PATIENCE_S = 2.0
#: How long a look may be under way before the page says so.
_SILENT_S = 4.0


#: How long after its last viewer a reader goes on catching up, and how long it rests between two parts.
_VIEWED_S = 10.0
_BREATH_S = 0.03
#: How long what is computed for a page waits for a look that is under way.
_LOCK_S = 0.4


class SharedReader:
    """Something that is read by one thread at a time, at most every so often, for any number of viewers."""

    def __init__(self, pause_s: float) -> None:
        self.lock = threading.RLock()
        #: Why the last look failed; None where it did not.
        self.trouble: FanfoldError | None = None
        #: When a look last succeeded, seconds since 1970; 0 where none has.
        self.read_at = 0.0
        self._pause_s = pause_s
        self._looked = -1e9
        self._began: float | None = None
        #: When a page last asked, on the clock of `time.monotonic`.
        self._viewed_at = 0.0
        self._catching_up: asyncio.Task[None] | None = None

    @property
    def is_behind(self) -> bool:
        """Whether there is more to read than one look took."""
        return False

    def look(self) -> None:
        """Read what is new, unless that has just been done or is being done."""
        if not self.lock.acquire(blocking=False):
            return
        try:
            if time.monotonic() - self._looked >= self._pause():
                self.look_now()
        finally:
            self.lock.release()

    def look_now(self) -> None:
        """Read what is new; waits where another thread is reading."""
        with self.lock:
            self._began = time.monotonic()
            try:
                self._read()
                self.trouble, self.read_at = None, time.time()
            except FanfoldError as error:
                self.trouble = error
            except Exception as error:  # noqa: BLE001  told as well: the page would stand still without a word
                _log.exception("a look failed")
                self.trouble = FanfoldError(f"{type(error).__name__}: {error}")
            finally:
                self._looked, self._began = time.monotonic(), None

    async def look_soon(self, patience_s: float = _PATIENCE_S) -> None:
        """Read what is new in another thread. Returns when that is done, or has taken longer than a page can wait."""
        try:
            await asyncio.wait_for(asyncio.shield(asyncio.to_thread(self.look)), patience_s)
        except asyncio.TimeoutError:
            return  # the thread goes on, and what it finds is there at the next look
        finally:
            self._viewed_at = time.monotonic()
            if self.is_behind and (self._catching_up is None or self._catching_up.done()):
                self._catching_up = asyncio.get_running_loop().create_task(self._catch_up())

    async def _catch_up(self) -> None:
        """Read on between the looks of the pages, a little at a time, while there is more and somebody looks."""
        while self.is_behind and self.trouble is None and time.monotonic() - self._viewed_at < _VIEWED_S:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(_BREATH_S)  # what waits for the lock, and for the interpreter, has its turn

    @contextmanager
    def at_hand(self) -> Iterator[bool]:
        """Hold the lock, and tell whether that is so: where somebody reads for long, a page goes on without.

        Called in a thread: it waits for a short while.
        """
        mine = self.lock.acquire(timeout=_LOCK_S)
        try:
            yield mine
        finally:
            if mine:
                self.lock.release()

    def silence(self) -> str:
        """Why what is shown may be old, in words; empty where it is not."""
        began = self._began
        if self.trouble is None and (began is None or time.monotonic() - began < _SILENT_S):
            return ""
        since = (
            f" What you see is from {time.strftime('%H:%M:%S', time.localtime(self.read_at))}." if self.read_at else ""
        )
        if isinstance(self.trouble, JobNotFound):  # which is an answer
            return f"This job has been removed.{since}"
        if isinstance(self.trouble, StoreTooNew):
            return f"{self.trouble.message} Next: {self.trouble.next_step}"
        reason = f" {self.trouble.message}" if self.trouble is not None else ""
        if isinstance(self.trouble, SignInNeeded):  # here as well, and the page goes on by itself
            reason = f"{reason} Next: {self.trouble.next_step}"
        return f"No answer; trying again.{since}{reason}"

    def _pause(self) -> float:
        return self._pause_s

    def _read(self) -> None:
        raise NotImplementedError


# One job as all its viewers follow it: read once however many look, and never by two threads at a time.

#: Between two looks: short enough that an event is on the page within 1.5 s of being written.
_LOOK_S = 0.6
#: Between two looks at a job that has ended: somebody may retry it.
_ENDED_LOOK_S = 5.0
#: Seconds one look may spend on reading output.
_READ_S = 0.15
_SAMPLES = 50_000
#: The latest steps of all runs that are held.
_STEPS = 50_000
#: An event that is read again is at most this much older than the newest: AWS's log looks back for some 4 minutes.
_SEEN_S = 900.0
#: Characters that are kept of why an earlier attempt ended.
_WHY = 300
#: A job that nobody has looked at for this long is forgotten; where many runs are held, what was read of it is let go
#: after a shorter time, and still sooner where its last page is known to have been left.
_IDLE_S, _IDLE_FULL_S, _IDLE_LEFT_S = 120.0, 5.0, 1.0
_FULL_RUNS = 100_000
#: Computed things that are kept of a job: one of a kind, and the timeline for each part that is zoomed in on.
_COMPUTED = 12
Value = TypeVar("Value")


class EarlierAttempt(NamedTuple):
    """An attempt beside the one that its run's state tells of: one that another followed, or a duplicate's other half.

    Its run and number (from 0), and when it began and ended (seconds since 1970). `status` is how it ended, `why` the
    type and the message of what ended it.
    """

    run: int
    attempt: int
    began: float
    ended: float
    status: str
    why: str


class SeenEvents:
    """Which events have been read: a store may give one again, but none that is minutes older than the newest."""

    def __init__(self) -> None:
        #: The ids of the events of a stretch of time, by its number.
        self._ids: dict[int, set[str]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._ids.values()))

    def new_among(self, events: list[Event]) -> list[Event]:
        """Those that had not been read, which now have."""
        new = []
        for event in events:
            ids = self._ids.setdefault(int(event.at // _SEEN_S), set())
            if event.id not in ids:
                ids.add(event.id)
                new.append(event)
        for old in [stretch for stretch in self._ids if stretch < max(self._ids) - 1]:
            del self._ids[old]
        return new


class Tries:
    """When the attempts of a job's runs began and ended, and why."""

    def __init__(self, runs: int) -> None:
        #: When each run's first attempt began, which most runs have no other than; and when others did.
        self._first_began = array("d", [math.nan]) * runs
        self._began: dict[tuple[int, int], float] = {}
        self._ended: dict[tuple[int, int], tuple[float, float, str, str]] = {}

    def take(self, events: list[Event]) -> None:
        """Note what these tell of attempts."""
        for event in events:
            if event.index < 0:
                continue
            if event.kind is EventKind.STARTED and event.attempt:
                self._began[event.index, event.attempt] = event.at
            elif event.kind is EventKind.STARTED:
                self._first_began[event.index] = event.at
            elif event.kind is EventKind.FINISHED and event.status is not None:
                took_s = event.usage.duration_s if event.usage is not None else 0.0
                why = "" if event.error is None else f"{event.error.type}: {event.error.message[:_WHY]}"
                self._ended[event.index, event.attempt] = (event.at - took_s, event.at, event.status.value, why)

    def beside(self, state: JobState) -> list[EarlierAttempt]:
        """The attempts that are not those that count."""
        ended = [
            EarlierAttempt(index, attempt, *ended)
            for (index, attempt), ended in self._ended.items()
            if attempt != state.attempt_of(index)
        ]
        return [*ended, *self._unended(state)]

    def _unended(self, state: JobState) -> Iterator[EarlierAttempt]:
        """Attempts that nobody has told the end of: a lost worker's, or a duplicate's that goes on or was let go."""
        later = [(one, began) for one, began in self._began.items()]
        again = {index for index, _ in self._began} | {index for index, attempt in self._ended if attempt}
        first = [((index, 0), self._first_began[index]) for index in again]
        for (index, attempt), began in [*first, *later]:
            counts = state.attempt_of(index)
            if attempt == counts or (index, attempt) in self._ended or math.isnan(began):
                continue
            end, status = state.finished_at(index), RunStatus.CANCELLED
            if attempt < counts and not state.header.hedge:  # the one that counts took its place
                end, status = self._began.get((index, counts)) or state.started_at(index), RunStatus.LOST
            elif end is None:
                end, status = state.now(), RunStatus.RUNNING
            yield EarlierAttempt(index, attempt, began, max(began, end or began), status.value, "")


class FollowedJob(SharedReader):
    """A job, what it has printed, and its load. Use `lock` around anything that reads `job`."""

    def __init__(self, job: Job, results: ResultsProcess) -> None:
        super().__init__(_LOOK_S)
        #: Who reads what its runs have given.
        self.results = results
        self.asked_at = time.monotonic()
        self._begin(job)

    def seen_by(self, viewer: Any) -> None:
        """Note who looks at it now: the client of a page, which says whether it is still connected."""
        self._viewers.add(viewer)

    def is_idle(self, *, full: bool) -> bool:
        """Whether nobody has asked for a while, or got something: a look may take long. `full`: it had better go."""
        idle_s = time.monotonic() - max(self.asked_at, self._viewed_at)
        if not full:
            return idle_s >= _IDLE_S
        viewers = list(self._viewers)
        left = bool(viewers) and not any(viewer.has_socket_connection for viewer in viewers)
        return idle_s >= (_IDLE_LEFT_S if left else _IDLE_FULL_S)

    def let_go(self) -> bool:
        """Hold no more than at the beginning, unless somebody looks after all: then it is read from the start."""
        with self.lock:
            if self.version < 0 or not self.is_idle(full=True):
                return False
            try:
                job = get_job(self.job.id, engine=self.job.header.engine)
            except FanfoldError:  # the store is silent, or has it no more: what is there stays
                return False
            self.log.close()
            self._begin(job)
            return True

    def _begin(self, job: Job) -> None:
        self.job = job
        self._looked = -1e9
        self._viewers: weakref.WeakSet[Any] = weakref.WeakSet()
        #: What its runs have printed, every line.
        self.log = JobLog()
        self.samples: deque[LoadSample] = deque(maxlen=_SAMPLES)
        #: How many samples there have been, those that are no longer held included.
        self.sampled = 0
        self.steps: deque[StepRecord] = deque(maxlen=_STEPS)
        #: How many steps there have been of each run that has any.
        self.step_counts: Counter[int] = Counter()
        #: The machines that have told what runs on them use, in that order, each with its number from 1.
        self.machines: dict[str, int] = {}
        #: When the first machine is known to have been up, seconds since 1970.
        self.up_at: float | None = None
        #: Rises with each change of the runs' state.
        self.version = -1
        self._cursor: str | None = None
        self._seen = SeenEvents()
        #: Attempts that are not those that count: where each began and ended, and how.
        self.earlier: list[EarlierAttempt] = []
        self._state_cursor: str | None = None
        self._tries = Tries(len(job))
        #: Whether there is more output to read than one look could.
        self._is_behind = False
        #: What was computed for viewers, by what it is: of which version, when, and the value.
        self._computed: dict[object, tuple[object, float, Any]] = {}

    def once(self, what: object, compute: Callable[[], Value], age_s: float, *, by_time: bool = False) -> Value:
        """What is computed of the job as it is now, once for all viewers: the same object until it is computed anew.

        While the job runs that is at most every `age_s`, and only where there is news, or always where it depends on
        the time as well (`by_time`). Called with the lock held.
        """
        now, of, done = time.monotonic(), (self.version, self.sampled, len(self.earlier)), self.job.state.done
        known = self._computed.get(what)
        if known is not None:
            is_of_now, is_young = known[0] == of, now - known[1] < age_s
            if (is_of_now and (done or not by_time)) or (is_young and not done):
                value: Value = known[2]
                return value
        value = compute()
        while len(self._computed) >= _COMPUTED:
            del self._computed[next(iter(self._computed))]
        self._computed[what] = (of, now, value)
        return value

    def _pause(self) -> float:
        self.asked_at = time.monotonic()
        if self._is_behind:
            return 0.0
        return _ENDED_LOOK_S if self.job.state.done and self.read_at and not self.trouble else _LOOK_S

    @property
    def is_behind(self) -> bool:
        """Whether there is more output to read than one look could."""
        return self._is_behind

    def _read(self) -> None:
        was_done = self.job.state.done
        if was_done and self.version >= 0:
            self._notice_retry()
        _ = self.job.status  # reads what is new, and has the engine look after lost runs
        self.version = self.job.state.version
        self._note_machines()
        self._read_earlier()
        self._read_telemetry(_READ_S if self.read_at else 0.0)  # at first one page: how the job stands is shown soon

    def _notice_retry(self) -> None:
        header = engine_for(self.job.header.engine).stores.log.get_job(self.job.id)
        if header.cancelled_at != self.job.header.cancelled_at:
            self.job = get_job(self.job.id, engine=header.engine)

    def _note_machines(self) -> None:
        """A machine's latest event takes the place of the one that said it was up."""
        events = self.job.state.job_events(EventKind.PROCESS, EventKind.MACHINE)
        up = [event.at for event in events if event.data.get("state", "up") == "up"]
        self.up_at = min([*up, *filter(None, [self.up_at])], default=None)

    def _read_earlier(self) -> None:
        """Keep what became of first attempts: the state of a job tells of each run's last alone."""
        state = self.job.state
        if not state.tried_again:
            return
        log, began = engine_for(state.header.engine).stores.log, time.monotonic()
        while time.monotonic() - began < _READ_S:
            events, self._state_cursor = log.read_since(self.job.id, self._state_cursor)
            if not events:
                break
            self._tries.take(events)
        self.earlier = self._tries.beside(state)

    def _read_telemetry(self, spare_s: float) -> None:
        """One page of what runs print and use, and more while there is time."""
        log, began = engine_for(self.job.header.engine).stores.log, time.monotonic()
        self._is_behind = True
        while True:
            events, self._cursor = log.read_since(self.job.id, self._cursor, channel="telemetry")
            if not events:
                self._is_behind = False
                if self.job.state.done:
                    self.log.end()
                return
            self._take(self._seen.new_among(events))
            if time.monotonic() - began >= spare_s:
                return

    def _take(self, events: list[Event]) -> None:
        for event in events:
            if event.kind is EventKind.USAGE:
                sample = LoadSample.of(event)
                self.samples.append(sample)
                self.sampled += 1
                if sample.machine:
                    self.machines.setdefault(sample.machine, len(self.machines) + 1)
            elif event.kind is EventKind.STEP:
                self.steps.append(step_record(event))
                self.step_counts[event.index] += 1
        printed = (event for event in events if event.kind is EventKind.LOG)
        self.log.add((event.index, event.attempt, event.at, str(event.data.get("text", ""))) for event in printed)


class FollowedJobs:
    """The jobs that are being looked at."""

    def __init__(self, engine: str | None) -> None:
        self._engine = engine
        #: Who reads the results of all of them.
        self.results = ResultsProcess()
        self._lock = threading.Lock()
        self._by_id: dict[str, FollowedJob] = {}

    def followed(self, job_id: str) -> FollowedJob:
        """The one followed of that job. Raises `JobNotFound`."""
        self.forget_idle()
        with self._lock:
            if job_id not in self._by_id:
                self._by_id[job_id] = FollowedJob(get_job(job_id, engine=self._engine), self.results)
            return self._by_id[job_id]

    def forget_idle(self) -> bool:
        """Let go of what was read of jobs that nobody looks at, and tell whether there was any."""
        with self._lock:
            for job_id in [job_id for job_id, held in self._by_id.items() if held.is_idle(full=False)]:
                self._by_id.pop(job_id).log.close()
            held_runs = sum(len(held.job) for held in self._by_id.values() if held.version >= 0)
            idle = [held for held in self._by_id.values() if held_runs >= _FULL_RUNS and held.is_idle(full=True)]
        released = [held.let_go() for held in idle]  # pages that were left a moment ago have them still
        return any(released)
