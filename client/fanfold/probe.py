"""One call in a worker process, and no trace of it in the store: to see that workers start."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from fanfold.execute.calls import Assignment, Call, Report
from fanfold.execute.pool import Pool
from fanfold.models import Event, EventKind
from fanfold.source.capture import capture


def ready() -> str:
    """What the worker runs."""
    return "ready"


class _OneCall:
    """Feeds a pool with a single call, and keeps how it ended."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self._calls = [Call(0, 0, "{}")]
        self.end: Event | None = None

    def take(self) -> Call | None:
        return self._calls.pop() if self._calls else None

    def record(self, reports: Sequence[Report]) -> None:
        for report in reports:
            if report.event.kind is EventKind.FINISHED:
                self.end = report.event


def probed(scratch: Path, *, timeout_s: float) -> str:
    """Start a worker process and have it run something; why it did not, or nothing where all is well."""
    with tempfile.TemporaryDirectory(prefix="probe-", dir=scratch) as name:
        folder = Path(name)
        bundle = folder / "bundle"
        bundle.write_bytes(capture(ready).to_bytes())
        feed = _OneCall(Assignment("probe", bundle, folder, timeout_s=timeout_s))
        pool = Pool(1, folder / "pool")
        try:
            return _outcome(pool, feed, time.monotonic() + timeout_s)
        finally:
            pool.close()


def _outcome(pool: Pool, feed: _OneCall, deadline: float) -> str:
    pool.add(feed)
    while feed.end is None and time.monotonic() < deadline:
        pool.step()
    if feed.end is None:
        return "a worker process did not answer in time"
    error = feed.end.error
    return "" if error is None else f"{error.type}: {error.message}"
