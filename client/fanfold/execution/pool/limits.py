"""What the pool looks at while calls run: their output, the clock, their memory."""

from __future__ import annotations

import shutil
from typing import ClassVar

from fanfold.core.models import RunStatus
from fanfold.execution import calls as reports
from fanfold.execution.calls import Call
from fanfold.execution.pool.process import WorkerProcess
from fanfold.execution.pool.scheduler import FeedState


class LimitWatch:
    """Looks at every running call a few times a second, and ends those that exceed a limit."""

    INTERVAL_S: ClassVar[float] = 0.1

    def __init__(self) -> None:
        self._looked_at = 0.0

    def due(self, now: float) -> bool:
        """True where it is time for another look (`now` in time.monotonic seconds)."""
        if now - self._looked_at < self.INTERVAL_S:
            return False
        self._looked_at = now
        return True

    def look(self, worker: WorkerProcess, feed: FeedState, call: Call, now: float) -> None:
        """One look at one running call."""
        worker.report_log(feed, call, last=False)
        limits, ran_s = feed.assignment, now - worker.since
        if limits.timeout_s is not None and ran_s > limits.timeout_s:
            worker.end(RunStatus.TIMED_OUT)
            return
        if ran_s < self.INTERVAL_S:
            return
        memory_mib = worker.measure(now)
        if limits.memory_mib is not None and memory_mib > limits.memory_mib:
            worker.end(RunStatus.OUT_OF_MEMORY)
        elif limits.usage_interval_s is not None and now - worker.usage_told_at >= limits.usage_interval_s:
            self._report_usage(worker, feed, call, now)

    def _report_usage(self, worker: WorkerProcess, feed: FeedState, call: Call, now: float) -> None:
        percent = worker.cpu_percent(now)
        free_mib = shutil.disk_usage(feed.assignment.bundle.parent).free / 2**20
        measured = {"cpu_percent": percent, "memory_mib": worker.memory_mib, "disk_free_mib": round(free_mib)}
        feed.report(reports.usage(feed.assignment.job_id, call, **measured))
