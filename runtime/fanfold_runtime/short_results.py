"""Results of short runs that share an invocation, recorded many at a time.

To record one takes longer than such a run: forty of a millisecond each would be forty calls of DynamoDB. So one that
has ended well waits a moment for what follows it at once, and goes on record with that.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from fanfold.contract.payloads import RunItem
from fanfold.core.models import Event, EventKind, JobHeader
from fanfold.engines.feed import Recorder, finished
from fanfold.execution.calls import Report
from fanfold.stores.aws import AwsStores
from fanfold_runtime.context import TELEMETRY_S

#: A result waits no longer than this. Where Lambda ends the environment meanwhile, its run is performed once more:
#: hence none waits that took longer itself.
WAITS_S = 0.25


class ShortResults:
    """Records what comes of the runs of one invocation."""

    def __init__(self, header: JobHeader, runs: Sequence[RunItem], stores: AwsStores) -> None:
        keys = {run["index"]: run["key"] for run in runs}
        self._recorder = Recorder(header, stores, lambda some: [keys[one] for one in some], hold_s=TELEMETRY_S)
        self._waiting: list[Report] = []
        self._oldest_at = 0.0
        #: Whether another run of the invocation follows the one that is performed.
        self.more_follow = False

    def record(self, told: Sequence[Report]) -> list[Event]:
        """Keep what happened, now or in a moment; the events that end a try."""
        if not self._waiting:
            self._oldest_at = time.monotonic()
        ends = finished([report.event for report in told])
        if ends and self.more_follow and not self._is_due() and all(map(_may_wait, told)):
            self._waiting += told
            return ends
        waiting, self._waiting = self._waiting, []
        written = finished(self._recorder.record([*waiting, *told]))
        return written[len(finished([report.event for report in waiting])) :]

    def flush(self) -> None:
        """Record what has waited for long enough."""
        if self._waiting and self._is_due():
            self.write()
        self._recorder.flush()

    def write(self) -> None:
        """Record all that waits."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._recorder.record(waiting)

    def _is_due(self) -> bool:
        return time.monotonic() - self._oldest_at >= WAITS_S


def _may_wait(report: Report) -> bool:
    """Whether little is lost where it is: the end of a short run that has a small result, as no run has that failed."""
    event = report.event
    if event.kind is not EventKind.FINISHED:
        return True
    took_s = event.usage.duration_s if event.usage else WAITS_S
    is_inside = event.output is not None and event.output.inline is not None
    return is_inside and took_s < WAITS_S
