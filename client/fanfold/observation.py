"""What runs of a UDF take, as seen: in past jobs, or in a few of its runs made for that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from fanfold.amounts import counted
from fanfold.engines.protocol import Engine
from fanfold.errors import InputError
from fanfold.estimate import Observed
from fanfold.fold import read_state
from fanfold.job import Job
from fanfold.job.limits import own_memory_mib, own_timeout_s
from fanfold.models import GOOD, JobHeader, RunStatus
from fanfold.options import Options, Request, unwrapped
from fanfold.submission import Draft, prepare

#: How far back past runs are looked for: among that many jobs, until there are that many runs.
_PAST_JOBS = 200
_ENOUGH = 500


def past(engine: Engine, draft: Draft) -> Observed | None:
    """What past runs took: of the same code, else of a UDF of the same name."""
    headers, asks = engine.stores.log.list_jobs(limit=_PAST_JOBS), draft.options
    same_code = _observed(engine, (one for one in headers if one.code_hash == draft.bundle.code_hash), asks)
    if same_code is not None:
        return _told(same_code, "of this code")
    same_name = _observed(engine, (one for one in headers if one.name == draft.name), asks)
    return None if same_name is None else _told(same_name, "of an earlier version")


def _told(observed: Observed, whose: str) -> Observed:
    count = len(observed.durations_s)
    return replace(observed, basis=f"{counted(count, 'past run')} {whose}")


def _observed(engine: Engine, headers: Iterable[JobHeader], asks: Options) -> Observed | None:
    """What the runs of these jobs took that succeeded or met a limit; None where there is none.

    A limit of the UDF's own that is higher by now, or gone, says nothing of the one that would be met.
    """
    durations_s: list[float] = []
    peak_mib, timed_out, out_of_memory = 0.0, 0, 0
    for header in headers:
        state = read_state(engine.stores.log, header)
        for index in state.indexes(RunStatus.SUCCEEDED, RunStatus.TIMED_OUT, RunStatus.OUT_OF_MEMORY):
            usage = state.usage(index)
            if usage is not None:
                durations_s.append(usage.duration_s)
                peak_mib = max(peak_mib, usage.peak_memory_mib)
        if not _raised(own_timeout_s(header), asks.timeout_s):
            timed_out += sum(1 for _ in state.indexes(RunStatus.TIMED_OUT))
        if not _raised(own_memory_mib(header), asks.memory_mib):
            out_of_memory += sum(1 for _ in state.indexes(RunStatus.OUT_OF_MEMORY))
        if len(durations_s) >= _ENOUGH:
            break
    return Observed(tuple(durations_s), peak_mib, timed_out, out_of_memory) if durations_s else None


def _raised(before: float | None, now: float | None) -> bool:
    return before is not None and (now is None or now > before)


def sampled(
    udf: Any, engine: Engine, request: Request, inputs: list[dict[str, Any]], constants: dict[str, Any]
) -> Observed:
    """Run a few inputs to see what they take."""
    submission = prepare(udf, inputs, engine, request, constants)
    engine.start(submission.header, submission.runs())
    job = Job(submission.header, engine).wait(progress=False)
    observed = _observed(engine, [job.header], unwrapped(udf)[1])
    if observed is None:
        job.results()  # raises what went wrong
        raise InputError("The sample told nothing.", next_step="submit a few inputs first, then plan again.")
    return replace(observed, basis=_basis(job, cached=request.cache), against=_against(job))


def _basis(job: Job, *, cached: bool) -> str:
    count, good = len(job), sum(1 for _ in job.state.indexes(*GOOD))
    sample = f"a sample of {counted(count, 'run')}"
    if good == count:
        return f"{sample}, now cached" if cached else sample
    return f"{sample}, of which {good} succeeded{' and are cached' if cached and good else ''}"


def _against(job: Job) -> str:
    """What a sample's failures say; a run that met a limit is no failure of the UDF's, but a matter of the way."""
    failed = list(job.state.indexes(RunStatus.FAILED, RunStatus.LOST))
    if not failed:
        return ""
    error = job.state.error(failed[0])
    told = f", the first with {error.type}: {error.message}" if error is not None else ""
    return f"{len(failed)} of the {len(job)} runs of the sample failed{told}; `fanfold errors {job.id}` has all"
