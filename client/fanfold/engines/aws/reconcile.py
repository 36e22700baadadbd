"""Finding runs that nobody runs any more: they are recorded as lost; the fold decides what then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf

from fanfold.contract.layout import REALTIME_TIMEOUT_S
from fanfold.contract.records import NamedTuple
from fanfold.core.fold import JobState
from fanfold.core.models import FOLLOWING, THROTTLED, Event, EventKind, JobHeader, RunError, RunRef, RunStatus
from fanfold.engines.aws.dispatch import DIRECT, Dispatch, of_event
from fanfold.engines.aws.paths import LaunchPath
from fanfold.engines.aws.paths.base import CLOCKS_S, CUT_OFF, STARTING_S, Fate
from fanfold.engines.base import submitter_has_ended
from fanfold.engines.stages import released
from fanfold.stores.aws.clock import ServiceClock

#: A realtime run that started so long before now, its time limit not counted, will not end any more.
_LEASE_S = 60.0 + CLOCKS_S


#: Of a client that ended while it started runs: after so long what it came to start can be seen, and has told of runs.
_SEEN_AFTER_S = 20.0
_CUT_OFF_WITHIN = Fate(CUT_OFF.reason)

#: How soon to see what has become of runs that an earlier job performs, and of a job that nothing is known to come of.
_FOLLOWED_S, _AT_LAST_S = 60.0, 3600.0
#: How soon to see whether so many runs have ended that it is known which are slow (`hedge=True`), or whether others
#: have begun: after so long at least, and of a job that takes long after a share of its age.
_SOON_S, _AGE_SHARE = 2.0, 4

#: Why nothing comes of a further attempt when there is no machine left.
_NO_MACHINE = Fate("its machines have ended")


class Findings(NamedTuple):
    """Runs whose attempt is lost, each with the reason; runs that are due to be started; and duplicates that are."""

    lost: list[tuple[RunRef, Fate]]
    due: list[RunRef]
    #: Of slow runs, which somebody performs.
    duplicates: list[RunRef]

    def __bool__(self) -> bool:
        return bool(self.lost or self.due)

    @property
    def to_start(self) -> list[RunRef]:
        """Every run that is to be started."""
        return [*self.due, *self.duplicates]


class Inspector:
    """Looks through a job's open runs."""

    def __init__(self, paths: Mapping[str, LaunchPath], clock: ServiceClock) -> None:
        self._paths = paths
        self._clock = clock
        #: Whether it starts what its client never came to start; the client may still be looking into the cache.
        self.takes_unreleased = True
        #: Duplicates that have been laid out for machines: the job, the run and the try.
        self.laid_out: set[tuple[str, int, int]] = set()

    def look(self, header: JobHeader, state: JobState) -> Findings:
        """What is lost and what is due, of the job as `state` tells it."""
        dispatches = dispatches_of(state)
        now, cut_off = self._clock.now(), submitter_has_ended(header.id)
        fates = {one.name: self._fate(header, one, now, cut_off=cut_off) for one in dispatches}
        findings = Findings([], [], list(self._duplicates(header, state, dispatches)))
        attended = any(fate is None for fate in fates.values())
        followed = _dispatches(state, followed=True)
        young = not cut_off and _is_young(header, dispatches, now)
        let_begin = released(state)
        for index in state.missing():
            if index in state.too_large:
                continue  # it waits for a larger machine
            run = RunRef(index, state.attempt_of(index))
            mine = next((one for one in dispatches if one.covers(*run[:2])), None)
            if mine is None:
                if (state.due_at(index) or 0.0) > now or any(one.covers(*run[:2]) for one in followed):
                    continue  # its pause is not over, or an earlier job performs it
                if self._is_released(header, run, let_begin) and _is_due(header, run, attended=attended, young=young):
                    findings.due.append(run)
                if header.cancelled_at is None or attended:
                    continue
            # Machines try again by themselves, which no dispatch tells of: a cancelled job's runs end with them.
            fate = fates[mine.name] if mine is not None else _NO_MACHINE if header.instance_type else None
            if fate is _CUT_OFF_WITHIN and state.status_of(index) is RunStatus.RUNNING:
                fate = None  # it came to be started before its client ended
            ending = fate or self._overdue(header, state, run)
            # A cancelled job's queued runs are over by its flag alone.
            if ending and (header.cancelled_at is None or state.status_of(index) is RunStatus.RUNNING):
                findings.lost.append((run, ending))
        return findings

    def _is_released(self, header: JobHeader, run: RunRef, let_begin: int) -> bool:
        """Whether a run may begin: of a ramp those up to its stage, of a larger job all."""
        if header.stages:
            return run.attempt > 0 or run.index < let_begin
        return run.attempt > 0 or self.takes_unreleased or bool(header.parent)

    def _duplicates(self, header: JobHeader, state: JobState, dispatches: list[Dispatch]) -> Iterator[RunRef]:
        """The duplicates of slow runs that are due, each as its run's next try."""
        if not header.hedge or header.cancelled_at is not None:
            return
        now, patience_s = self._clock.now(), self._patience_s(state)
        for index, attempt, at in self._without_duplicate(state, dispatches):
            if patience_s is not None and now - at > patience_s:
                yield RunRef(index, attempt + 1, state.first_attempt_of(index))

    def _duplicates_at(self, state: JobState, dispatches: list[Dispatch]) -> Iterator[float]:
        """When duplicates may be due; and when to look again for what begins meanwhile, of which nobody tells."""
        now, patience_s = self._clock.now(), self._patience_s(state)
        since = max([state.header.created_at, *(one.at for one in dispatches)])
        yield now + max(_SOON_S, (now - since) / _AGE_SHARE if patience_s is None else patience_s)
        if patience_s is not None:
            yield from (at + patience_s for _, _, at in self._without_duplicate(state, dispatches))

    @staticmethod
    def _patience_s(state: JobState) -> float | None:
        from fanfold.core.duplicates import patience_s

        ended = [took_s for status, took_s, _ in state.performed() if status is RunStatus.SUCCEEDED]
        return patience_s(ended, state.counts()[RunStatus.RUNNING])

    def _without_duplicate(self, state: JobState, dispatches: list[Dispatch]) -> list[tuple[int, int, float]]:
        """Runs with one try that goes on, which have had no other beside it: the run, the try, and when it started."""
        tries = state.tries
        return [
            (index, attempt, at)
            for index, attempt, at in (() if tries is None else tries.alone())
            if (state.header.id, index, attempt + 1) not in self.laid_out
            and not any(each.covers(index, attempt + 1) for each in dispatches)
            and not (tries is not None and tries.had_duplicate(index, state.first_attempt_of(index)))
        ]

    def wait_s(self, header: JobHeader, state: JobState) -> float:
        """In how many seconds a look may find something that nobody tells of: a pause or a patience that is over."""
        findings = self.look(header, state)
        if findings.lost or findings.to_start:
            return 0.0  # another client was about to, or it takes a second look
        now, dispatches = self._clock.now(), dispatches_of(state)
        times = [one.at + self._paths[one.path].lasts_s(one) for one in dispatches]
        times.append(max([header.created_at, *(one.at for one in dispatches)]) + STARTING_S)
        times += (due_at for index in state.missing() if (due_at := state.due_at(index)))
        if header.stages and not released(state):
            times.append(header.created_at + STARTING_S)
        if header.instance_type is None:
            limit_s = (header.timeout_s or REALTIME_TIMEOUT_S) + _LEASE_S
            times += (at + limit_s for _, at in state.running())
        if _dispatches(state, followed=True):
            times.append(now + _FOLLOWED_S)
        if header.hedge and header.cancelled_at is None:
            times += self._duplicates_at(state, dispatches)
        return min((at - now for at in times if at > now), default=_AT_LAST_S)

    def _fate(self, header: JobHeader, dispatch: Dispatch, now: float, *, cut_off: bool) -> Fate | None:
        """What becomes of a dispatch. `cut_off`: the client that submitted the job is known to have ended."""
        path, age_s = self._paths[dispatch.path], now - dispatch.at
        fate = path.fate(header, dispatch, age_s)
        if fate is None and cut_off and age_s > _SEEN_AFTER_S and _was_the_submitters(dispatch):
            return _CUT_OFF_WITHIN if path.fate(header, dispatch, inf) else None
        return fate

    def _overdue(self, header: JobHeader, state: JobState, run: RunRef) -> Fate | None:
        """Why a realtime run that has started cannot be running any more."""
        if header.instance_type is not None or state.status_of(run.index) is not RunStatus.RUNNING:
            return None
        started_at = state.started_at(run.index)
        limit_s = (header.timeout_s or REALTIME_TIMEOUT_S) + _LEASE_S
        if started_at is None or self._clock.now() - started_at < limit_s:
            return None
        return Fate(f"it started {limit_s:.0f} s ago or more and never reported its end")


