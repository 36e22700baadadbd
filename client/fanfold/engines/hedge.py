"""Duplicates of slow runs, where one process runs a job: when each begins, and which try is not needed any more."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping

from fanfold.core.duplicates import OpenTries, patience_s
from fanfold.core.models import Event, EventKind, RunError, RunRef
from fanfold.execution.calls import Report

#: Why a try ends whose run has its result by another.
SUPERSEDED = RunError("Cancelled", "its duplicate ended first")


def without_superseded(reports: Iterable[Report], obsolete: Collection[tuple[int, int]]) -> list[Report]:
    """The reports; of the tries (run, attempt) that were not needed any more, they say so."""
    return [
        report._replace(event=report.event._replace(error=SUPERSEDED))
        if report.event.error is not None and (report.event.index, report.event.attempt) in obsolete
        else report
        for report in reports
    ]


class Hedge:
    """The tries of one job's runs, as their feed hears of them."""

    def __init__(self) -> None:
        self._tries = OpenTries()
        self._durations_s: list[float] = []
        #: Runs that have had their duplicate, and runs that have their result.
        self._had: set[int] = set()
        self._done: set[int] = set()
        #: Tries (run, attempt) that go on though their run has its result: the pool ends them.
        self.obsolete: set[tuple[int, int]] = set()

    def note(self, events: Iterable[Event]) -> None:
        """Take in what is on record now."""
        for event in events:
            if event.kind is EventKind.STARTED and event.index not in self._done:
                self._tries.start(event.index, event.attempt, event.at)
            elif event.kind is EventKind.FINISHED:
                self.obsolete.discard((event.index, event.attempt))
                self._end(event)

    def _end(self, event: Event) -> None:
        index = event.index
        self._tries.end(index, event.attempt, event.at)
        if event.status is not None and event.status.good and index not in self._done:
            self._done.add(index)
            if event.usage is not None:
                self._durations_s.append(event.usage.duration_s)
            self.obsolete.update((index, attempt) for attempt in self._tries.open(index))

    def without_superseded(self, reports: Iterable[Report]) -> list[Report]:
        """The reports; of tries that were ended since their run has its result, they say so."""
        return without_superseded(reports, self.obsolete)

    def has_another(self, event: Event) -> bool:
        """Whether the run of a try that has failed has its result, or may get it from another try that is open."""
        return event.index in self._done or bool(self._tries.open(event.index))

    def next_attempt(self, index: int) -> int:
        """The number of the run's next try."""
        return self._tries.highest(index) + 1

    def next_duplicate(self, first_attempts: Mapping[int, int]) -> RunRef | None:
        """The duplicate that is due; None where none is. It is one of its run's tries, which count from the first."""
        wait_s, index = self._next()
        if index is None or wait_s > 0:
            return None
        self._had.add(index)
        attempt = self.next_attempt(index)
        self._tries.start(index, attempt, time.time())
        return RunRef(index, attempt, first_attempts.get(index, 0))

    def next_in_s(self) -> float | None:
        """Seconds until the next duplicate is due; None where none is to come that is known by now."""
        wait_s, index = self._next()
        return None if index is None else max(0.0, wait_s)

    def _next(self) -> tuple[float, int | None]:
        alone = [(at, index) for index, _, at in self._tries.alone() if index not in self._done]
        least_s = patience_s(self._durations_s, len(alone) + len(self._had - self._done))
        began, index = min((one for one in alone if one[1] not in self._had), default=(0.0, None))
        return (0.0, None) if least_s is None or index is None else (began + least_s - time.time(), index)
