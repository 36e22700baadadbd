"""What stands in the way of running on this machine."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fanfold.contract.layout import REALTIME_MEMORY_MIB
from fanfold.core.formatting import counted
from fanfold.core.models import Event, EventKind
from fanfold.diagnosis.checks import Check
from fanfold.errors import FanfoldError
from fanfold.execution.calls import Assignment, Call, Report
from fanfold.execution.pool.pool import Pool
from fanfold.settings import Settings
from fanfold.source.capture import capture

_NEWEST_PYTHON = (3, 14)
_ROOM_MIB = 1024
_WORKER_DEADLINE_S = 30.0

#: Optional packages: the extra that brings each, and what it is for.
OPTIONAL = {
    "boto3": ("aws", "running in an AWS account"),
    "geopandas": ("geo", "frames with geometries"),
    "PIL": ("images", "pictures as results"),
    "joblib": ("joblib", "the joblib backend"),
    "matplotlib": ("plot", "job.timeline()"),
    "polars": ("polars", "polars frames"),
    "nicegui": ("workbench", "the Workbench"),
    "mcp": ("mcp", "`fanfold mcp`, for coding agents"),
}


def machine() -> Iterator[Check]:
    """What can be said without any settings."""
    yield check_python()
    yield _cores()
    yield _memory()


def fanfold(settings: Settings) -> Iterator[Check]:
    """Whether Fanfold can work with these settings on this machine."""
    yield _settings(settings)
    yield _check("disk", lambda: _disk(settings.home))
    store = _check("store", lambda: _store(settings.home))
    yield store
    if store.verdict == "ok":
        yield _check("worker", lambda: _worker(settings.home))
    yield _optional()


def _check(what: str, look: Callable[[], Check]) -> Check:
    try:
        return look()
    except FanfoldError as error:
        return Check(what, "fail", error.message, error.next_step)
    except OSError as error:
        return Check(what, "fail", str(error), "see that FANFOLD_HOME is a directory of yours with room left.")


def check_python() -> Check:
    """Whether somebody has tried this Python with Fanfold."""
    version = ".".join(map(str, sys.version_info[:3]))
    found = f"{version} at {sys.executable}"
    if sys.version_info[:2] > _NEWEST_PYTHON:
        newest = ".".join(map(str, _NEWEST_PYTHON))
        return Check("python", "warn", found, f"Fanfold is tested up to {newest}; use that where something is odd.")
    return Check("python", "ok", found)


def _cores() -> Check:
    import os

    from fanfold.core.processes import usable_cores

    usable, all_of_them = usable_cores(), os.cpu_count() or 1
    limited = f" of {all_of_them}: this process or container is held to them" if usable < all_of_them else ""
    return Check("cores", "ok", f"{usable}{limited}; as many runs are side by side")


def _memory() -> Check:
    import psutil

    from fanfold.core.processes import usable_cores

    free_mib = psutil.virtual_memory().available / 2**20
    found = f"{free_mib:,.0f} MiB free; a realtime run may use {REALTIME_MEMORY_MIB:,} MiB"
    if free_mib >= REALTIME_MEMORY_MIB:
        return Check("memory", "ok", found)
    workers = max(1, min(usable_cores(), int(free_mib / 1024)))
    return Check("memory", "warn", found, f"for runs that need much, submit(..., max_workers={workers}).")


def _settings(settings: Settings) -> Check:
    deployment = f", deployment {settings.deployment}" if settings.deployment else ", no deployment"
    return Check("settings", "ok", f"engine {settings.engine}{deployment}, owner {settings.owner}")


def _disk(home: Path) -> Check:
    import shutil

    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free_mib = shutil.disk_usage(existing).free / 2**20
    found = f"{free_mib:,.0f} MiB free at {home}"
    if free_mib < _ROOM_MIB:
        step = "`fanfold remove --older-than 7d` frees what old jobs hold; or set FANFOLD_HOME to a larger disk."
        return Check("disk", "warn", found, step)
    return Check("disk", "ok", found)


def _store(home: Path) -> Check:
    from fanfold.stores.local import LocalStores

    with LocalStores.open(home) as stores:
        results, size = stores.cache.usage()
        jobs = len(stores.log.list_jobs(limit=1000))
    kept = "1,000 or more jobs" if jobs == 1000 else counted(jobs, "job")
    return Check("store", "ok", f"{kept}, {counted(results, 'cached result')} ({size / 2**20:,.1f} MiB)")


def _worker(home: Path) -> Check:
    import time

    began = time.monotonic()
    failure = probe_worker(home / "scratch", timeout_s=_WORKER_DEADLINE_S)
    if failure:
        return Check("worker", "fail", failure, f"see that {sys.executable} starts, and that nothing kills it.")
    return Check("worker", "ok", f"a worker process started and ran in {time.monotonic() - began:.1f} s")


def _optional() -> Check:
    from importlib.util import find_spec

    missing = {extra: use for name, (extra, use) in OPTIONAL.items() if find_spec(name) is None}
    if not missing:
        return Check("optional packages", "ok", "all there")
    uses = "; ".join(f"{extra} for {use}" for extra, use in missing.items())
    return Check("optional packages", "warn", f"not installed: {uses}", f"pip install 'fanfold[{','.join(missing)}]'")


# One call in a worker process, and no trace of it in the store: to see that workers start.


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


def probe_worker(scratch: Path, *, timeout_s: float) -> str:
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
