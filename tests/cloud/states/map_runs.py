"""Map Runs as one lists, looks at and changes them, while they go on and afterwards.

What the documents do not say is played the harder way: a change takes effect some time after it was answered.
https://docs.aws.amazon.com/step-functions/latest/apireference/API_UpdateMapRun.html
https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeMapRun.html
https://docs.aws.amazon.com/step-functions/latest/apireference/API_ListMapRuns.html
"""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

#: A change is answered at once, and children are started by it after so long.
_TAKES_EFFECT_S = 0.2
#: How often a child that waits for its turn looks whether the execution was stopped.
_LOOK_S = 0.05
#: How children end, as counts are called.
_COUNTS = {"SUCCEEDED": "succeeded", "FAILED": "failed", "TIMED_OUT": "timedOut", "ABORTED": "aborted"}


class NoMapRun(LookupError):
    """There is none of that ARN."""


class CannotChange(ValueError):
    """The change is none, or the Map Run has ended."""


@dataclass
class MapRun:
    """The children of one Distributed Map state. `here`: as many as run side by side on this machine at most."""

    arn: str
    execution_arn: str
    max_concurrency: int
    here: int
    total: int = 0
    tolerated_percentage: float = 0.0
    tolerated_count: int | None = None
    status: str = "RUNNING"
    started_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    stopped_at: datetime | None = None
    running: int = 0
    #: The most that have run side by side, by the limit that held then.
    most: dict[int, int] = field(default_factory=dict)
    ended: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._changed = threading.Condition()
        self.limit = self.max_concurrency

    @contextmanager
    def place(self, check: Callable[[], None]) -> Iterator[None]:
        """Wait until one more child may run; `check` raises where none may any more."""
        with self._changed:
            while self.running >= min(self.limit or self.here, self.here):
                check()
                self._changed.wait(_LOOK_S)
            self.running += 1
            self.most[self.limit] = max(self.running, self.most.get(self.limit, 0))
        try:
            yield
        finally:
            with self._changed:
                self.running -= 1
                self._changed.notify_all()

    def note(self, outcome: str) -> None:
        """Note how a child has ended."""
        with self._changed:
            self.ended[_COUNTS[outcome.split(maxsplit=1)[0]]] += 1

    @property
    def failed(self) -> int:
        """How many children have ended otherwise than well."""
        return self.ended.total() - self.ended["succeeded"]

    @property
    def has_too_many_failures(self) -> bool:
        """Whether more children have failed than it tolerates by now."""
        if self.tolerated_count is not None and self.failed > self.tolerated_count:
            return True
        return self.failed * 100 > self.tolerated_percentage * self.total

    def end(self, status: str) -> None:
        """It is over."""
        self.status, self.stopped_at = status, datetime.now(timezone.utc)

    def change(self, *, max_concurrency: int | None, percentage: float | None, count: int | None) -> None:
        """Change what is given. Children that run go on, whatever the limit. Raises `CannotChange`."""
        if self.status != "RUNNING":
            raise CannotChange(f"Map Run {self.arn} is {self.status}")
        given = [one for one in (max_concurrency, percentage, count) if one is not None]
        if not given or min(given) < 0 or (percentage or 0) > 100:
            raise CannotChange("Value failed to satisfy constraint: at least one parameter, and in its range")
        if max_concurrency is not None:
            self.max_concurrency = max_concurrency
            timer = threading.Timer(_TAKES_EFFECT_S, self._take_effect, [max_concurrency])
            timer.daemon = True
            timer.start()
        self.tolerated_percentage = self.tolerated_percentage if percentage is None else percentage
        self.tolerated_count = self.tolerated_count if count is None else count

    def listed(self) -> dict[str, Any]:
        """As ListMapRuns tells of it."""
        machine = self.execution_arn.replace(":execution:", ":stateMachine:").rpartition(":")[0]
        told = {"executionArn": self.execution_arn, "mapRunArn": self.arn, "stateMachineArn": machine}
        stopped = {} if self.stopped_at is None else {"stopDate": self.stopped_at}
        return {**told, "startDate": self.started_at, **stopped}

    def described(self) -> dict[str, Any]:
        """As DescribeMapRun tells of it."""
        counts = {"pending": self._pending(), "running": self.running, "total": self.total, "resultsWritten": 0}
        counts |= {name: self.ended[name] for name in _COUNTS.values()}
        told = {name: value for name, value in self.listed().items() if name != "stateMachineArn"}
        return {
            **told,
            "status": self.status,
            "maxConcurrency": self.max_concurrency,
            "toleratedFailurePercentage": self.tolerated_percentage,
            "toleratedFailureCount": self.tolerated_count or 0,
            "itemCounts": counts,
            "executionCounts": counts,
        }

    def _pending(self) -> int:
        return self.total - self.running - self.ended.total()

    def _take_effect(self, limit: int) -> None:
        with self._changed:
            self.limit = limit
            self._changed.notify_all()


class MapRuns:
    """Those of all executions."""

    def __init__(self) -> None:
        self._all: dict[str, MapRun] = {}

    def begin(self, execution_arn: str, label: str, **facts: Any) -> MapRun:
        """A new one: `label` is the state's."""
        where, _, _ = execution_arn.replace(":execution:", ":mapRun:").rpartition(":")
        run = MapRun(f"{where}/{label}:{uuid.uuid4()}", execution_arn, **facts)
        self._all[run.arn] = run
        return run

    def of(self, execution_arn: str) -> list[MapRun]:
        """Those that an execution has begun, the latest first."""
        return [one for one in reversed(self._all.values()) if one.execution_arn == execution_arn]

    def named(self, arn: str) -> MapRun:
        """The one with this ARN. Raises `NoMapRun`."""
        if arn not in self._all:
            raise NoMapRun(f"Map Run Does Not Exist: '{arn}'")
        return self._all[arn]
