"""Finding runs that nobody runs any more: they are recorded as lost; the fold decides what then."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from fanfold.contract.layout import REALTIME_TIMEOUT_S
from fanfold.core.fold import JobState
from fanfold.core.models import FOLLOWING, THROTTLED, Event, EventKind, JobHeader, RunError, RunRef, RunStatus
from fanfold.engines.aws.dispatch import Dispatch, of_event
from fanfold.engines.aws.paths import LaunchPath
from fanfold.engines.aws.paths.base import CLOCKS_S, STARTING_S, Fate
from fanfold.stores.aws.clock import ServiceClock

#: A realtime run that started so long before now, its time limit not counted, will not end any more.
_LEASE_S = 60.0 + CLOCKS_S


#: Why nothing comes of a further attempt when there is no machine left.
_NO_MACHINE = Fate("its machines have ended")


class Findings(NamedTuple):
    """Runs whose attempt is lost, each with the reason; and runs that are due to be started."""

    lost: list[tuple[RunRef, Fate]]
    due: list[RunRef]

    def __bool__(self) -> bool:
        return bool(self.lost or self.due)


class Inspector:
    """Looks through a job's open runs."""

    def __init__(self, paths: Mapping[str, LaunchPath], clock: ServiceClock) -> None:
        self._paths = paths
        self._clock = clock

    def look(self, header: JobHeader, state: JobState) -> Findings:
        """What is lost and what is due, of the job as `state` tells it."""
        dispatches = dispatches_of(state)
        now = self._now()
        fates = {one.name: self._paths[one.path].fate(header, one, now - one.at) for one in dispatches}
        findings = Findings([], [])
        attended = any(fate is None for fate in fates.values())
        followed = _dispatches(state, followed=True)
        young = _is_young(header, dispatches, now)
        for index in state.missing():
            run = RunRef(index, state.attempt_of(index))
            mine = next((one for one in dispatches if one.covers(*run[:2])), None)
            if mine is None:
                if (state.due_at(index) or 0.0) > now or any(one.covers(*run[:2]) for one in followed):
                    continue  # its pause is not over, or an earlier job performs it
                if _is_due(header, run, attended=attended, young=young):
                    findings.due.append(run)
                if header.cancelled_at is None or attended:
                    continue
            # Machines try again by themselves, which no dispatch tells of: a cancelled job's runs end with them.
            fate = fates[mine.name] if mine is not None else _NO_MACHINE if header.instance_type else None
            ending = fate or self._overdue(header, state, run)
            # A cancelled job's queued runs are over by its flag alone.
            if ending and (header.cancelled_at is None or state.status_of(index) is RunStatus.RUNNING):
                findings.lost.append((run, ending))
        return findings

    def _now(self) -> float:
        """What time it is in AWS, where nearly all that is compared with it was written."""
        return time.time() - self._clock.ahead_s

    def _overdue(self, header: JobHeader, state: JobState, run: RunRef) -> Fate | None:
        """Why a realtime run that has started cannot be running any more."""
        if header.instance_type is not None or state.status_of(run.index) is not RunStatus.RUNNING:
            return None
        started_at = state.started_at(run.index)
        limit_s = (header.timeout_s or REALTIME_TIMEOUT_S) + _LEASE_S
        if started_at is None or self._now() - started_at < limit_s:
            return None
        return Fate(f"it started {limit_s:.0f} s ago or more and never reported its end")


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
