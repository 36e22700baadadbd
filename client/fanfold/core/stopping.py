"""When no more runs of a job are started because of how its first ones have failed."""

from __future__ import annotations

import re

from fanfold.core.models import RunError, RunStatus

#: What `stop_on_error` may be.
SAME, FIRST, NEVER = "same", "first", "never"
STOP_ON_ERROR = (SAME, FIRST, NEVER)

#: So many runs that fail the same way, and none that succeeds, are a fault of the code, not of an input.
_FIRST_RUNS = 10
_LOCATION = re.compile(r'File "([^"]*)", line (\d+)')


class FailureWatch:
    """Watches how a job's runs end, one after the other, and says why no more of them are to be started."""

    def __init__(self, rule: str) -> None:
        self._rule = rule
        self._first: tuple[str, str] | None = None
        self._count = 0

    def note(self, status: RunStatus, error: RunError | None) -> str:
        """Take a run's end into account, after which it is not tried again. The reason to stop, or ""."""
        if self._rule == FIRST and not status.good and status is not RunStatus.CANCELLED:
            self._rule = NEVER
            return 'a run failed, and stop_on_error is "first"'
        if self._rule != SAME:
            return ""
        failure = _failure(error) if status is RunStatus.FAILED and error is not None else None
        if failure is None or self._first not in (None, failure):
            self._rule = NEVER
            return ""
        self._first = failure
        self._count += 1
        if self._count < _FIRST_RUNS:
            return ""
        self._rule = NEVER
        kind, where = failure
        return f"the first {_FIRST_RUNS} runs all failed with {kind}{f' at {where}' if where else ''}"


def _failure(error: RunError) -> tuple[str, str]:
    """What an exception is and where it was raised; its message may name the input, and is another for each run."""
    found = _LOCATION.findall(error.traceback)
    return error.type, f"{found[-1][0]}:{found[-1][1]}" if found else ""
