"""All jobs as rows of a table: headers read in pages, and each job folded only when somebody sees it or there is time.

Thousands of jobs have millions of events. A row whose job has ended is read once and kept as a few numbers.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any

from fanfold.core.models import BAD, JobHeader, RunStatus
from fanfold.engines.base import engine_for
from fanfold.job import Job
from fanfold.workbench.following import SharedReader

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
_LOOK_S = 0.8
#: How long a row counts as being in sight after a viewer has said so.
_SIGHT_S = 5.0


class JobsTable(SharedReader):
    """Every job's row, shared by all who look. One thread at a time does the reading."""

    def __init__(self, engine: str | None) -> None:
        super().__init__(_LOOK_S)
        self._engine = engine
        self._in_sight: dict[str, float] = {}
        self._held: OrderedDict[str, Job] = OrderedDict()
        self._unread: OrderedDict[str, JobHeader] = OrderedDict()
        self._looked_at: dict[str, float] = {}
        self.rows: dict[str, Row] = {}
        #: Rises with each change; a row's `v` is the number of its last.
        self.version = 0
        #: True when all headers have been read.
        self.whole = False

    def since(self, version: int) -> tuple[list[Row], int]:
        """The rows that have changed after `version`, newest job first, and the version to ask with next."""
        return [row for row in self.rows.values() if row["v"] > version], self.version

    @property
    def unread(self) -> int:
        """How many jobs have a row whose status is not known yet."""
        return len(self._unread)

    @property
    def is_behind(self) -> bool:
        """Whether there are headers, or jobs, that have not been read yet."""
        return bool(self._unread) or not (self.whole or not self.rows)

    def _pause(self) -> float:
        return 0.0 if self.is_behind else super()._pause()

    def see(self, job_ids: list[str]) -> None:
        """Say which rows a viewer has in sight: these are read first."""
        now = time.monotonic()
        self._in_sight = {one: at for one, at in self._in_sight.items() if now - at < _SIGHT_S}
        self._in_sight.update(dict.fromkeys(job_ids, now))
        if any(one in self._unread for one in job_ids):
            self._looked = -1e9  # at once

    def _read(self) -> None:
        self._read_news()
        now = time.monotonic()
        visible = [one for one, at in list(self._in_sight.items()) if now - at < _SIGHT_S]
        for job_id in visible:
            if job_id in self.rows and self._is_due(job_id, now):
                self._fold(job_id)
        self._read_past()
        for job_id in [one for one, row in self.rows.items() if row["open"] and one not in visible]:
            self._fold(job_id)
        while self._unread and time.monotonic() - now < _SPARE_S:
            self._fold(next(iter(self._unread)))

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

    def _fold(self, job_id: str) -> None:
        header = self._unread.pop(job_id, None)
        job = self._job(job_id, header)
        status, counts = str(job.status), job.state.counts()
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
