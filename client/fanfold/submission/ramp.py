"""Starting small by itself: 1 run, 5, 50, then all, as long as nothing speaks against going on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fanfold.engines.stages import is_narrow, is_stopped, released
from fanfold.errors import InputError, RampStopped
from fanfold.job import Job
from fanfold.job.waiting import Progress

DEFAULT_STAGES = (1, 5, 50)


def climb(job: Job, *, progress: bool | None = None) -> bool:
    """Wait until the last stage of a job's ramp has begun and is as wide as it may be (`engines.steward`).

    `progress` shows one bar over all stages, as `job.wait` does. True where a bar has been shown. Raises `RampStopped`
    with a report of the stage that went wrong; what has succeeded stays in the cache, and the rest is cancelled.
    """
    # This bar goes when the ramp is climbed; the wait for the rest shows another, which begins where this one ends.
    with Progress(job.header, shown=progress, stays=False) as bar:
        for state in job.changes(idle=bar.show):
            stop = released(state)
            if stop >= len(job) and not is_stopped(state) and not is_narrow(state):
                break
            bar.stage = "ramp: widening" if is_narrow(state) else f"ramp: the first {stop:,}"
            bar.show(state)
    check_stopped(job)
    return bar.visible


def check_stopped(job: Job) -> None:
    """Raise `RampStopped` where a job's ramp has stopped it."""
    if is_stopped(job.state):
        raise _stopped(job)


def check_stages(ramp: bool | Sequence[int]) -> tuple[int, ...]:
    """The stages that `ramp` asks for: the usual ones (True) or its own. Raises `InputError` for no ramp."""
    stages: Any = DEFAULT_STAGES if ramp is True else ramp
    try:
        numbers = all(isinstance(stage, int) and not isinstance(stage, bool) and stage > 0 for stage in stages)
        rising = numbers and len(stages) > 0 and sorted(set(stages)) == list(stages)
    except TypeError:
        rising = False
    if not rising:
        raise InputError(
            f"ramp={stages!r} is not a ramp.", next_step="give rising numbers of runs, such as (1, 5, 50)."
        )
    return tuple(stages)


def _stopped(job: Job) -> RampStopped:
    first, reason = job.tracker.patiently(job.first_error), job.state.stop_reason or "the ramp stopped"
    lines = [f"{reason[0].upper()}{reason[1:]}. The job is {job.id}."]
    return RampStopped(
        "\n".join([*lines, *([f"  the first: {first.message}"] if first else [])]),
        next_step=f'fix the UDF; `fanfold.get_job("{job.id}").retry(udf=fixed)` then runs what has no result.'
        " Or make the inputs smaller, and submit again.",
        job_id=job.id,
    )
