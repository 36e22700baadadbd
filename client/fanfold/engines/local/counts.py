"""How a large job stands, kept while this process carries it out: a list then reads none of its events.

A process that waits for the job keeps the same, and then nothing is read here.
"""

from __future__ import annotations

import threading
import time

from fanfold.core.fold import JobState
from fanfold.core.models import JobHeader
from fanfold.errors import StoreError
from fanfold.stores.protocols import Cursor, EventLog
from fanfold.stores.state import KeptBrief, read_on

#: How often it is kept.
EVERY_S = 1.0

#: Who has waited so far is given so long to keep how it ended.
_OTHERS_S = 3.0
_POLL_S = 0.05

#: At its end a process waits so long at most for what is left to read.
_ENDING_S = 5.0


class CountsKeeper:
    """A thread that follows one job. `end` when this process has nothing more to do for it."""

    def __init__(self, log: EventLog, header: JobHeader) -> None:
        self._log = log
        self._header = header
        self._state: JobState | None = None
        self._cursor: Cursor | None = None
        self._kept_at = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="fanfold-counts", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Have the last be read and kept; returns at once."""
        self._over.set()

    def join(self) -> None:
        """Wait until it is."""
        self._thread.join(_ENDING_S)

    @property
    def alive(self) -> bool:
        """Whether there is something left to read and keep."""
        return self._thread.is_alive()

    def _keep(self) -> None:
        looked = False
        try:
            while not self._over.wait(EVERY_S):
                looked = True
                if self._kept_by_others() is None:
                    self._read_and_keep()
            # A job that was over in a moment is read when somebody asks for it.
            if looked and not self._others_keep_its_end():
                self._read_and_keep()
        except StoreError:
            return  # the job's own writer meets the same, and says so

    def _kept_by_others(self) -> KeptBrief | None:
        """What somebody else keeps, where that is fresh."""
        kept = KeptBrief.read(self._log, self._header)
        if kept is None or not kept.is_fresh(self._log.now()):
            return None
        return kept if kept.done or kept.at != self._kept_at else None

    def _others_keep_its_end(self) -> bool:
        deadline = time.monotonic() + _OTHERS_S
        while (kept := self._kept_by_others()) is not None and time.monotonic() < deadline:
            if kept.done:
                return True
            time.sleep(_POLL_S)
        return False

    def _read_and_keep(self) -> None:
        self._header = self._log.get_job(self._header.id)
        state = self._state = self._state or JobState(self._header)
        state.header = self._header
        self._cursor = read_on(self._log, state, self._cursor)
        self._kept_at = KeptBrief.write(self._log, state, self._cursor, 0.0)
