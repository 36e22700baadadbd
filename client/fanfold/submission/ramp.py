"""Starting small by itself: 1 run, 5, 50, then all, as long as nothing speaks against going on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fanfold.contract.layout import NEAR, REALTIME_MEMORY_MIB, REALTIME_TIMEOUT_S
from fanfold.core.fold import JobState
from fanfold.core.models import BAD, RunStatus
from fanfold.errors import InputError, RampStopped
from fanfold.job import Job
from fanfold.job.waiting import Progress, cancel_for_interrupt
from fanfold.submission.prepare import Submission

DEFAULT_STAGES = (1, 5, 50)


def climb(submission: Submission, job: Job, stages: Sequence[int], *, progress: bool | None = None) -> bool:
    """Start a job stage by stage: each number is how many runs have been started by then, and then all.

    `progress` shows one bar over all stages, as `job.wait` does.

    Returns when the last stage has been started: True where a bar has been shown. Raises `RampStopped` with a report of
    the stage that went wrong; what has succeeded stays in the cache, and the rest is cancelled.
    """
    done = 0
    # This bar goes when the ramp is climbed; the wait for the rest shows another, which begins where this one ends.
    with Progress(job.header, shown=progress, stays=False) as bar:
        for stage in (stage for stage in stages if stage < len(job)):
            bar.stage = f"ramp: the first {stage:,}"
            _start(job, submission, done, stage)
            _wait_for(job, stage, bar)
            if reasons := _reasons_to_stop(job.state, stage):
                _stop(job, stage, reasons)
            done = stage
    _start(job, submission, done)
    return bar.visible


def _start(job: Job, submission: Submission, first: int, stop: int | None = None) -> None:
    """Start what comes next; a store that does not answer any more ends no ramp that is under way."""
    if first:
        job.tracker.patiently(lambda: submission.start(first, stop))
    else:
        submission.start(first, stop)


def check_stages(ramp: bool | Sequence[int]) -> Sequence[int]:
    """The stages that `ramp` asks for: the usual ones (True) or its own. Raises `InputError` for no ramp."""
    stages: Any = DEFAULT_STAGES if ramp is True else ramp
    try:
        numbers = all(isinstance(stage, int) and not isinstance(stage, bool) and stage > 0 for stage in stages)
        rising = numbers and sorted(set(stages)) == list(stages)
    except TypeError:
        rising = False
    if not rising:
        raise InputError(
            f"ramp={stages!r} is not a ramp.", next_step="give rising numbers of runs, such as (1, 5, 50)."
        )
    return tuple(stages)


def _wait_for(job: Job, stage: int, bar: Progress) -> None:
    try:
        for state in job.changes(idle=bar.show):
            bar.show(state)
            if all(state.status_of(index).final for index in range(stage)):
                return
    except KeyboardInterrupt:  # nobody holds the job yet: the interrupt is meant for it
        raise cancel_for_interrupt(job) from None


def _reasons_to_stop(state: JobState, stage: int) -> list[str]:
    """What speaks against going on, as lines of a report."""
    statuses = [state.status_of(index) for index in range(stage)]
    reasons = [f"{statuses.count(bad)} of {stage} runs {bad.value.replace('_', ' ')}" for bad in BAD if bad in statuses]
    if state.header.instance_type is None:
        used = [usage for index in range(stage) if (usage := state.usage(index)) is not None]
        slow = sum(usage.duration_s >= NEAR * (state.header.timeout_s or REALTIME_TIMEOUT_S) for usage in used)
        large = sum(usage.peak_memory_mib >= NEAR * (state.header.memory_mib or REALTIME_MEMORY_MIB) for usage in used)
        if slow and RunStatus.TIMED_OUT not in statuses:
            reasons.append(f"{slow} of {stage} runs came within 10% of the time limit")
        if large and RunStatus.OUT_OF_MEMORY not in statuses:
            reasons.append(f"{large} of {stage} runs came within 10% of the memory limit")
    return reasons


def _stop(job: Job, stage: int, reasons: list[str]) -> None:
    first = job.tracker.patiently(job.first_error)
    job.tracker.patiently(job.cancel)
    lines = [f"The ramp stopped after {stage} of {len(job)} runs of job {job.id}: {'; '.join(reasons)}."]
    raise RampStopped(
        "\n".join([*lines, *([f"  the first: {first.message}"] if first else [])]),
        next_step=f'fix the UDF; `fanfold.get_job("{job.id}").retry(udf=fixed)` then runs what has no result.'
        " Or make the inputs smaller, and submit again.",
        job_id=job.id,
    )