def _was_the_submitters(dispatch: Dispatch) -> bool:
    """Whether it took the client that submitted the job to go on with it. What is tried again others have started."""
    took_a_client = dispatch.state == "starting" or dispatch.path == DIRECT
    return took_a_client and not any(attempt for attempt, _, _ in dispatch.ranges)


def dispatches_of(state: JobState) -> list[Dispatch]:
    """A job's dispatches, the latest first."""
    return _dispatches(state, followed=False)


def _dispatches(state: JobState, *, followed: bool) -> list[Dispatch]:
    told = map(of_event, state.job_events(EventKind.DISPATCH))
    return sorted((one for one in told if (one.path == FOLLOWING) is followed), key=lambda one: -one.at)


def lost_events(header: JobHeader, findings: Findings) -> Iterator[Event]:
    """The events that tell of lost runs: worth another attempt, unless the job was cancelled."""
    again = header.cancelled_at is None
    for run, ending in findings.lost:
        kind = THROTTLED if ending.throttled and again else "Lost"
        error = RunError(kind, ending.reason, infrastructure=again)
        status = RunStatus.LOST if again else RunStatus.CANCELLED
        yield Event.new(header.id, run.index, run.attempt, EventKind.FINISHED, status=status, error=error)


def _is_due(header: JobHeader, run: RunRef, *, attended: bool, young: bool) -> bool:
    """Whether a run that no dispatch covers is to be started.

    A first attempt may still be about to be started by who submits, stage by stage. A further one is nobody else's,
    but that dedicated machines try again themselves for as long as there are any.
    """
    if header.cancelled_at is not None:
        return False
    if run.attempt > 0:
        return header.instance_type is None or not attended
    return not attended and not young


def _is_young(header: JobHeader, dispatches: list[Dispatch], now: float) -> bool:
    """Whether who submits the job may still be at it."""
    return now - max([header.created_at, *(one.at for one in dispatches)]) < STARTING_S
