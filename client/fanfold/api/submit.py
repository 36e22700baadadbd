"""Running a UDF: once, or over many inputs; and finding jobs again."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

from fanfold.contract.records import no_collection_of_imports
from fanfold.core.compat import run_arguments, submit_arguments, takes
from fanfold.core.options import Options, Request, check_flags, check_number, checked_tags, unwrapped
from fanfold.engines.base import Engine, engine_for, start_early
from fanfold.errors import InputError, JobNotFound, RunFailed
from fanfold.settings import WithoutOwnFrames, current

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import timedelta

    import pandas as pd

    from fanfold.core.models import JobHeader
    from fanfold.core.options import Retry, RetryOn
    from fanfold.job import Job
    from fanfold.submission.escalation import Escalate
    from fanfold.submission.estimates import Plan

R = TypeVar("R")


@overload
def submit(udf: Callable[..., Any], inputs: Any = None, *, plan: Literal[True], **options: Any) -> Plan: ...


@overload
def submit(udf: Callable[..., R], inputs: Any = None, *, debug_mode: Literal[True], **options: Any) -> R: ...


@overload
def submit(udf: Callable[..., Any], inputs: Any = None, *, collect: Literal[False], **options: Any) -> Job: ...


@overload
def submit(
    udf: Callable[..., Any],
    inputs: Any = None,
    *,
    engine: str | None = None,
    instance_type: str | None = None,
    max_workers: int | None = None,
    n_processes_per_worker: int | Literal["auto"] | None = None,
    max_retry: int | None = None,
    retry_on: RetryOn = (),
    retry: Retry | None = None,
    debug_mode: Literal[False] = False,
    collect: Literal[True] = True,
    cache: bool = True,
    cache_max_age: str | float | timedelta | None = None,
    ignore_exceptions: bool = False,
    flatten: bool = True,
    drop_index: bool = False,
    ramp: bool | Sequence[int] | None = None,
    plan: Literal[False] = False,
    budget_usd: float | None = None,
    escalate: Escalate = None,
    stop_on_error: str = "same",
    batch_size: int | None = None,
    target_s: float | None = None,
    tags: Mapping[str, object] | None = None,
    rate: str | float | None = None,
    notify: str | None = None,
    hedge: bool = False,
    progress: bool | None = None,
    packages: str | Sequence[str] | None = None,
    image: str | None = None,
    **constants: Any,
) -> pd.DataFrame: ...


@overload
def submit(
    udf: Callable[..., Any], inputs: Any = None, *, collect: bool, **options: Any
) -> pd.DataFrame | Job | Plan | Any: ...


def submit(
    udf: Any,
    inputs: Any = None,
    *,
    engine: str | None = None,
    instance_type: str | None = None,
    max_workers: int | None = None,
    n_processes_per_worker: int | Literal["auto"] | None = None,
    max_retry: int | None = None,
    retry_on: RetryOn = (),
    retry: Retry | None = None,
    debug_mode: bool = False,
    collect: bool = True,
    cache: bool = True,
    cache_max_age: str | float | timedelta | None = None,
    ignore_exceptions: bool = False,
    flatten: bool = True,
    drop_index: bool = False,
    ramp: bool | Sequence[int] | None = None,
    plan: bool = False,
    budget_usd: float | None = None,
    escalate: Escalate = None,
    stop_on_error: str = "same",
    batch_size: int | None = None,
    target_s: float | None = None,
    tags: Mapping[str, object] | None = None,
    rate: str | float | None = None,
    notify: str | None = None,
    hedge: bool = False,
    progress: bool | None = None,
    packages: str | Sequence[str] | None = None,
    image: str | None = None,
    **constants: Any,
) -> pd.DataFrame | Job | Plan | Any:
    """Run a UDF once per input, in parallel, and return all results as one frame.

    Args:
        udf: a function, with or without `@fanfold.udf`.
        inputs: scalars for the first parameter, dicts of keyword arguments, the rows of a frame, or any iterable of
            these. All are checked against the UDF's annotations before anything starts.
        engine: "local" or "aws"; None for the one that is configured.
        instance_type: a machine for each worker ("small", "medium", "large", "m5.4xlarge", ...) and no time limit;
            None for the realtime path (120 s and 4 GB a run).
        max_workers: runs side by side at most; machines at most, with an instance type.
        n_processes_per_worker: runs side by side on each machine; "auto" for as many as its memory holds, by what past
            runs took or three of the inputs, and its cores. A run that runs out is run again alone.
        max_retry: how often a run is tried again whose worker was lost, or whose error is in `retry_on`. Default 2.
        retry_on: exceptions of the UDF's own, classes or names, that are worth another try.
        retry: a `fanfold.Retry` in place of both, which has pauses between the tries.
        debug_mode: run only the first input; return its raw value or raise its error. On this machine `breakpoint()`
            works: a UDF that calls the debugger is called in this process.
        collect: False returns the `Job` at once.
        cache: False computes everything afresh and keeps nothing for later.
        cache_max_age: how old a result may be that is used again: "30s", "5m", "12h", "7d", seconds, or 0 for none.
        ignore_exceptions: leave failed runs out of the frame instead of raising the first failure.
        flatten: False keeps one result a row, also where results are frames.
        drop_index: number the runs in the frame's index instead of naming their arguments.
        ramp: True starts 1, then 5, then 50 runs, then all, and stops when they fail or come near a limit; or the
            sizes of the stages, such as (1, 10, 100). With collect=False it goes on by itself.
        plan: start nothing, and return what this call would take; see `fanfold.plan`.
        budget_usd: start nothing where this may cost more dollars than that, and begin no more runs when the job has
            cost as much; `job.retry(budget_usd=...)` goes on with what is left. Runs on this machine cost nothing.
        escalate: a machine ("medium") on which runs that met a limit of time or memory are run again, while others go
            on; it has no time limit, whatever the UDF asks for. Their results stand among the others. Several,
            ("medium", "large"): what is too large on one is run on the next; True for all that are larger.
        stop_on_error: "same" starts no more runs when the first 10 have all failed with the same exception from the
            same line; "first" stops at the first failure, "never" runs all. `job.retry(udf=fixed)` goes on.
        batch_size: so many short inputs, up to 40, share one invocation of a Lambda function; each keeps its own
            result, tries, time limit and cache entry. Here and on machines, where starting a run costs nothing, it
            changes nothing.
        target_s: seconds that such an invocation is to take: the batch is then what past runs of this UDF say.
        tags: labels by name, such as `{"project": "floods"}`, by which `get_jobs` and `fanfold jobs --tag` find it.
        rate: how many runs may begin in a time, all workers together: "20/s", "100/m", or a number a second.
        notify: who is told when the job has ended, with its counts and cost: "https://...", which is sent JSON, or the
            ARN of an SNS topic. In AWS the deployment tells them, whether or not this process is there.
        hedge: True starts a duplicate of each run that takes twice as long as three of four do; the first that ends
            counts, both are paid. Only for a UDF that says it may: `@udf(idempotent=True)`. On machines there must be
            room for two runs at once.
        progress: a progress bar; None shows one at a terminal and in a notebook.
        packages: what the UDF needs beside the packages that are where it runs: a list of requirements, wheels and
            project folders, a requirements file, or "auto" for what it imports. It beats the UDF's own.
        image: the name of one of the deployment's images that runs have, in place of the UDF's own.
        constants: keyword arguments that are the same for every run.

    Raises:
        InputError: naming up to ten inputs that the UDF does not take, or the budget that would be passed; nothing
            has been started.
        CaptureError: where something in the UDF cannot travel; nothing has been started.
        RunFailed: the first failure, with the input and the remote traceback.
        RampStopped: where a ramp found what must not go on.
    """
    with WithoutOwnFrames():
        _begin_call("submit", None if plan or debug_mode else udf, engine, instance_type)
        check_flags(debug_mode=debug_mode, collect=collect, plan=plan, progress=progress)
        check_flags(ignore_exceptions=ignore_exceptions, flatten=flatten, drop_index=drop_index)
        if constants or inputs is None:
            inputs, constants = submit_arguments(udf, inputs, constants, submit.__kwdefaults__)
        udf = with_environment(udf, packages=packages, image=image)
        chosen, request = _resolve_call(
            udf,
            engine=engine,
            instance_type=instance_type,
            max_workers=max_workers,
            n_processes_per_worker=n_processes_per_worker,
            max_retry=max_retry,
            retry_on=retry_on,
            retry=retry,
            cache=cache,
            cache_max_age=cache_max_age,
            stop_on_error=stop_on_error,
            batch_size=batch_size,
            target_s=target_s,
            tags=tags,
            rate=rate,
        )
        inputs = _first(inputs) if debug_mode else inputs
        if plan:
            return _plan(udf, inputs, chosen, request, constants)
        if debug_mode and _needs_this_terminal(udf, chosen, request):
            return _call_here(udf, chosen, inputs, constants)
        call = _SubmitCall(udf, chosen, request, constants, budget_usd)
        call.check_later(notify, escalate, None if debug_mode else ramp, hedge)
        with call.own_job:
            job = call.start(inputs, progress)
            if not (collect or debug_mode):
                return job
            with raising_ramp_stopped(job):
                progress = wait_for_ramp(job, progress)
                if debug_mode:
                    return result_with_output(job, progress)
                return job.collect(None, flatten, drop_index, ignore_exceptions=ignore_exceptions, progress=progress)


def _plan(*call: Any) -> Plan:
    from fanfold.submission.plan import make_plan

    return make_plan(*call)


def _needs_this_terminal(udf: Any, engine: Engine, request: Request) -> bool:
    """Whether a UDF that runs on this machine calls the debugger: a worker has no terminal to ask at."""
    if request.instance is not None or not engine.describe().uses_own_packages:
        return False
    from fanfold.submission.debugger import calls_debugger

    return calls_debugger(udf)


def _call_here(udf: Any, engine: Engine, inputs: Any, constants: dict[str, Any]) -> Any:
    from fanfold.submission.debugger import call_here

    return call_here(udf, engine, inputs, constants)


def with_environment(udf: Any, **asked: Any) -> Any:
    """The UDF, asking for other packages or another image than of its own accord, where the call says so."""
    given = {name: value for name, value in asked.items() if value is not None}
    if not given:
        return udf
    from fanfold.api.decorator import Udf

    function, options = unwrapped(udf)
    return Udf(function, Options.checked(**{**options._asdict(), **given}))


class _SubmitCall:
    """One `submit`: what it is asked to run, and on what."""

    def __init__(
        self, udf: Any, engine: Engine, request: Request, constants: dict[str, Any], budget_usd: float | None
    ) -> None:
        from fanfold.submission.prepare import OwnJob

        check_number("budget_usd", budget_usd, zero=True)
        self.own_job = OwnJob(engine)
        self._udf = udf
        self._engine = engine
        self._request = request
        self._constants = constants
        self._budget_usd = budget_usd
        if budget_usd and engine.describe().costs_money:
            self._request = request._replace(budget_usd=budget_usd)
        engine.get_ready(dedicated=request.instance is not None)  # while the rest is imported, and the inputs checked

    def _check_notify(self, target: str | None) -> None:
        if target is not None:
            from fanfold.engines.notice import check_notify

            described = self._engine.describe()
            told = check_notify(target, described.notify_topics, here=not described.costs_money)
            self._request = self._request._replace(notify=told)

    def check_later(
        self, notify: str | None, escalate: Escalate, ramp: bool | Sequence[int] | None, hedge: bool
    ) -> None:
        """Note what the job is to do by itself once it has begun, and who is told of its end. Raises `InputError`."""
        self._check_notify(notify)
        if any(one is not None and one is not False for one in (ramp, escalate)) or hedge is not False:
            from fanfold.submission.going_on import with_later

            later: dict[str, Any] = {"ramp": ramp, "escalate": escalate, "hedge": hedge}
            self._request = with_later(self._udf, self._engine, self._request, **later)

    def start(self, inputs: Any, progress: bool | None) -> Job:
        """Start the job, or the first stage of its ramp."""
        from fanfold.job import Job
        from fanfold.submission.prepare import prepare

        if isinstance(inputs, Job):  # whose results are the inputs
            inputs.wait(progress=progress)
        inputs = self._keep_to_budget(inputs, self._request, self._budget_usd)
        if not self._request.n_processes_per_worker or self._request.target_s is not None:
            from fanfold.submission.going_on import with_measured

            inputs, self._request = with_measured(self._udf, inputs, self._engine, self._request, self._constants)
        submission = prepare(self._udf, inputs, self._engine, self._request, self._constants, self.own_job)
        job = Job(submission.header, self._engine)
        job.contents.may_be_frames = submission.may_be_frames
        if self._request.budget_usd:
            from fanfold.submission.overshoot import say_bound

            say_bound(submission.header, self._engine.describe())
        if self._request.ladder:
            job.tracker.tells_larger = True
        submission.start()
        return job

    def _keep_to_budget(self, inputs: Any, request: Request, budget_usd: float | None) -> Any:
        """The inputs, where running them keeps to the budget. Raises `InputError` where it may not."""
        if budget_usd is None or not self._engine.describe().costs_money:
            return inputs
        from fanfold.submission.plan import make_plan

        inputs = list(inputs) if hasattr(inputs, "__next__") else inputs  # a generator can be read only once
        plan = make_plan(self._udf, inputs, self._engine, request, self._constants)
        if plan.usd.high > budget_usd:
            raise InputError(
                f"This may cost {plan.usd}, which is more than budget_usd={budget_usd:g}.\n{plan}",
                next_step="raise the budget, give fewer inputs, or take a cheaper way. Nothing was started.",
            )
        return inputs


def run(
    udf: Callable[..., R],
    *args: Any,
    engine: str | None = None,
    instance_type: str | None = None,
    cache: bool = True,
    cache_max_age: str | float | timedelta | None = None,
    max_retry: int | None = None,
    retry: Retry | None = None,
    progress: bool | None = None,
    **params: Any,
) -> R:
    """Run a UDF once, with `args` and `params` as its arguments, and return its value. What it prints is shown.

    Other arguments are those of `submit`. Raises `RunFailed` with the remote traceback.
    """
    if params.get("sync", True) is False and not takes(unwrapped(udf)[0], "sync"):  # the older spelling
        del params["sync"]
        options = {"engine": engine, "instance_type": instance_type, "cache": cache, "cache_max_age": cache_max_age}
        return cast("R", run_async(udf, *args, **options, max_retry=max_retry, progress=progress, **params))
    arguments = run_arguments(udf, params, run.__kwdefaults__)
    if args:
        from fanfold.api.decorator import named_arguments

        arguments = named_arguments(unwrapped(udf)[0], args, arguments)
    if engine == "local" and _is_inside_run():  # as code of the older spelling has it: a plain call
        from fanfold.source.rebuild import by_keywords

        return cast("R", by_keywords(unwrapped(udf)[0])(**arguments))
    with WithoutOwnFrames():
        value = call(
            udf,
            arguments,
            engine=engine,
            instance_type=instance_type,
            progress=progress,
            max_retry=max_retry,
            retry=retry,
            cache=cache,
            cache_max_age=cache_max_age,
        )
        return cast("R", value)


# `fanfold jobs` can spare the 40 ms that it takes to import what prepares a job.


def _is_inside_run() -> bool:
    from fanfold.submission.prepare import inside_run

    return inside_run()


def _begin_call(what: str, udf: Any, engine: str | None, machine: str | None) -> None:
    """Refuse it within a run; before all that is imported for that, have workers come up. No `udf`: it needs none."""
    options = getattr(udf, "options", Options())
    with no_collection_of_imports():
        if udf is not None and not (machine or options.instance_type):
            start_early(engine or options.engine)
        from fanfold.submission.prepare import refuse_inside_run

    refuse_inside_run(what)


def _resolve_call(udf: Any, **asked: Any) -> tuple[Engine, Request]:
    from fanfold.submission.prepare import resolve_call

    with no_collection_of_imports():  # it brings the engine
        return resolve_call(udf, **asked)


def call(
    udf: Any,
    arguments: dict[str, Any],
    *,
    engine: str | None = None,
    instance_type: str | None = None,
    progress: bool | None = None,
    **asked: Any,
) -> Any:
    """Run a UDF once with these arguments, which may have the names of options too, and return its value."""
    _begin_call("run", udf, engine, instance_type)
    from fanfold.submission.prepare import OwnJob, prepare, resolve_call

    check_flags(progress=progress)
    chosen, request = resolve_call(udf, engine=engine, instance_type=instance_type, **asked)
    chosen.get_ready(dedicated=request.instance is not None)
    from fanfold.job import Job

    with OwnJob(chosen) as own:
        submission = prepare(udf, [arguments], chosen, request, {}, own)
        submission.start()
        job = Job(submission.header, chosen)
        awaited = getattr(_calls, "awaited", None)
        if awaited is not None:
            awaited.hold(job)
        return result_with_output(job, progress)


def result_with_output(job: Job, progress: bool | None) -> Any:
    """The value of a job's only run. Shows what the run prints as it prints it, and on a terminal the job's id."""
    from fanfold.job.logs import show_output

    show_output(job.tracker, job.contents, progress=progress)
    return job.result(0)


async def run_async(udf: Any, *args: Any, **arguments: Any) -> Any:
    """Like `run`, for code with an event loop: `await fanfold.run_async(udf, day="2013-01-01")`.

    To cancel the await (`asyncio.timeout`, a task group, Ctrl-C) cancels the job.
    """
    from fanfold.api.awaiting import wait_in_thread

    with WithoutOwnFrames():
        return await wait_in_thread(lambda: run(udf, *args, **arguments), _calls)


def get_job(job_id: str, *, engine: str | None = None) -> Job:
    """The job of that id, from any process and any day; "-" is your latest.

    Raises `JobNotFound`, naming ids that come near.
    """
    from fanfold.job import Job

    if not isinstance(job_id, str):
        raise InputError(f"{job_id!r} is not a job's id.", next_step="give its text; `fanfold jobs` shows them.")
    with WithoutOwnFrames():
        chosen = engine_for(engine)
        log = chosen.stores.log
        if job_id != "-":
            return Job(log.get_job(job_id), chosen)
        latest = log.list_jobs(owner=current().owner, limit=1)
        if not latest:
            raise JobNotFound("There is no job yet.", next_step="`fanfold submit` starts one.")
        return Job(latest[0], chosen)


def get_jobs(
    *,
    limit: int = 20,
    owner: str | None = "me",
    tags: Mapping[str, object] | None = None,
    engine: str | None = None,
) -> list[Job]:
    """The latest jobs, newest first: mine, or another's by name, or the whole team's with `owner=None`.

    `tags`: only those that have all of these.
    """
    from fanfold.job import Job

    with WithoutOwnFrames():
        check_number("limit", limit, whole=True)
        chosen = engine_for(engine)
        whose = current().owner if owner == "me" else owner
        log, wanted = chosen.stores.log, set(checked_tags(tags)) if tags else set()
        if not wanted:
            return [Job(header, chosen) for header in log.list_jobs(owner=whose, limit=limit)]
        pages = _pages(lambda before: log.list_jobs(owner=whose, limit=_PAGE_OF_JOBS, before=before))
        tagged = (Job(header, chosen) for header in pages if wanted <= set(header.tags))
        return list(islice(tagged, limit))


#: Jobs read at a time where few of them may be wanted.
_PAGE_OF_JOBS = 200


def _pages(read: Callable[[str | None], list[JobHeader]]) -> Iterator[JobHeader]:
    before = None
    while page := read(before):
        yield from page
        before = page[-1].id


def wait_for_ramp(job: Job, progress: bool | None) -> bool | None:
    """Wait until the last stage of a ramp has begun, where the job has one; whether a progress bar goes on.

    Raises `RampStopped`.
    """
    if not job.header.stages:
        return progress
    from fanfold.submission.ramp import climb

    return climb(job, progress=progress) or progress


@contextmanager
def raising_ramp_stopped(job: Job) -> Iterator[None]:
    """Raise `RampStopped` where a job's ramp has stopped in its last stage, in place of the failures that it shows."""
    failure = None
    try:
        yield
    except RunFailed as error:
        failure = error
    if job.header.stages:
        from fanfold.submission.ramp import check_stopped

        check_stopped(job)
    if failure is not None:
        raise failure


def _first(inputs: Any) -> list[Any]:
    from fanfold.inputs import read

    for one in read(inputs):
        return [one]
    raise InputError("There are no inputs.", next_step="give at least one.")


#: `awaited`: the await that a thread waits for (`AwaitedCall`).
_calls = threading.local()
