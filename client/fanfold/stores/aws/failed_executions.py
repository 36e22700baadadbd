"""What a state machine wrote of a run whose Lambda died under it, or of machines that did not come up."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from fanfold.contract.cloud import SORT_KEY
from fanfold.core.models import THROTTLED, Event, EventKind, RunError, RunStatus
from fanfold.stores.aws.table import Item

_TIMED_OUT = {"Lambda.Unknown", "Sandbox.Timedout", "States.Timeout"}
_OUT_OF_MEMORY = {"Runtime.OutOfMemory"}
_EXITED = {"Runtime.ExitError"}
_THROTTLED = {"Lambda.TooManyRequestsException", "Lambda.EC2ThrottledException", "TooManyRequestsException"}


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
    # An older deployment's state machine writes its kind as "machine".
    return event._replace(
        kind=EventKind.EXECUTION_FAILURE,
        data={"name": execution, "reason": f"{error.type}: {error.message}".strip(": ")},
    )


def classified(name: str, cause: str) -> tuple[RunStatus, RunError]:
    """The status and the error of a run that ended with an error of that name, as Lambda or Step Functions tell it."""
    if name in _OUT_OF_MEMORY or (name in _EXITED and "signal: killed" in cause):
        return RunStatus.OUT_OF_MEMORY, RunError(
            "MemoryError", f"Lambda killed it for its memory ({_said(name, cause)})", types=("builtins.MemoryError",)
        )
    if name in _TIMED_OUT or "Task timed out" in cause:
        return RunStatus.TIMED_OUT, RunError(
            "TimeoutError",
            f"Lambda ended it at its time limit ({_said(name, cause)})",
            types=("builtins.TimeoutError",),
        )
    if name in _EXITED:
        message = f"its Lambda environment ended in the middle of the run ({_said(name, cause)})"
        return RunStatus.FAILED, RunError("WorkerDied", message, infrastructure=True)
    if name in _THROTTLED:
        message = f"AWS throttled its start to the end ({_said(name, cause)})"
        return RunStatus.FAILED, RunError(THROTTLED, message, infrastructure=True)
    if name == "States.DataLimitExceeded":
        return RunStatus.FAILED, RunError(name, f"its arguments are too large for Step Functions ({cause})")
    return RunStatus.FAILED, RunError(name or "Unknown", cause, infrastructure=True)


def _said(name: str, cause: str) -> str:
    return f"{name}: {cause}" if cause else name


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
