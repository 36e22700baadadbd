"""A ramp: the stages in which a job's runs begin, each when the one before has ended and nothing speaks against more.

How far it has come is an event of the job's, so that anybody who looks after the job can go on with it.
"""

from __future__ import annotations

from collections.abc import Iterator

from fanfold.contract.layout import NEAR, REALTIME_MEMORY_MIB, REALTIME_TIMEOUT_S
from fanfold.core.fold import JobState
from fanfold.core.models import (
    BAD,
    FOLLOWING,
    DispatchRecord,
    EventKind,
    JobHeader,
    LargerRecord,
    RunRef,
    RunStatus,
    StageRecord,
    StopRecord,
    records,
)

#: The name of a ramp's records.
RAMP = "ramp"
#: Where so many of a stage's runs needed a larger machine, it goes no further.
_TOO_MANY = 0.5


def released(state: JobState) -> int:
    """The runs below this one have been let begin; all of a job without a ramp, and of one whose ramp is over."""
    if not state.header.stages or is_stopped(state):
        return state.header.count
    return max((record.stop for record in records(state.job_events(EventKind.STAGE), StageRecord)), default=0)


def is_stopped(state: JobState) -> bool:
    """Whether its ramp has stopped the job."""
    return any(stop.name == RAMP for stop in records(state.job_events(EventKind.STOP), StopRecord))


def next_stop(header: JobHeader, stop: int) -> int:
    """Where the stage after that one ends."""
    return next((stage for stage in header.stages if stop < stage < header.count), header.count)


def has_ended(state: JobState, stop: int) -> bool:
    """Whether every run of the stage that ends there is over."""
    return state.is_over(stop)


def reasons_to_stop(state: JobState, stop: int) -> list[str]:
    """What speaks against going on after the stage that ends there, as parts of a sentence."""
    statuses = [state.status_of(index) for index in range(stop)]
    reasons = [f"{statuses.count(bad)} of {stop} runs {bad.value.replace('_', ' ')}" for bad in BAD if bad in statuses]
    larger = sum(one.count for one in records(state.job_events(EventKind.LARGER), LargerRecord) if one.rung == 1)
    if larger >= _TOO_MANY * stop:
        reasons.append(f"{larger} of {stop} runs needed a larger machine")
    if state.header.instance_type is None:
        reasons += _near_limits(state, statuses)
    return reasons


def _near_limits(state: JobState, statuses: list[RunStatus]) -> Iterator[str]:
    stop = len(statuses)
    used = [usage for index in range(stop) if (usage := state.usage(index)) is not None]
    slow = sum(usage.duration_s >= NEAR * (state.header.timeout_s or REALTIME_TIMEOUT_S) for usage in used)
    large = sum(usage.peak_memory_mib >= NEAR * (state.header.memory_mib or REALTIME_MEMORY_MIB) for usage in used)
    if slow and RunStatus.TIMED_OUT not in statuses:
        yield f"{slow} of {stop} runs came within 10% of the time limit"
    if large and RunStatus.OUT_OF_MEMORY not in statuses:
        yield f"{large} of {stop} runs came within 10% of the memory limit"


def stop_reason(state: JobState, stop: int, reasons: list[str]) -> str:
    """Why a ramp goes no further, as the job tells it."""
    return f"the ramp stopped after {stop:,} of {state.header.count:,} runs: {'; '.join(reasons)}"


def open_runs(state: JobState, start: int, stop: int) -> list[RunRef]:
    """The runs from `start` up to `stop` that are to be started: neither ended, nor performed by an earlier job."""
    given = [one for one in records(state.job_events(EventKind.DISPATCH), DispatchRecord) if one.path == FOLLOWING]
    followed: set[int] = set()
    if given:
        from fanfold.engines.following import runs_of

        followed = {index for record in given for index in runs_of(record)}
    indexes = (index for index in range(start, stop) if state.status_of(index) is RunStatus.QUEUED)
    return [RunRef(index, state.attempt_of(index)) for index in indexes if index not in followed]
