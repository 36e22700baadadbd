"""What the local home may hold: beyond it, the oldest jobs go that have ended, and with them what only they need."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from fanfold.core.formatting import counted
from fanfold.core.models import JobHeader
from fanfold.engines.base import Engine
from fanfold.errors import FanfoldError
from fanfold.job.job import Job
from fanfold.settings import current

#: What was put, has ended or was read so lately stays, however much there is: somebody may be about to collect it.
_YOUNG_S = 3600.0
#: It is made to hold this much less than it may, so that the next job does not begin it again.
_SPARE = 0.1
#: Jobs removed, and headers read, at a time.
_JOBS, _PAGE = 20, 500
_GB = 1e9


def make_room(engine: Engine, home: Path, limit_gb: float) -> list[str]:
    """Remove ended jobs, what nobody has read for longest first, until `home` holds less than it may; which.

    A result that a newer job has taken from the cache stays with that job: so what was used last goes last.
    """
    held = size_of_home(home)
    if held <= limit_gb * _GB:
        return []
    removed: list[str] = []
    waiting = _ended(engine)
    while size_of_home(home) > limit_gb * _GB * (1 - _SPARE):
        some = [header.id for header in islice(waiting, _JOBS)]
        if not some:
            break
        engine.stores.remove_jobs(some)
        removed += some
    if removed:
        sys.stderr.write(
            f"fanfold: {home} held {held / _GB:,.1f} GB, and home_limit_gb is {limit_gb:g}: the"
            f" {counted(len(removed), 'job')} there went that nobody had used for longest, with"
            f" {'its' if len(removed) == 1 else 'their'} results.\n"
        )
    return removed


def make_room_quietly(engine: Engine) -> None:
    """The same by the settings in force; what keeps it from working keeps no job from running."""
    settings = current()
    with suppress(FanfoldError, OSError):
        make_room(engine, settings.home, settings.home_limit_gb)


def size_of_home(home: Path) -> int:
    """Bytes of results, inputs, sources and records."""
    total = 0
    for parent, _, names in os.walk(home):
        for name in names:
            with suppress(OSError):  # gone meanwhile
                total += os.lstat(os.path.join(parent, name)).st_size
    return total


def _ended(engine: Engine) -> Iterator[JobHeader]:
    """Jobs that ended long enough ago and were not read since, what was used last at the end."""
    headers: list[JobHeader] = []
    while page := engine.stores.log.list_jobs(limit=_PAGE, before=headers[-1].id if headers else None):
        headers += page
    used_at = {header.id: max(header.created_at, engine.stores.used_at(header.id)) for header in headers}
    headers.sort(key=lambda header: used_at[header.id])
    old = (header for header in headers if used_at[header.id] < time.time() - _YOUNG_S)
    return (header for header in old if _has_long_ended(header, engine))


def _has_long_ended(header: JobHeader, engine: Engine) -> bool:
    """One that has run for hours is as young as its last run, and may have been read while jobs before it went."""
    job = Job(header, engine)
    job.counts()  # one whose process was killed has ended
    last = max(job.state.last_end_at() or 0.0, engine.stores.used_at(header.id))
    return job.state.done and last < time.time() - _YOUNG_S
