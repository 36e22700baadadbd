"""A ramp: the stages in which a job's runs begin, each when the one before has ended and nothing speaks against more.

A stage that AWS starts as one Map Run begins narrow, and widens as runs end; where many fail before it is as wide as it
may be, the ramp stops all the same. How far a ramp has come are events of the job's, so that anybody who looks after
the job can go on with it.
"""

from __future__ import annotations

from collections.abc import Iterator

from fanfold.contract.layout import NEAR, PROVEN_RUNS, REALTIME_MEMORY_MIB, REALTIME_TIMEOUT_S
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
#: Where so many of a job's runs that are over have failed, and no fewer than these, a stage widens no further.
_BAD_SHARE, _FEW_BAD = 0.1, 5


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


# How wide a stage is that has begun.


def width_of(state: JobState) -> StageRecord | None:
    """How wide the stage is that a ramp has come to, where it is a Map Run that began narrow; None for any other."""
    told = records(state.job_events(EventKind.STAGE), StageRecord)
    ramp = next((record for record in told if record.name == RAMP), None)
    if ramp is None or not ramp.judged or is_stopped(state):
        return None
    return next((record for record in reversed(told) if record.name != RAMP and record.stop == ramp.stop), None)


def is_narrow(state: JobState) -> bool:
    """Whether the stage that a ramp has come to is to widen yet."""
    width = width_of(state)
    return width is not None and width.children < width.most and not state.done


def children_allowed(over: int, runs_each: int, most: int) -> int:
    """How many children of so many runs each may go on side by side when so many runs of their job are over."""
    return most if over >= PROVEN_RUNS else max(1, min(most, over // runs_each))


def next_width(state: JobState, width: StageRecord) -> int | None:
    """How many children may go on by now, where that is twice as many or all; None where there is nothing to change."""
    allowed = children_allowed(state.runs_over, width.runs_each, width.most)
    return allowed if allowed > width.children and (allowed == width.most or allowed >= 2 * width.children) else None


def reasons_to_end(state: JobState) -> list[str]:
    """What speaks against going on with a stage that is not as wide as it may be, as parts of a sentence."""
    if not is_narrow(state):
        return []
    counts, over = state.counts(), state.runs_over
    if sum(counts[bad] for bad in BAD) < max(_FEW_BAD, _BAD_SHARE * over):
        return []
    return [f"{counts[bad]:,} of {over:,} runs {bad.value.replace('_', ' ')}" for bad in BAD if counts[bad]]


# Which runs are to be started.


def open_runs(state: JobState, start: int, stop: int) -> list[RunRef]:
    """The runs from `start` up to `stop` that are to be started: neither ended, nor performed by an earlier job."""
    given = [one for one in records(state.job_events(EventKind.DISPATCH), DispatchRecord) if one.path == FOLLOWING]
    followed: set[int] = set()
    if given:
        from fanfold.engines.following import runs_of

        followed = {index for record in given for index in runs_of(record)}
    indexes = (index for index in range(start, stop) if state.status_of(index) is RunStatus.QUEUED)
    return [RunRef(index, state.attempt_of(index)) for index in indexes if index not in followed]
