"""AWS on a bad day, on this machine: starts that are refused, workers that are lost, memory that is over, late starts.

What befalls a try follows from the seed, the run's number and the try's: the same job meets the same again, whatever
else goes on. Loaded for jobs under `fanfold.local(chaos=...)` and no others.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence

from fanfold.core.models import THROTTLED, Event, EventKind, JobHeader, RunError, RunRef, RunStatus
from fanfold.engines.base import Stores
from fanfold.engines.feed import JobFeed
from fanfold.execution.calls import Assignment, Call, Report
from fanfold.settings import Conditions

#: A late start is late by so many seconds at most.
_LATE_S = 5.0
#: Which tries are over with the worker that performs them: half of those that are lost never begin.
_AFTERWARDS = ("oom", "lost late")


class Chaos:
    """What befalls which try."""

    def __init__(self, asked: Conditions) -> None:
        self._asked = asked

    def fate(self, index: int, attempt: int) -> str:
        """What happens to an attempt: "throttle", "lost early", "lost late", "oom", "slow", or "" for nothing."""
        place = self._number("fate", index, attempt)
        for kind, part in self._asked.chaos:
            if place < part:
                return f"lost {'early' if place < part / 2 else 'late'}" if kind == "lost" else kind
            place -= part
        return ""

    def late_s(self, index: int, attempt: int) -> float:
        """How late an attempt begins that is slow."""
        return _LATE_S * self._number("late", index, attempt)

    def _number(self, what: str, index: int, attempt: int) -> float:
        """Evenly from 0 to 1, and each another."""
        text = f"{self._asked.seed} {what} {index} {attempt}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big") / (1 << 56)


class ChaosFeed(JobFeed):
    """A job's runs, some of which meet what they may meet in AWS."""

    def __init__(
        self, header: JobHeader, runs: Iterable[RunRef], *, stores: Stores, assignment: Assignment, chaos: Chaos
    ) -> None:
        super().__init__(header, runs, stores=stores, assignment=assignment)
        self._chaos = chaos
        self._was_late: set[tuple[int, int]] = set()
        self._is_plain = False

    def take(self) -> Call | None:
        """The next run that begins; those that do not are over, and tried again where that is due."""
        while (call := super().take()) is not None:
            fate = self._chaos.fate(call.index, call.attempt)
            if fate == "slow" and (call.index, call.attempt) not in self._was_late:
                self._was_late.add((call.index, call.attempt))
                self.put_off(call, time.time() + self._chaos.late_s(call.index, call.attempt))
            elif fate in ("throttle", "lost early"):
                self.record([self._ended(call, fate)])
            else:
                return call
        return None

    def record(self, reports: Sequence[Report]) -> None:
        """Keep what happened, or what chaos makes of it."""
        super().record([self._befallen(report) for report in reports])

    def _befallen(self, report: Report) -> Report:
        event = report.event
        if event.kind is not EventKind.FINISHED or event.status is not RunStatus.SUCCEEDED:
            return report
        fate = self._chaos.fate(event.index, event.attempt)
        if fate not in _AFTERWARDS:
            return report
        status, error = _ending(fate)
        return report._replace(event=event._replace(status=status, error=error, output=None))

    def _ended(self, call: Call, fate: str) -> Report:
        status, error = _ending(fate)
        facts = (call.index, call.attempt, EventKind.FINISHED)
        return Report(Event.new(self.header.id, *facts, status=status, error=error))


def _ending(fate: str) -> tuple[RunStatus, RunError]:
    if fate == "throttle":
        said = "chaos: AWS refused to start it (Rate Exceeded)"
        return RunStatus.FAILED, RunError(THROTTLED, said, infrastructure=True)
    if fate == "oom":
        said = "chaos: it was killed as if it had used more memory than there is"
        return RunStatus.OUT_OF_MEMORY, RunError("MemoryError", said, types=("builtins.MemoryError",))
    when = "before it had begun" if fate == "lost early" else "after the UDF had returned, and before that was told"
    return RunStatus.LOST, RunError("Lost", f"chaos: its worker was lost {when}", infrastructure=True)
