"""The process that reads all jobs: headers in pages, and each job folded when somebody sees it or there is time.

Thousands of jobs have millions of events, and to fold those of one may take the interpreter for 100 ms: the page's own
process would keep all viewers waiting. A row whose job has ended is read once and kept as a few numbers.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from functools import lru_cache
from typing import Any
from uuid import uuid4

from fanfold.contract.records import NamedTuple
from fanfold.core.models import BAD, JobHeader, RunStatus
from fanfold.engines.base import engine_for
from fanfold.errors import StoreError, StoreUnavailable
from fanfold.job import Job
from fanfold.workbench.asked_process import answer

Row = dict[str, Any]

#: Headers asked for at once: few for news, many for the past.
_NEWS, _PAGE = 50, 500
#: As far back as the table goes.
_MOST_JOBS = 20_000
#: Seconds a look may take beyond what is in sight.
_SPARE_S = 0.08
#: Jobs whose state is held, so that what is new of them is all that has to be read, and how many runs these may have.
_HELD, _HELD_RUNS = 64, 500_000
#: How often a job that has ended is looked at again, for a retry makes it run again: one with many runs less often.
_AGAIN_S, _AGAIN_RUNS = 5.0, 10_000
#: How a job stands that is damaged, or that a newer Fanfold has written; and what is known of its runs.
UNREADABLE = "Unreadable"
_NOTHING: Row = {"open": False, "ended": 0, "failed": 0, "running": 0, "took": None, "cost": None, "busy": None}


class News(NamedTuple):
    """What has changed since a page's process last asked: rows, and how much there is still to read."""

    #: Which process says so: another one begins to read anew.
    reader: str
    version: int
    rows: list[Row]
    whole: bool
    #: Whether there are headers, or jobs, that have not been read yet.
    is_behind: bool


class JobsReader:
    """Every job's row, as its process knows it."""

    def __init__(self, engine: str | None) -> None:
        self._engine = engine
        self._name = uuid4().hex
        self._held: OrderedDict[str, Job] = OrderedDict()
        self._unread: OrderedDict[str, JobHeader] = OrderedDict()
        self._looked_at: dict[str, float] = {}
        self.rows: dict[str, Row] = {}
        #: Rises with each change; a row's `v` is the number of its last.
        self.version = 0
        #: True when all headers have been read.
        self.whole = False

    def look(self, visible: list[str], reader: str, version: int) -> News:
        """Read what is new, the rows in sight first, and tell what has changed since that version of that reader."""
        self._read(visible)
        known = version if reader == self._name else 0
        rows = [row for row in self.rows.values() if row["v"] > known]
        behind = bool(self._unread) or not (self.whole or not self.rows)
        return News(self._name, self.version, rows, self.whole, behind)

    def _read(self, visible: list[str]) -> None:
        self._read_news()
        now = time.monotonic()
        for job_id in visible:
            if job_id in self.rows and self._is_due(job_id, now):
                self._fold_or_say(job_id)
        self._read_past()
        for job_id in [one for one, row in self.rows.items() if row["open"] and one not in visible]:
            self._fold_or_say(job_id)
        while self._unread and time.monotonic() - now < _SPARE_S:
            self._fold_or_say(next(iter(self._unread)))

    def _is_due(self, job_id: str, now: float) -> bool:
        row = self.rows[job_id]
        pause_s = _AGAIN_S * max(1.0, row["runs"] / _AGAIN_RUNS)
        return job_id in self._unread or row["open"] or now - self._looked_at.get(job_id, 0.0) > pause_s

    def _read_news(self) -> None:
        """Headers newer than those that are known; the newest page where none is."""
        log, first, before = engine_for(self._engine).stores.log, not self.rows, None
        while True:
            headers = log.list_jobs(limit=_PAGE if first else _NEWS, before=before)
            new = [header for header in headers if header.id not in self.rows]
            for header in new:
                self._add(header)
            if first or len(new) < len(headers) or not headers:
                return
            before = headers[-1].id

    def _read_past(self) -> None:
        if self.whole or not self.rows:
            return
        oldest = min(self.rows)
        headers = engine_for(self._engine).stores.log.list_jobs(limit=_PAGE, before=oldest)
        for header in headers:
            if header.id not in self.rows:
                self._add(header)
        self.whole = len(headers) < _PAGE or len(self.rows) >= _MOST_JOBS

    def _add(self, header: JobHeader) -> None:
        self._unread[header.id] = header
        self._put(
            {
                "id": header.id,
                "name": header.name,
                "owner": header.owner,
                "engine": header.engine,
                "machine": header.instance_type or "realtime",
                "created": header.created_at,
                "runs": header.count,
                "status": "",
                "open": False,
            }
        )

    def _fold_or_say(self, job_id: str) -> None:
        """Read a job; where it alone cannot be read, its row says so, and all others are read."""
        try:
            self._fold(job_id)
        except StoreUnavailable:
            raise
        except StoreError as error:
            engine_for(self._engine).stores.log.list_jobs(limit=1)  # raises, where it is the store that fails
            self._held.pop(job_id, None)
            self._unread.pop(job_id, None)
            self._looked_at[job_id] = time.monotonic()
            row = self.rows[job_id]
            if row["status"] != UNREADABLE:
                self._put({**row, **_NOTHING, "status": UNREADABLE, "why": str(error)})

    def _fold(self, job_id: str) -> None:
        job = self._job(job_id, self._unread.get(job_id))
        status, counts = str(job.status), job.state.counts()
        self._unread.pop(job_id, None)  # not before: the store may not have answered
        self._looked_at[job_id] = time.monotonic()
        ended = sum(count for one, count in counts.items() if one.final)
        changes = {
            "status": status,
            "open": status in ("Queued", "Running"),
            "ended": ended,
            "failed": sum(counts[one] for one in BAD if one is not RunStatus.CANCELLED),
            "running": counts[RunStatus.RUNNING],
            "took": round(float(job.total_time()), 2),
            "cost": float(job.cost()),
            "busy": round(sum(job.state.measured_s()), 2),
            "why": "",
        }
        row = self.rows[job_id]
        if changes["open"] or any(row.get(name) != value for name, value in changes.items()):
            self._put({**row, **changes})

    def _job(self, job_id: str, header: JobHeader | None) -> Job:
        held = self._held.get(job_id)
        if held is None:
            engine = engine_for(self._engine)
            held = self._held[job_id] = Job(header or engine.stores.log.get_job(job_id), engine)
        self._held.move_to_end(job_id)
        while len(self._held) > 1 and (len(self._held) > _HELD or sum(map(len, self._held.values())) > _HELD_RUNS):
            self._held.popitem(last=False)
        return held

    def _put(self, row: Row) -> None:
        self.version += 1
        self.rows[row["id"]] = {**row, "v": self.version}


@lru_cache(maxsize=1)
def _reader(engine: str | None) -> JobsReader:
    return JobsReader(engine)


def look(engine: str | None, visible: list[str], reader: str, version: int) -> News:
    """What has changed among the jobs of an engine."""
    return _reader(engine).look(visible, reader, version)


def main() -> None:
    """Answer what the page asks, one question after the other."""
    answer({"look": look}, 1)
