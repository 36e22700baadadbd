"""What a machine works on: runs it claims a few at a time, those another machine left, and its own retries."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence, Set
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

from fanfold.core.fold import JobState
from fanfold.core.models import Event, EventKind, JobHeader, RunError, RunRef, RunStatus
from fanfold.core.options import pause_s, should_retry
from fanfold.engines.aws.dispatch import of_event
from fanfold.engines.aws.work import Holding, Work
from fanfold.engines.feed import Recorder, finished, together
from fanfold.errors import SignInNeeded, StoreError, StoreFull
from fanfold.execution.calls import Assignment, Call, Report
from fanfold.execution.channel import Asked, Reply
from fanfold.execution.worker.perform import UNKEPT
from fanfold.stores.aws import AwsStores
from fanfold.stores.packing import Manifest
from fanfold.stores.state import read_state
from fanfold_runtime import telemetry
from fanfold_runtime.blob_cache import BlobCache
from fanfold_runtime.cancel_flag import is_cancelled
from fanfold_runtime.context import TELEMETRY_S
from fanfold_runtime.network import Network

if TYPE_CHECKING:
    from fanfold.engines.aws.rate_limiter import RateLimiter
    from fanfold_runtime.rival_tries import RivalTries

T = TypeVar("T")

#: As much work is claimed together as is done in this long: a claim is two calls, and nobody else can do what is held.
_CLAIM_S = 2.0
_MOST_CLAIMED = 64
#: How long a machine goes on asking while the network or AWS fails.
PATIENCE_S = 600.0
#: When all is claimed, others' expired leases are looked for this often: with the lease, less than a minute.
_LOOK_AGAIN_S = 12.0
#: One machine at a time looks for what fell between two; one that dies meanwhile has looked for so long.
_SEARCH_S = 40.0
#: A claim is two calls, between which nobody holds what is claimed; a slow one takes this long.
_CLAIM_TAKES_S = 10.0
#: Each machine knows AWS's time within two seconds, so two of them within four; and a call takes its time as well.
_CLOCKS_AGREE_S = 5.0
#: How often it is looked, within a lease, for whether others are still there.
_LOOKS_A_LEASE = 30
#: A run whose arguments or result found no room on the disk begins again so often, after pauses that double.
_UNKEPT_TRIES, _UNKEPT_PAUSE_S = 3, 5.0


def _turns_of(header: JobHeader, stores: AwsStores) -> RateLimiter | None:
    if not header.rate:
        return None
    from fanfold.engines.aws.rate_limiter import RateLimiter

    return RateLimiter(stores, header)


def _rivals_of(header: JobHeader, stores: AwsStores, work: Work, machine: str) -> RivalTries | None:
    """What a job needs whose runs may have two tries at once."""
    if not header.hedge:
        return None
    from fanfold_runtime.rival_tries import RivalTries

    return RivalTries(header, stores.log, work, machine)


class ClaimingFeed:
    """Feeds a pool with the runs that `machine` claims, and keeps the book of what it holds."""

    def __init__(
        self,
        header: JobHeader,
        stores: AwsStores,
        *,
        assignment: Assignment,
        work: Work,
        machine: str,
        blob_cache: BlobCache,
        network: Network,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """`patience_s`: how long recording is tried again while the network or AWS fails."""
        self.assignment = assignment
        self.header = header
        self.stopping = threading.Event()
        #: Set from the moment on at which it is known that the machine goes soon: nothing more is begun.
        self.leaving = threading.Event()
        self._stores = stores
        self.work, self.machine, self._blob_cache = work, machine, blob_cache
        self._log = stores.log
        self._manifest = Manifest(stores.objects, header.id, header.count)
        self._recorder = Recorder(header, stores, self._manifest.cache_keys, hold_s=TELEMETRY_S)
        self._patience_s = patience_s
        self._network = network
        self._waiting: deque[RunRef] = deque()
        self._later: list[tuple[float, RunRef]] = []
        #: Tries (run, attempt) that this machine answers for; of a run that has a duplicate, it may have both.
        self._held: dict[tuple[int, int], RunRef] = {}
        #: Of what it holds, what was written down when it last was.
        self._on_record: set[tuple[int, int]] = set()
        self._held_until = 0.0
        self._lock = threading.Lock()
        #: One thread at a time writes down what this machine holds.
        self.holding: AbstractContextManager[Any] = threading.Lock()
        self._unkept: dict[int, int] = {}
        #: Of each run under way, the copies it needs.
        self._needs: dict[tuple[int, int], set[str]] = {}
        self._run_s: float | None = None
        self._look_at = 0.0
        #: Other machines that hold something, and were seen to renew their lease.
        self.alive: Set[str] = frozenset()
        self._turns = _turns_of(header, stores)
        self._rivals = _rivals_of(header, stores, work, machine)
        self._superseded = None if self._rivals is None else self._rivals.superseded

    @property
    def obsolete(self) -> Collection[tuple[int, int]]:
        """Tries (run, attempt) that are not needed any more."""
        return () if self._superseded is None else self._superseded.obsolete

    def take(self) -> Call | None:
        """The next run for this machine."""
        if self.stopping.is_set() or self.leaving.is_set():
            return None
        self._recall()
        waits_for_turns = bool(self._turns and self._later)
        if not self._waiting and not waits_for_turns and time.monotonic() >= self._look_at:
            self._claim()
        while (run := self._next_held()) is not None:
            try:
                call = self._patiently(lambda run=run: self._call(run))  # type: ignore[misc]
            except StoreFull as error:
                told = RunError(UNKEPT, error.message, infrastructure=True)
                end = Event.new(self.header.id, *run[:2], EventKind.FINISHED, status=RunStatus.FAILED, error=told)
                self.record([Report(end)])
                return None
            if self._may_begin(run):
                return call
        return None

    def _next_held(self) -> RunRef | None:
        """The first that waits, without those that were lost meanwhile."""
        with self._lock:
            while self._waiting and not (self.stopping.is_set() or self.leaving.is_set()):
                run = self._waiting.popleft()
                if run[:2] in self._held:
                    return run
        return None

    def _may_begin(self, run: RunRef) -> bool:
        """Whether a run that was claimed is still this machine's to begin.

        It may have been told to stop meanwhile, and have given back what it holds. Or it was frozen or cut off: then
        others may have taken the run over, or its job was cancelled and nobody could tell it.
        """
        was_away = time.monotonic() >= self._held_until
        while time.monotonic() >= self._held_until and not self.stopping.is_set():
            self._patiently(self.hold)
        if was_away and is_cancelled(self._log.job_headers, self.header.id, 0):
            with self._lock:
                self._waiting.clear()  # the pool is told so in a moment, and ends
            return False
        with self._lock:
            return run[:2] in self._held and not self.stopping.is_set()

    def record(self, reports: Sequence[Report]) -> None:
        """Keep what happened, as long as that takes; then what has ended is held no more."""
        if self._superseded is not None:
            reports = self._superseded.marked(reports)
        kept = [self._completed(report) for report in reports if not self._try_again_later(report.event)]
        told = self._patiently(lambda: self._recorder.record(kept))
        ended = finished(told)
        for event in ended:
            self._learn(event)
            self._end(event)
        telemetry.tell_end(self.header, ended)
        for report in reports:
            if report.result_file is not None:
                report.result_file.unlink(missing_ok=True)

    def flush(self) -> None:
        """Record output that has been held back; where the machine goes soon, let others begin what it will not."""
        self._patiently(self._recorder.flush)
        if self._superseded is not None:
            self._superseded.look([run[:2] for run in self.held()])
        if self.leaving.is_set():
            self._offer()

    def answer(self, call: Call, asked: Asked) -> Reply:
        """What a run asks for: what its steps have kept, or that something be kept, as long as that takes."""
        from fanfold.engines.step_book import StepBook  # few jobs have steps

        facts, body = self._patiently(lambda: StepBook(self.header, self._stores).answer(call, asked))
        if self.leaving.is_set() and "codec" not in facts:  # it has kept a step, or would begin one
            facts = {**facts, "ends_for": "EC2 takes its machine back"}
        return facts, body

    def held(self) -> list[RunRef]:
        """The runs that this machine holds and has not ended. Any thread may ask."""
        with self._lock:
            return list(self._held.values())

    def _completed(self, report: Report) -> Report:
        """What a run uses, with its machine, and what that sends and receives: it is not known of a process."""
        event = report.event
        if event.kind is not EventKind.USAGE:
            return report
        return report._replace(
            event=event._replace(data={**event.data, **self._network.news(), "machine": self.machine})
        )

    def find_more(self) -> bool:
        """Whether there is more to do when all seems done; waits for a run that waits for room on the disk.

        Runs may have fallen between two machines: one that died as it claimed, a claim that was counted twice. The
        machine that ends last looks for them. And a machine may have died with what it holds: nobody starts another in
        its place, so a machine with nothing to do waits until that is free, or in good hands.
        """
        if self.leaving.is_set():
            self._offer()
            return False
        if self._later:
            self.stopping.wait(max(0.0, min(at for at, _ in self._later) - time.monotonic()))
            return True
        if self._rivals is not None and self._waits_for_duplicate(self._rivals):
            return not self.stopping.is_set()
        self._patiently(self.wait_for_signs_of_life)
        if self.stopping.is_set():
            return False
        self._claim()
        if not self._waiting and not self._patiently(self.look_for_leftovers):
            self.stopping.wait(_SEARCH_S / 10)
            return not self.stopping.is_set()
        return bool(self._waiting or self._later)

    def _waits_for_duplicate(self, rivals: RivalTries) -> bool:
        """Take what there is by now, or wait a moment where a slow run of another machine may get a duplicate."""
        self._claim()
        if self._waiting or self._later:
            return True
        may_come = self._patiently(rivals.may_come)
        if may_come:
            self.stopping.wait(self.work.lease_s / _LOOKS_A_LEASE)
        return may_come

    def _offer(self) -> None:
        """Let others begin at once what this machine has claimed and will not begin."""
        with self._lock:
            idle = [*self._waiting, *(run for _, run in self._later)]
            runs = [run for run in idle if run[:2] in self._held]
        if runs:
            self._patiently(lambda: self.work.offer(self.machine, runs))
            self._lose({run[:2] for run in runs})
            self._patiently(self.hold)
        self._waiting.clear()
        self._later = []

    def wait_for_signs_of_life(self) -> None:
        """Wait until each other machine that holds something has renewed its lease, or its lease is over.

        Also one that has come up meanwhile: it may have taken over what another held, and be dead by now.
        """
        first: dict[str, float] = {}
        while not self.stopping.is_set():
            now = self.work.in_others_hands(self.machine)
            first = {**now, **first}
            if all(first[machine] != until for machine, until in now.items()):
                self.alive = now.keys()
                return
            self.stopping.wait(self.work.lease_s / _LOOKS_A_LEASE)

    def look_for_leftovers(self) -> bool:
        """Take what no machine holds, where this is the last one; False while another looks: both would take it.

        False as well where a machine holds something and no heartbeat of it was seen.
        """
        others = self.work.in_others_hands(self.machine).keys()
        if others:
            return others <= self.alive
        began = time.monotonic()
        if not self.work.begin_search(_SEARCH_S):
            return False
        left = self._leftovers()
        if left:  # what another has just claimed may be on its way into that one's list
            self.stopping.wait(_CLAIM_TAKES_S)
            left = self._leftovers()
        if left and self._rivals is not None:
            left = self._rivals.left_over(left)
        taken = left is not None and (not left or self._begin(left, asked_at=began, within_s=_SEARCH_S))
        self.work.end_search()
        return taken

    def _leftovers(self) -> list[RunRef] | None:
        """Runs without an end, as of now; None where another machine holds anything, or has until its lease was over.

        Then it is not known what of them is left, and that machine may be dead.
        """
        if self.work.in_others_hands(self.machine) or any(self._abandoned()):
            return None
        state = read_state(self._log, self.header, consistent=True)  # what was recorded a moment ago is done
        missing = set(state.missing())
        left = [run for run in self.work.laid_out() if run.index in missing]
        return [RunRef(run.index, state.attempt_of(run.index), run.first_attempt) for run in left]

    def _claim(self) -> None:
        runs, asked_at = self._patiently(lambda: _timed(lambda: self.work.take(self._portion())))
        if runs:
            self._begin(runs, asked_at=asked_at)
            return
        taken, asked_at = self._patiently(lambda: _timed(self._take_over))
        if taken is not None:
            runs = self._not_mine(taken.runs)
            # Before anything is asked about them: until then nobody holds them.
            if self._hold_more(runs, asked_at=asked_at):
                open_ = self._patiently(lambda: self._still_open(taken, runs))
                self._lose({run[:2] for run in runs} - {run[:2] for run in open_})
                self._begin(open_, asked_at=time.monotonic())
        else:
            self._look_at = time.monotonic() + _LOOK_AGAIN_S

    def _not_mine(self, runs: list[RunRef]) -> list[RunRef]:
        """Those of runs taken over that this machine does not hold itself, in a later attempt."""
        held = self.held()
        mine = {run.index for run in held} if self._rivals is None else {run[:2] for run in held}
        return [run for run in runs if run.index not in mine and run[:2] not in mine]

    def _take_over(self) -> Holding | None:
        """What another machine held past its time."""
        return next((held for held in self._abandoned() if self.work.take_over(held)), None)

    def _abandoned(self) -> Iterator[Holding]:
        """What other machines held past their time, and nobody has taken over."""
        return (held for held in self.work.abandoned() if held.machine != self.machine)

    def _still_open(self, taken: Holding, runs: list[RunRef]) -> list[RunRef]:
        """Those that have not ended, and that nobody was given since, each with the attempt that is due.

        A machine's lease may be over long after its runs: where all machines of a dispatch are gone, what they held is
        lost, and started again for others.
        """
        if self._rivals is not None:
            return self._rivals.taken_over(taken, runs)
        state = JobState(self.header)
        state.apply(self._log.read_runs(self.header.id, [-1, *(run.index for run in runs)]))
        missing = set(state.missing())
        dispatches = [of_event(event) for event in state.job_events(EventKind.DISPATCH)]
        open_ = []
        for index, attempt, first, *_ in runs:
            due = max(attempt, state.attempt_of(index))
            later = range(attempt + 1, due + 1)
            if index in missing and not any(one.covers(index, again) for one in dispatches for again in later):
                open_.append(RunRef(index, due, first))
        return open_

    def hold(self) -> None:
        """Write down what this machine holds. One thread at a time: else an older list might replace a newer one.

        Where its lease was over before, and others have taken over what it held, it holds that no longer. From when on
        others may take over is written down by this machine's clock and read by theirs, so it begins nothing that late.
        """
        with self.holding:
            runs, from_ = self.held(), time.monotonic()
            if not self.work.hold(self.machine, runs):
                if self.stopping.is_set():
                    return  # it has given all back
                self._lose(self._on_record)
                runs = self.held()
                self.work.hold(self.machine, runs, anew=True)
            self._on_record = {run[:2] for run in runs}
            self._held_until = from_ + self.work.lease_s - min(_CLOCKS_AGREE_S, self.work.lease_s / 4)

    def _lose(self, tries: set[tuple[int, int]]) -> None:
        """Hold these no longer. One that is under way may still end: a run's first good end counts."""
        with self._lock:
            for one in tries:
                self._held.pop(one, None)

    def _begin(self, runs: list[RunRef], *, asked_at: float, within_s: float = _CLAIM_TAKES_S) -> bool:
        held = self._hold_more(runs, asked_at=asked_at, within_s=within_s)
        if held and self._turns is not None:
            self._later += self._with_turns(runs, self._turns)
        elif held:
            self._waiting.extend(runs)
        return held

    def _with_turns(self, runs: list[RunRef], turns: RateLimiter) -> list[tuple[float, RunRef]]:
        """When each of them may begin (time.monotonic seconds)."""
        first = time.monotonic() + self._patiently(lambda: turns.take(len(runs)))
        return [(first + place * turns.gap_s, run) for place, run in enumerate(runs)]

    def _hold_more(self, runs: list[RunRef], *, asked_at: float, within_s: float = _CLAIM_TAKES_S) -> bool:
        """Hold what was claimed just now; False where writing that down took so long that another may have found it."""
        with self._lock:
            self._held.update({run[:2]: run for run in runs})
            self._on_record = self._on_record - {run[:2] for run in runs}
        self._patiently(self.hold)
        if time.monotonic() - asked_at < within_s:
            return True
        self._lose({run[:2] for run in runs})  # a search for runs that no machine holds finds them
        self._patiently(self.hold)
        return False

    def _portion(self) -> int:
        side_by_side = self.header.n_processes_per_worker
        if self._run_s is None:
            return side_by_side
        if self._turns is not None:  # whose turn is far away, another machine may have begun by then
            return max(1, min(side_by_side, int(_CLAIM_S / self._turns.gap_s)))
        return max(1, min(_MOST_CLAIMED, int(side_by_side * _CLAIM_S / max(self._run_s, 0.001))))

    def _call(self, run: RunRef) -> Call:
        arguments = together(self._manifest.arguments(run.index), self.header.constants)
        try:
            needs = self._blob_cache.fetch_for(arguments)
        except StoreFull:
            self._blob_cache.tidy(self._in_use(), above_bytes=0)
            needs = self._blob_cache.fetch_for(arguments)
        if needs:
            self._needs[run[:2]] = needs
            self._blob_cache.tidy(self._in_use())
        return Call(run.index, run.attempt, arguments)

    def _in_use(self) -> set[str]:
        """The large values that runs under way refer to."""
        return {name for needs in self._needs.values() for name in needs}

    def _learn(self, event: Event) -> None:
        if event.usage is not None:
            took_s = event.usage.duration_s
            self._run_s = took_s if self._run_s is None else 0.7 * self._run_s + 0.3 * took_s

    def _end(self, event: Event) -> None:
        """The attempt has ended: the run goes again, or is held no more."""
        self._needs.pop((event.index, event.attempt), None)
        with self._lock:
            run = self._held.get((event.index, event.attempt))
        first = 0 if run is None else run.attempt if run.first_attempt is None else run.first_attempt
        again = None if run is None else self._next_try(event, first)
        with self._lock:
            if self._held.pop((event.index, event.attempt), None) is None or again is None:
                return  # it is over, or another's by now, which tries it again if that is due
            self._held[again[:2]] = again
        wait_s = pause_s(self.header, event.index, event.attempt, first)
        if self._turns is not None:
            wait_s = max(wait_s, self._patiently(self._turns.take))
        if wait_s:
            self._later.append((time.monotonic() + wait_s, again))
        else:
            self._waiting.appendleft(again)

    def _next_try(self, event: Event, first: int) -> RunRef | None:
        """The try that this machine is to make after that end; None for none."""
        if event.status is None or event.status.good:
            return None
        if (rivals := self._rivals) is not None:
            return self._patiently(lambda: rivals.after_failure(event.index))
        if should_retry(self.header, event.status, event.error, event.attempt, first):
            return RunRef(event.index, event.attempt + 1, first)
        return None

    def _try_again_later(self, event: Event) -> bool:
        """What found no room is no end yet: what fills the disk may be another run's, and go with it."""
        if event.kind is not EventKind.FINISHED or event.error is None or event.error.type != UNKEPT:
            return False
        self._needs.pop((event.index, event.attempt), None)
        tries = self._unkept[event.index] = self._unkept.get(event.index, 0) + 1
        if tries > _UNKEPT_TRIES:
            return False
        with self._lock:
            run = self._held.get((event.index, event.attempt), RunRef(event.index, event.attempt))
        self._later.append((time.monotonic() + _UNKEPT_PAUSE_S * 2 ** (tries - 1), run))
        return True

    def _recall(self) -> None:
        now = time.monotonic()
        self._waiting.extendleft(run for at, run in self._later if at <= now)
        self._later = [(at, run) for at, run in self._later if at > now]

    def _patiently(self, act: Callable[[], T]) -> T:
        return patiently(act, self.stopping, self._patience_s)


def patiently(act: Callable[[], T], stopping: threading.Event, patience_s: float = PATIENCE_S) -> T:
    """Do it again, after ever longer pauses, while AWS or the network fails. Raises `StoreError` in the end, and
    `StoreFull` at once: what it is that fills the disk, waiting here would not end.

    A machine's credentials come from its host, which renews them: where they have expired, that is late.
    """
    deadline, pause_s = time.monotonic() + patience_s, 0.5
    while True:
        try:
            return act()
        except StoreFull:
            raise
        except (StoreError, SignInNeeded):
            if time.monotonic() > deadline or stopping.wait(pause_s):
                raise
            pause_s = min(2 * pause_s, 30.0)


def _timed(act: Callable[[], T]) -> tuple[T, float]:
    """What came of it, and when it was begun: where it is done patiently, the try that went well."""
    began = time.monotonic()
    return act(), began
