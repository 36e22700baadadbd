"""Running a UDF: once, or over many inputs; and finding jobs again."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from fanfold.contract.layout import ENV_RUN
from fanfold.engines.select import engine_for
from fanfold.errors import InputError, NestedSubmitError
from fanfold.job import Job
from fanfold.options import Request
from fanfold.ramp import DEFAULT_STAGES, climb
from fanfold.settings import current
from fanfold.submission import Submission, prepare, unwrapped

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    import pandas as pd

    from fanfold.options import RetryOn


def submit(
    udf: Any,
    inputs: Any,
    *,
    engine: str | None = None,
    instance_type: str | None = None,
    max_workers: int | None = None,
    n_processes_per_worker: int = 1,
    max_retry: int | None = None,
    retry_on: RetryOn = (),
    debug_mode: bool = False,
    collect: bool = True,
    cache: bool = True,
    cache_max_age: str | float | timedelta | None = None,
    ignore_exceptions: bool = False,
    flatten: bool = True,
    ramp: bool | Sequence[int] | None = None,
    progress: bool | None = None,
    **constants: Any,
) -> pd.DataFrame | Job | Any:
    """Run a UDF once per input, in parallel, and return all results as one frame.

    Args:
        udf: a function, with or without `@fanfold.udf`.
        inputs: scalars for the first parameter, dicts of keyword arguments, the rows of a frame, or any iterable of
            these. All are checked against the UDF's annotations before anything starts.
        engine: "local" or "aws"; None for the one that is configured.
        instance_type: a machine for each worker ("small", "medium", "large", "m5.4xlarge", ...) and no time limit;
            None for the realtime path (120 s and 4 GB a run).
        max_workers: runs side by side at most; machines at most, with an instance type.
        n_processes_per_worker: runs side by side on each machine.
        max_retry: how often a run is tried again whose worker was lost, or whose error is in `retry_on`. Default 2.
        retry_on: exceptions of the UDF's own, classes or names, that are worth another try.
        debug_mode: run only the first input; return its raw value or raise its error.
        collect: False returns the `Job` at once.
        cache: False computes everything afresh and keeps nothing for later.
        cache_max_age: how old a result may be that is used again: "30s", "5m", "12h", "7d", seconds, or 0 for none.
        ignore_exceptions: leave failed runs out of the frame instead of raising the first failure.
        flatten: False keeps one result a row, also where results are frames.
        ramp: True starts 1, then 5, then 50 runs, then all, and stops when they fail or come near a limit; or the
            sizes of the stages, such as (1, 10, 100).
        progress: a progress bar; None shows one at a terminal and in a notebook.
        constants: keyword arguments that are the same for every run.

    Raises:
        InputError: naming up to ten inputs that the UDF does not take; nothing has been started.
        CaptureError: where something in the UDF cannot travel; nothing has been started.
        RunFailed: the first failure, with the input and the remote traceback.
        RampStopped: where a ramp found what must not go on.
    """
    refuse_inside_run("submit")
    submission = _prepared(
        udf,
        _first(inputs) if debug_mode else inputs,
        constants,
        engine=engine,
        instance_type_name=instance_type,
        max_workers=max_workers,
        n_processes_per_worker=n_processes_per_worker,
        max_retry=max_retry,
        retry_on=retry_on,
        cache=cache,
        cache_max_age=cache_max_age,
    )
    job = Job(submission.header, submission.engine)
    if ramp and not debug_mode:
        climb(submission, job, DEFAULT_STAGES if ramp is True else ramp)
    else:
        submission.engine.start(submission.header, submission.runs())
    if debug_mode:
        return _attended(job, progress).result(0)
    if not collect:
        return job
    return _attended(job, progress).collect(ignore_exceptions=ignore_exceptions, flatten=flatten)


def run(
    udf: Any,
    *,
    engine: str | None = None,
    instance_type: str | None = None,
    cache: bool = True,
    cache_max_age: str | float | timedelta | None = None,
    progress: bool | None = None,
    **params: Any,
) -> Any:
    """Run a UDF once, with `params` as its keyword arguments, and return its value.

    Other arguments are those of `submit`. Raises `RunFailed` with the remote traceback.
    """
    refuse_inside_run("run")
    submission = _prepared(
        udf,
        [params],
        {},
        engine=engine,
        instance_type_name=instance_type,
        cache=cache,
        cache_max_age=cache_max_age,
    )
    submission.engine.start(submission.header, submission.runs())
    return _attended(Job(submission.header, submission.engine), progress).result(0)


async def run_async(udf: Any, **arguments: Any) -> Any:
    """Like `run`, for code with an event loop: `await fanfold.run_async(udf, day="2013-01-01")`."""
    import asyncio

    return await asyncio.to_thread(run, udf, **arguments)


def get_job(job_id: str, *, engine: str | None = None) -> Job:
    """The job of that id, from any process and any day. Raises `JobNotFound`, naming ids that come near."""
    chosen = engine_for(engine)
    return Job(chosen.stores.log.get_job(job_id), chosen)


def get_jobs(*, limit: int = 20, owner: str | None = "me", engine: str | None = None) -> list[Job]:
    """The latest jobs, newest first: mine, or another's by name, or the whole team's with `owner=None`."""
    chosen = engine_for(engine)
    whose = current().owner if owner == "me" else owner
    return [Job(header, chosen) for header in chosen.stores.log.list_jobs(owner=whose, limit=limit)]


def inside_run() -> bool:
    """True within a run, and in the processes that it starts."""
    return ENV_RUN in os.environ


def refuse_inside_run(what: str) -> None:
    """Raises `NestedSubmitError` within a run: runs that wait for runs hold their workers and never end."""
    if inside_run():
        raise NestedSubmitError(
            f"`{what}` was called from within a run ({os.environ[ENV_RUN]}).",
            next_step="call the UDF as a plain function there, or submit from outside with more inputs.",
        )


def _prepared(udf: Any, inputs: Any, constants: dict[str, Any], *, engine: str | None, **asked: Any) -> Submission:
    _, options = unwrapped(udf)
    request = Request.of(options, **asked)
    chosen = engine_for(engine or options.engine)
    if request.instance is not None and request.instance.served_by_another:
        _say_which_machine(request)
    return prepare(udf, inputs, chosen, request, constants)


def _say_which_machine(request: Request) -> None:
    machine = request.instance
    if machine is not None and machine.name not in ("small", "medium", "large"):
        host = machine.host
        sys.stderr.write(
            f"fanfold: {machine.name} is served by {host.name} ({host.vcpus} vCPU, {host.memory_gib:g} GiB).\n"
        )


def _first(inputs: Any) -> list[Any]:
    from fanfold.inputs import read

    for one in read(inputs):
        return [one]
    raise InputError("There are no inputs.", next_step="give at least one.")


def _attended(job: Job, progress: bool | None) -> Job:
    """Wait for a job that is this call's own: an interrupt is meant for it."""
    try:
        return job.wait(progress=progress)
    except KeyboardInterrupt:
        job.cancel()
        raise
