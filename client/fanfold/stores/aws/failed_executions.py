"""What a state machine wrote of a run whose function failed under it, or of machines that did not come up."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any

from fanfold.contract.cloud import SORT_KEY
from fanfold.contract.invocation import PREFIX, Answer, answer_to
from fanfold.core.models import THROTTLED, Event, EventKind, RunError, RunStatus
from fanfold.errors import NEXT_STEP
from fanfold.stores.aws.table import Item

_SMALLER = "put what is large into a file in S3, and pass its path."
_DEPLOYED_ANEW = (
    "the deployment has another function by now, or its roles have changed: `job.retry()` takes what it names now;"
    " `fanfold doctor` looks at it."
)
#: What Lambda says of a function whose environment does not come up
#: (https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-deployment.html).
_BROKEN_IMAGE = (
    *("Runtime.InvalidEntrypoint", "Runtime.ImportModuleError", "Runtime.HandlerNotFound", "Runtime.InvalidWorkingDir"),
    *("Runtime.UserCodeSyntaxError", "Extension.", "Sandbox.InitError"),
)
_THROTTLE_WORDS = re.compile(
    r"Too ?Many ?Requests|Throttl|Rate ?Exceeded|Request ?Limit ?Exceeded|Slow ?Down|reduce your request rate"
    r"|Status ?Code: 429",
    re.I,
)
#: A service that did not take a call, for a reason of its own or of the network's
#: (https://docs.aws.amazon.com/batch/latest/APIReference/CommonErrors.html).
_SERVICE_FAILED = re.compile(
    r"ServerException|SdkClientException|Internal|Service_?Unavailable|Status ?Code: 5\d\d|Unable to execute HTTP", re.I
)
_NOT_AUTHORIZED = "not authorized to perform: lambda:InvokeFunction"


class _Fate(Enum):
    OUT_OF_MEMORY = "out of memory"
    TIMED_OUT = "timed out"
    CRASHED = "crashed"


#: What a name and a cause mean, both as patterns; the first row that fits counts. Lambda does not use one name for
#: one thing: `Lambda.Unknown` stands for all of them, and only its cause tells which
#: (https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html;
#: https://repost.aws/knowledge-center/lambda-troubleshoot-invocation-error-502-500).
_FATES: tuple[tuple[re.Pattern[str], re.Pattern[str], _Fate], ...] = tuple(
    (re.compile(name), re.compile(cause, re.I | re.S), fate)
    for name, cause, fate in (
        (r"Runtime\.OutOfMemory", r"", _Fate.OUT_OF_MEMORY),
        (
            r"Runtime\.ExitError|Runtime\.Unknown|Lambda\.Unknown",
            r"signal: killed|OutOfMemory|exit status 137",
            _Fate.OUT_OF_MEMORY,
        ),
        (r"", r"Task timed out", _Fate.TIMED_OUT),
        (r"Sandbox\.Timedout|States\.Timeout", r"", _Fate.TIMED_OUT),
        (r"Runtime\.ExitError|Extension\.Crash", r"", _Fate.CRASHED),
        (r"Lambda\.Unknown|Runtime\.Unknown", r"exited|signal: |crash", _Fate.CRASHED),
        (r"Lambda\.Unknown", r"", _Fate.TIMED_OUT),  # says nothing else: what it was seen for most
    )
)


def read_failed_execution(job_id: str, item: Item) -> Event:
    """The event that `cloud.FAILED_EXECUTION_ATTRIBUTES` of an item tell of."""
    kind = EventKind(item["kind"]["S"])
    failure = _parsed(item["failure"]["S"])
    status, error = classified(str(failure.get("Error", "")), _cause(failure.get("Cause")))
    at = datetime.fromisoformat(item["at"]["S"].replace("Z", "+00:00")).timestamp()
    sort_key = item[SORT_KEY]["S"]
    event = Event(job_id, int(item["index"]["N"]), int(item["attempt"]["N"]), kind, at, sort_key)
    if kind is EventKind.FINISHED:
        return event._replace(status=status, error=error)
    execution = item.get("execution", {}).get("S", "")
    reason = machine_failure(str(failure.get("Error", "")), str(failure.get("Cause") or ""))
    # An older deployment's state machine writes its kind as "machine".
    return event._replace(
        kind=EventKind.EXECUTION_FAILURE,
        data={"name": execution, "reason": reason},
    )


def classified(name: str, cause: str) -> tuple[RunStatus, RunError]:
    """The status and the error of a run that ended with an error of that name, as Lambda or Step Functions tell it."""
    said = f"{name}: {cause}" if cause else name
    fate = next((fate for names, causes, fate in _FATES if names.match(name) and causes.search(cause)), None)
    if fate is not None:
        return _of_fate(fate, said)
    answer = answer_to(name)
    if answer is Answer.THROTTLED:
        return RunStatus.FAILED, RunError(THROTTLED, f"still throttled after all retries ({said})", infrastructure=True)
    if answer is Answer.NOT_READY:
        message = f"the function did not become active in time ({said})"
        return RunStatus.FAILED, RunError(THROTTLED, message, infrastructure=True)
    if name == "States.DataLimitExceeded":
        message = f"its arguments are too large for Step Functions ({cause})"
        return RunStatus.FAILED, RunError(name, message, next_step=_SMALLER)
    # Step Functions calls what is not an error of Invoke's own by one name.
    is_unknown = answer is None and name.startswith(PREFIX)
    if (answer is Answer.RETRY or is_unknown) and _THROTTLE_WORDS.search(said):
        return RunStatus.FAILED, RunError(THROTTLED, f"still throttled ({said})", infrastructure=True)
    # A function that is gone may have been replaced, and its name then is no longer the state machine's to call: the
    # client reads the deployment's descriptor again.
    gone = name.endswith("ResourceNotFoundException") or _NOT_AUTHORIZED in cause
    passes = answer is not Answer.FINAL or gone
    message, _, own_step = cause.partition(NEXT_STEP)  # of an error of Fanfold's own, which the function has raised
    step = own_step or _next_step(name, gone=gone)
    return RunStatus.FAILED, RunError(name or "Unknown", message, infrastructure=passes, next_step=step)


def _next_step(name: str, *, gone: bool) -> str:
    """What to do where Lambda or Step Functions failed, and not the UDF."""
    if gone:
        return _DEPLOYED_ANEW
    if name.startswith(_BROKEN_IMAGE):
        return "the image of the deployment does not start: `make deploy` builds it again; its log group says why."
    if answer_to(name) is Answer.FINAL:
        return "ask who runs the deployment, which cannot call its function like this; `fanfold doctor` looks at it."
    return "`job.retry()` runs it again; where it stays, https://health.aws.amazon.com tells of AWS's own troubles."


def _of_fate(fate: _Fate, said: str) -> tuple[RunStatus, RunError]:
    if fate is _Fate.OUT_OF_MEMORY:
        message = f"Lambda killed it for its memory ({said})"
        return RunStatus.OUT_OF_MEMORY, RunError("MemoryError", message, types=("builtins.MemoryError",))
    if fate is _Fate.TIMED_OUT:
        message = f"Lambda ended it at its time limit ({said})"
        return RunStatus.TIMED_OUT, RunError("TimeoutError", message, types=("builtins.TimeoutError",))
    message = f"its Lambda environment ended in the middle of the run ({said})"
    return RunStatus.FAILED, RunError("WorkerDied", message, infrastructure=True)


#: What Batch's and ECS's own words for the end of a container mean; the first that fits counts
#: (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html,
#: https://docs.aws.amazon.com/batch/latest/userguide/troubleshooting.html).
_MEANS = (
    ("OutOfMemory", "its container used up its memory"),
    ("no space left on device", "the disk of its host was full: the setting disk_size_gb enlarges it"),
    ("DockerTimeout", "Docker on its host did not answer in time"),
    ("CannotCreateContainer", "its container could not be started"),
    ("CannotStartContainer", "its container could not be started"),
    ("ResourceInitializationError", "its container could not be started"),
    ("CannotPullContainer", "the image could not be pulled"),
    ("not authorized to perform: batch:", "AWS refused the state machine's role to have Batch start them"),
    ("assume", "its job role was refused"),
    ("Host EC2", "its host was lost, as after a Spot interruption"),
    ("Job attempt duration exceeded timeout", "it was ended at the time limit of its job definition"),
    ("exit code 137", "its container was killed, most likely for its memory"),
    ("exit code 139", "it crashed in native code (a segmentation fault)"),
    ("exit code 143", "it was told to end (SIGTERM), and did not give back in time what it held"),
    ("RequestLimitExceeded", "AWS Batch throttled the job's start through all retries"),
    ("Throttl", "AWS Batch throttled the job's start through all retries"),
    ("TooManyRequests", "AWS Batch throttled the job's start through all retries"),
    ("Too Many Requests", "AWS Batch throttled the job's start through all retries"),
    ("Batch.ServerException", "AWS Batch failed to take the job through all retries"),
    ("Batch.SdkClientException", "AWS Batch did not answer the state machine through all retries"),
)


def machine_failure(name: str, cause: str) -> str:
    """Why machines ended or did not start, in words, from what Step Functions tells of a Batch job."""
    told = _parsed(cause)
    attempts = told.get("Attempts") or []
    container = (attempts[-1] if attempts else told).get("Container") or told.get("Container") or {}
    said = [
        str((attempts[-1] if attempts else {}).get("StatusReason") or told.get("StatusReason") or ""),
        str(container.get("Reason") or ""),
        f"exit code {container['ExitCode']}" if container.get("ExitCode") is not None else "",
    ]
    words = "; ".join(dict.fromkeys(filter(None, said))) or f"{name}: {_cause(cause)}".strip(": ")
    return explain_machine_end(words if told.get("Status") else f"{name}: {words}")


def describe_job(summary: Mapping[str, Any]) -> str:
    """Why a Batch job failed, from what ListJobs tells of it."""
    container = summary.get("container") or {}
    said = [str(summary.get("statusReason") or ""), str(container.get("reason") or "")]
    if container.get("exitCode") is not None:
        said.append(f"exit code {container['exitCode']}")
    return explain_machine_end("; ".join(filter(None, said)))


def describe_attempt(attempt: Mapping[str, Any]) -> str:
    """Why one attempt of a Batch job ended, from what DescribeJobs tells of it."""
    return describe_job(attempt)


def job_id_of(cause: str) -> str:
    """The id of the Batch job that a cause tells of."""
    return str(_parsed(cause).get("JobId", ""))


def was_refused_for_now(name: str, cause: str) -> bool:
    """Whether Batch did not take a job, by its throttle or a failure of its own: none of it has begun.

    The names are many, and some stand for anything else too (`ClientException`): the words tell.
    """
    said = f"{name} {cause}"
    return name.startswith("Batch.") and bool(_THROTTLE_WORDS.search(said) or _SERVICE_FAILED.search(said))


def explain_machine_end(said: str) -> str:
    """What Batch says of a job that failed, after what it means where that is known."""
    means = next((text for words, text in _MEANS if words in said), "")
    return f"{means} ({said})" if means else said


def _parsed(text: str) -> dict[str, Any]:
    try:
        told = json.loads(text)
    except ValueError:
        return {"Cause": text}
    return told if isinstance(told, dict) else {"Cause": text}


def _cause(cause: Any) -> str:
    """The message within a Cause, which mostly is JSON of Lambda's own."""
    told = _parsed(str(cause or ""))
    return str(told.get("errorMessage") or told.get("Cause") or told.get("StatusReason") or cause or "")
