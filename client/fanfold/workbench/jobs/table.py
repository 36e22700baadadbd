"""All jobs as rows of a table, as the page's process knows them: `jobs_reader` reads them, in a process of its own."""

from __future__ import annotations

import time

from fanfold.workbench.asked_process import AskedProcess
from fanfold.workbench.following import SharedReader
from fanfold.workbench.jobs.jobs_reader import News, Row

_LOOK_S = 0.8
#: How long a row counts as being in sight after a viewer has said so.
_SIGHT_S = 5.0
#: What reads the jobs is ended when nobody has looked at them for this long; it would have to read them all anew.
_IDLE_S = 600.0
_GONE = ("What reads the jobs for the page has ended (exit code {code}).", "wait: another one reads them anew.")


class JobsTable(SharedReader):
    """Every job's row, shared by all who look. One thread at a time asks for what is new."""

    def __init__(self, engine: str | None) -> None:
        super().__init__(_LOOK_S)
        self._engine = engine
        self.process = AskedProcess("fanfold.workbench.jobs.jobs_reader", idle_s=_IDLE_S, gone=_GONE)
        self._in_sight: dict[str, float] = {}
        self._reader, self._read_to, self._is_behind = "", 0, True
        self.rows: dict[str, Row] = {}
        #: Rises with each change; a row's `v` is the number of its last.
        self.version = 0
        #: How many jobs have a row whose status is not known yet.
        self.unread = 0
        #: True when all headers have been read.
        self.whole = False

    def since(self, version: int) -> tuple[list[Row], int]:
        """The rows that have changed after `version`, and the version to ask with next.

        A thread may add one meanwhile: that is among them now, or next time, and never in between.
        """
        known, rows = self.version, list(self.rows.values())
        return [row for row in rows if row["v"] > version], known

    @property
    def is_behind(self) -> bool:
        """Whether there are headers, or jobs, that have not been read yet."""
        return self._is_behind

    def _pause(self) -> float:
        return 0.0 if self.is_behind else super()._pause()

    def see(self, job_ids: list[str]) -> None:
        """Say which rows a viewer has in sight: these are read first."""
        now = time.monotonic()
        self._in_sight = {one: at for one, at in self._in_sight.items() if now - at < _SIGHT_S}
        self._in_sight.update(dict.fromkeys(job_ids, now))
        if any(one in self.rows and not self.rows[one]["status"] for one in job_ids):
            self._looked = -1e9  # at once

    def _read(self) -> None:
        now = time.monotonic()
        visible = [one for one, at in list(self._in_sight.items()) if now - at < _SIGHT_S]
        news: News = self.process.ask("look", self._engine, visible, self._reader, self._read_to)
        for row in news.rows:
            self._put(row)
        self._reader, self._read_to, self._is_behind = news.reader, news.version, news.is_behind
        self.whole = news.whole
        self.unread = sum(not row["status"] for row in list(self.rows.values()))

    def _put(self, row: Row) -> None:
        known = self.rows.get(row["id"])
        if known is not None and not row["status"]:
            return  # a reader that begins anew knows less of it
        self.rows[row["id"]] = {**row, "v": self.version + 1}
        self.version += 1
