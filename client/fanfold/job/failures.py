"""A failed run, as the error that its caller sees."""

from __future__ import annotations

from typing import Any

from fanfold.codec import decode_json
from fanfold.codec.data_notes import ReadAsDataWarning
from fanfold.contract.layout import REALTIME_MEMORY_MIB, REALTIME_TIMEOUT_S
from fanfold.core.fold import JobState
from fanfold.core.formatting import counted
from fanfold.core.models import BAD, FAILED, JobHeader, RunError, RunStatus
from fanfold.errors import (
    CodecError,
    InputError,
    RunCancelled,
    RunFailed,
    RunLost,
    RunOutOfMemory,
    RunTimedOut,
    WorkerDied,
)
from fanfold.job.results import Contents
from fanfold.job.summary import own_memory_mib, own_timeout_s

_KINDS: dict[RunStatus, type[RunFailed]] = {
    RunStatus.TIMED_OUT: RunTimedOut,
    RunStatus.OUT_OF_MEMORY: RunOutOfMemory,
    RunStatus.CANCELLED: RunCancelled,
    RunStatus.LOST: RunLost,
}

_NEXT_STEPS: dict[type[RunFailed], str] = {
    RunFailed: 'fix the UDF; `fanfold.get_job("{id}").retry(udf=fixed)` then runs only what failed, with the new code.'
    " From a shell: `fanfold retry {id} --with FILE.py`.",
    RunTimedOut: 'make the input smaller, or give it a machine without a time limit: instance_type="small".',
    RunOutOfMemory: 'make the input smaller, or give it a machine with more memory: instance_type="medium".',
    WorkerDied: "look at what the run was doing in native code; `job.retry()` runs it again.",
    RunCancelled: "`job.retry()` runs what was cancelled.",
    RunLost: "`job.retry()` runs what was lost; so does the same submit.",
}

_INPUT_CHARACTERS = 300


def run_failure(
    header: JobHeader,
    index: int,
    *,
    status: RunStatus,
    error: RunError | None,
    input: Any = None,
    others: int = 0,
    stop_reason: str = "",
) -> RunFailed:
    """The error for a run that ended with `status`; `others` is how many more runs of its job failed.

    `stop_reason` says why no more of them were started.
    """
    told = error or RunError("Cancelled" if status is RunStatus.CANCELLED else "Unknown", "nothing more is known")
    kind = WorkerDied if told.type == "WorkerDied" else _KINDS.get(status, RunFailed)
    lines = [f"Run {index} of job {header.id} {status.value.replace('_', ' ')}: {told.type}: {_headline(told)}"]
    lines.append(f"  input: {_shorten(input)}")
    if told.traceback:
        lines.append(_indent(told.traceback))
    if others:
        lines.append(f"  {counted(others, 'other run')} failed as well: job.errors() has all.")
    if stop_reason:
        lines.append(f"  No more runs were started: {stop_reason}.")
    failed = kind(
        "\n".join(lines),
        next_step=told.next_step or (_NO_MODULE if told.type == "ModuleNotFoundError" else _next_step(kind, header)),
        job_id=header.id,
        index=index,
        input=input,
        error_type=told.type,
        remote_traceback=told.traceback,
    )
    failed.__cause__ = _original(told)
    return failed


def failure_of(state: JobState, contents: Contents, index: int) -> RunFailed:
    """The error of a run that failed."""
    failure, given = state.error(index), contents.arguments(index)
    return run_failure(state.header, index, status=state.status_of(index), error=failure, input=given)


def first_failure(state: JobState, contents: Contents) -> RunFailed:
    """The error of the first run that failed by itself, else of the first that was cancelled; counts the others."""
    failed = list(state.indexes(*FAILED)) or list(state.indexes(*BAD))
    return run_failure(
        state.header,
        failed[0],
        status=state.status_of(failed[0]),
        error=state.error(failed[0]),
        input=contents.arguments(failed[0]),
        others=len(failed) - 1,
        stop_reason=state.stop_reason if state.counts()[RunStatus.CANCELLED] else "",
    )


def _headline(told: RunError) -> str:
    """The message, or its first line where the traceback below has all of it."""
    first, *more = told.message.strip().splitlines() or [""]
    return f"{first} ..." if more and told.traceback else told.message


def _original(error: RunError) -> BaseException | None:
    """The exception that the run raised, where this process has its class."""
    if not error.exception:
        return None
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReadAsDataWarning)  # its type and message are in the error as text anyway
        try:
            original = decode_json(error.exception)
        except (CodecError, ImportError):
            return None
    return original if isinstance(original, BaseException) else None


_NO_MODULE = (
    "have its package there: @fanfold.udf(packages=[...]) or `--with PACKAGE` brings it along, with no new image;"
    " then submit again (docs/packages.md)."
)


def _next_step(kind: type[RunFailed], header: JobHeader) -> str:
    """What to do about a failure; of a limit, what would really lift it."""
    realtime, own_s, own_mib = header.instance_type is None, own_timeout_s(header), own_memory_mib(header)
    if kind is RunTimedOut and own_s is not None:
        more = f'; for more than {REALTIME_TIMEOUT_S:.0f} s, also instance_type="small"' if realtime else ""
        return f"raise timeout_s of @udf, which is {own_s:g} s{more}; or make the input smaller."
    if kind is RunOutOfMemory and own_mib is not None:
        more = f'; for more than {REALTIME_MEMORY_MIB:,} MiB, also instance_type="medium"' if realtime else ""
        return f"raise memory_mib of @udf, which is {own_mib:,} MiB{more}; or make the input smaller."
    if kind is RunOutOfMemory and not realtime:
        fewer = ", run fewer side by side (n_processes_per_worker)" if header.n_processes_per_worker > 1 else ""
        return f"make the input smaller{fewer}, or ask for a machine with more memory than {header.instance_type}."
    return _NEXT_STEPS[kind].format(id=header.id)


def _shorten(value: Any) -> str:
    from fanfold.core.shown import on_one_line

    text = on_one_line(value)
    return text if len(text) <= _INPUT_CHARACTERS else f"{text[:_INPUT_CHARACTERS]}… ({len(text):,} characters)"


def concatenation_error(job_id: str, error: Exception) -> InputError:
    """The error for results that are all there, and make no one frame."""
    return InputError(
        f"The results of job {job_id} do not go together as one frame: {error}",
        next_step=f'`fanfold.get_job("{job_id}").collect(flatten=False)` has each frame in a row of its own;'
        " `.results()` lists them.",
    )


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.rstrip().split("\n"))
