"""A feed while a pool serves it: what is out, what waits, what is still to be handed on."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path

from fanfold.execute import reports
from fanfold.execute.calls import Assignment, Call, Feed, Report

#: Reports are handed on when this many have come or the first has waited this long: one commit, one batch write.
BATCH = 200
BATCH_S = 0.02


class Serving:
    """The pool's book on one feed."""

    def __init__(self, feed: Feed, number: int, folder: Path) -> None:
        self.feed = feed
        #: What workers know the assignment by.
        self.number = number
        self.assignment_file = folder / f"assignment-{number}.json"
        #: Calls that are queued or running.
        self.out = 0
        self.cancelled = False
        self._waiting: deque[Call] = deque()
        self._reports: list[Report] = []
        self._begun: dict[int, tuple[Call, float, int]] = {}
        self._oldest = 0.0

    @property
    def assignment(self) -> Assignment:
        """What all its calls share."""
        return self.feed.assignment

    @property
    def has_reports(self) -> bool:
        """True while there is something to hand on."""
        return bool(self._reports or self._begun)

    def next_call(self) -> Call | None:
        """The next call that may go out now."""
        limit = self.assignment.max_concurrency
        if self.cancelled or (limit is not None and self.out >= limit):
            return None
        return self._waiting.popleft() if self._waiting else self.feed.take()

    def put_back(self, call: Call) -> None:
        """A call that was not performed goes out again, before any other."""
        self._waiting.appendleft(call)

    def report(self, report: Report) -> None:
        """Note what happened; it is handed on with others."""
        if not self.has_reports:
            self._oldest = time.monotonic()
        self._reports.append(report)

    def report_start(self, number: int, call: Call, at: float, pid: int) -> None:
        """Note that a call has begun. Only told of a call that is still running when reports are handed on."""
        if not self.has_reports:
            self._oldest = time.monotonic()
        self._begun[number] = call, at, pid

    def forget_start(self, number: int) -> None:
        """A call has ended: that tells when it began, too."""
        self._begun.pop(number, None)

    def hand_on(self, now: float) -> None:
        """Give the feed its reports where it is time to: a full batch, an old one, or nothing more to wait for."""
        if not self.has_reports:
            return
        if self.out == 0 or len(self._reports) >= BATCH or now - self._oldest >= BATCH_S:
            job_id = self.assignment.job_id
            batch = [*(reports.started(job_id, *begun) for begun in self._begun.values()), *self._reports]
            self._begun, self._reports = {}, []
            self.feed.record(batch)

    @property
    def over(self) -> bool:
        """True where nothing is out, nothing to hand on, and the feed has nothing more to give."""
        if self.out or self.has_reports:
            return False
        if self.cancelled:
            return True
        if not self._waiting and (call := self.feed.take()) is not None:
            self._waiting.append(call)
        return not self._waiting
