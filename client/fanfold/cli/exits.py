"""What a command's exit code tells a script."""

from __future__ import annotations

from enum import IntEnum

from fanfold.core.models import JobStatus
from fanfold.errors import (
    CaptureError,
    CodecError,
    ConfigurationError,
    FanfoldError,
    InputError,
    JobNotFound,
    MissingPackage,
    NestedSubmitError,
    StoreUnavailable,
    WaitTimeout,
)


class ExitCode(IntEnum):
    """How a command ended."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    INCOMPLETE = 4
    INTERRUPTED = 130
    PIPE_CLOSED = 141


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "the command did what it says; a job it waited for or tells of has completed",
    ExitCode.FAILED: "the job or the run failed or was cancelled, a result is damaged, or a store cannot be used",
    ExitCode.USAGE: "the command, the UDF or an input is not right; nothing was started",
    ExitCode.NOT_FOUND: "no job has that id",
    ExitCode.INCOMPLETE: "the job is not complete: `--timeout` ran out, AWS is silent or wants a sign-in; it goes on",
    ExitCode.INTERRUPTED: "Ctrl-C",
    ExitCode.PIPE_CLOSED: "whatever read the output went away, as `head` does when it has seen enough",
}

_USAGE = (InputError, CaptureError, CodecError, ConfigurationError, MissingPackage, NestedSubmitError)


def code_for(error: FanfoldError) -> ExitCode:
    """The exit code of a command that ended with this error."""
    if isinstance(error, JobNotFound):
        return ExitCode.NOT_FOUND
    if isinstance(error, WaitTimeout) or (isinstance(error, ConfigurationError | StoreUnavailable) and error.job_id):
        return ExitCode.INCOMPLETE
    return ExitCode.USAGE if isinstance(error, _USAGE) else ExitCode.FAILED


def code_of(status: JobStatus) -> ExitCode:
    """The exit code of a command that tells how a job stands."""
    if status is JobStatus.COMPLETED:
        return ExitCode.OK
    return ExitCode.INCOMPLETE if status in (JobStatus.QUEUED, JobStatus.RUNNING) else ExitCode.FAILED
