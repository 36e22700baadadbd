"""Tries that nobody needs any more: another try of their run has its result (`submit(hedge=True)`)."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable
from contextlib import suppress

from fanfold.core.models import EventKind, JobHeader
from fanfold.engines.hedge import without_superseded
from fanfold.errors import FanfoldError
from fanfold.execution.calls import Report
from fanfold.stores.aws.log import DynamoEventLog

#: A try that goes on for so long is looked after, and so often; later less often: what has lasted an hour may last
#: some seconds more.
_LOOK_S, _LOOKS = 2.0, 60
#: The log is read from so long before: another try may have ended as this one was on its way, and clocks differ.
_BEFORE_S = 60.0
_OVERLAP_S = 10.0


class Superseded:
    """Which of a worker's tries are not needed any more.

    It asks in a thread of its own, as for the cancel flag: AWS may let one wait for long, and meanwhile the limits of
    the runs are watched. Where the log does not answer, a try goes on: nothing is lost by it but its time.
    """

    def __init__(self, log: DynamoEventLog, header: JobHeader) -> None:
        self._log, self._header = log, header
        self._began = self._looked_at = time.monotonic()
        self._read_to = log.now() - _BEFORE_S
        self._asking: threading.Thread | None = None
        #: Tries (run, attempt) whose run has its result by another: the pool ends them.
        self.obsolete: frozenset[tuple[int, int]] = frozenset()

    def look(self, under_way: Collection[tuple[int, int]]) -> None:
        """See now and then whether any of these tries is not needed any more. Does not wait for the answer."""
        now = time.monotonic()
        every_s = max(_LOOK_S, (now - self._began) / _LOOKS)
        if now - self._looked_at < every_s or (self._asking is not None and self._asking.is_alive()):
            return
        self._looked_at = now
        if under_way:
            tries = list(under_way)
            self._asking = threading.Thread(target=self._ask, args=(tries,), name="fanfold-superseded", daemon=True)
            self._asking.start()

    def marked(self, reports: Iterable[Report]) -> list[Report]:
        """The reports; of tries that were ended for that, they say so."""
        return without_superseded(reports, self.obsolete)

    def _ask(self, under_way: list[tuple[int, int]]) -> None:
        with suppress(FanfoldError):  # it is asked for again
            now, runs = self._log.now(), {index for index, _ in under_way}
            events = self._log.read_runs(self._header.id, runs, since=self._read_to, consistent=False)
            won = {
                event.index: event.attempt
                for event in events
                if event.kind is EventKind.FINISHED and event.status is not None and event.status.good
            }
            self._read_to = now - _OVERLAP_S
            self.obsolete |= {one for one in under_way if won.get(one[0], one[1]) != one[1]}
