"""A job's state, read from its event log."""

from __future__ import annotations

from collections.abc import Iterator

from fanfold.core.fold import JobState, fold
from fanfold.core.models import Event, JobHeader
from fanfold.stores.protocols import EventLog


def read_state(log: EventLog, header: JobHeader, *, consistent: bool = False) -> JobState:
    """The state of a job as its log tells it now; `consistent`: with all that anyone had recorded before."""
    return fold(header, _events(log, header.id, consistent=consistent))


def _events(log: EventLog, job_id: str, *, consistent: bool) -> Iterator[Event]:
    cursor = None
    while True:
        events, cursor = log.read_since(job_id, cursor, consistent=consistent)
        if not events:
            return
        yield from events
