"""Every error Fanfold raises.

FanfoldError
├── InputError              an input, an argument or an option is not what the UDF takes   (also a ValueError)
│   ├── UnknownInstanceType no machine goes by that name
│   └── InputMissing        an input is the result of a run that has none
├── CaptureError            something in the UDF cannot travel as source
├── CodecError              a value has no codec, or its bytes do not decode               (also a TypeError)
├── NestedSubmitError       `submit` or `run` was called from within a run
├── RunFailed               one run failed; carries its job, index, input and remote traceback
│   ├── RunTimedOut         it met its deadline
│   ├── RunOutOfMemory      it met its memory limit
│   ├── WorkerDied          its process ended under it (a crash, a signal, `os._exit`)
│   ├── RunCancelled        its job was cancelled before it finished
│   └── RunLost             whatever ran it is gone without a word
├── RampStopped             a ramp found something that must not go on
├── JobNotFound             no job has that id
├── WaitTimeout             `wait(timeout=...)` ran out                                    (also a TimeoutError)
├── StoreError              the store cannot be read or written
│   ├── StoreTooNew         a newer Fanfold wrote it
│   ├── StoreFull           the disk is full
│   ├── StoreUnavailable    it does not answer now, or is throttled; waiting goes on meanwhile
│   └── ResultDamaged       a stored result is missing or its bytes do not match their hash
├── ConfigurationError      a setting, a deployment or a credential is missing or wrong
│   ├── SignInNeeded        the credentials have expired, are not accepted, or there are none
│   └── DeploymentGone      something that a deployment names does not exist
└── MissingPackage          an optional part needs a package that is not installed        (also an ImportError)

Each says what failed, where, and the next step.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

#: Control characters, written out: they move a terminal's cursor, name its window, or have it answer as if one typed.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
#: And what has a terminal draw the text after it, or around it, in another order than it stands.
_CONTROLS |= {code: f"\\u{code:04x}" for code in (*range(0x2028, 0x202F), *range(0x2066, 0x206A))}

#: What stands in an error's text before what to do.
NEXT_STEP = "\n  Next: "

#: What to do where another's Fanfold is newer. It is not on PyPI: no message may have anybody install it from there.
UPDATE = "update Fanfold here: `git pull` in its checkout, or install the wheel that is newer."


def printable(text: str) -> str:
    """`text` with control characters written out as `\\x1b`: what others have written cannot steer a terminal."""
    return text if text.isprintable() else text.translate(_CONTROLS)


class FanfoldError(Exception):
    """Base of all errors: a message, and what to do next."""

    def __init__(self, message: str, *, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step

    def __str__(self) -> str:
        return printable(f"{self.message}{NEXT_STEP}{self.next_step}" if self.next_step else self.message)


class InputError(FanfoldError, ValueError):
    """An input, an argument or an option is not what the UDF or the call takes."""


class UnknownInstanceType(InputError):
    """No machine goes by that name."""


class InputMissing(InputError):
    """A run's input is the result of another job's run, which failed or was cancelled."""


class CaptureError(FanfoldError):
    """Something in the UDF cannot travel as source; names the variable and the line."""


class CodecError(FanfoldError, TypeError):
    """A value has no codec, or its bytes do not decode; `instead` says what may stand in its place, if anything."""

    def __init__(self, message: str, *, next_step: str = "", instead: str = "") -> None:
        super().__init__(message, next_step=next_step)
        self.instead = instead


class NestedSubmitError(FanfoldError):
    """`submit` or `run` was called from within a run."""


class RunFailed(FanfoldError):
    """One run failed: which, with what input, and the remote traceback in the user's own lines."""

    def __init__(
        self,
        message: str,
        *,
        next_step: str = "",
        job_id: str = "",
        index: int = -1,
        input: Any = None,
        error_type: str = "",
        remote_traceback: str = "",
    ) -> None:
        super().__init__(message, next_step=next_step)
        self.job_id = job_id
        self.index = index
        self.input = input
        self.error_type = error_type
        self.remote_traceback = remote_traceback


class RunTimedOut(RunFailed):
    """A run met its deadline."""


class RunOutOfMemory(RunFailed):
    """A run met its memory limit."""


class WorkerDied(RunFailed):
    """A run's process ended under it: a crash, a signal or `os._exit`."""


class RunCancelled(RunFailed):
    """A run's job was cancelled before it finished."""


class RunLost(RunFailed):
    """Whatever ran it is gone without a word."""


class RampStopped(FanfoldError):
    """A ramp found failures, or runs near a limit, and did not go on; carries the id of its job."""

    def __init__(self, message: str, *, next_step: str = "", job_id: str = "") -> None:
        super().__init__(message, next_step=next_step)
        self.job_id = job_id


class JobNotFound(FanfoldError):
    """No job has that id."""


class WaitTimeout(FanfoldError, TimeoutError):
    """`wait(timeout=...)` ran out before the job was complete; the job goes on."""


class StoreError(FanfoldError):
    """The store cannot be read or written.

    `job_id`: of the job that was asked about, and goes on. `refused`: AWS has refused the call, and nothing has come of
    it; `refused_runs`: the only runs of which that is so, where others may have been started.
    """

    job_id = ""
    refused = False
    refused_runs: Iterable[tuple[int, int]] = ()


class StoreTooNew(StoreError):
    """A newer Fanfold wrote this store."""


class StoreFull(StoreError):
    """The disk that holds the store is full."""


class StoreUnavailable(StoreError):
    """The store does not answer now, or is throttled. It passes by itself; waiting goes on meanwhile."""


class ResultDamaged(StoreError):
    """A stored result is missing, or its bytes do not match their hash."""


class ConfigurationError(FanfoldError):
    """A setting, a deployment or a credential is missing or wrong.

    `job_id`: of a job that goes on nevertheless; `refused` and `refused_runs` are those of a `StoreError`.
    """

    job_id = ""
    refused = False
    refused_runs: Iterable[tuple[int, int]] = ()


class SignInNeeded(ConfigurationError):
    """The credentials have expired, are not accepted, or there are none."""


class DeploymentGone(ConfigurationError):
    """Something that a deployment names does not exist: it was removed, or deployed anew with other settings."""


class MissingPackage(FanfoldError, ImportError):
    """An optional part needs a package that is not installed."""
