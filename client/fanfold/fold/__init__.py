"""What a job's events mean together: `fold(header, events)`, whatever their order and however often they come."""

from __future__ import annotations

from collections.abc import Iterable

from fanfold.fold.state import JobState
from fanfold.models import Event, JobHeader
from fanfold.stores.protocols import EventLog

__all__ = ["JobState", "fold", "read_state"]


def fold(header: JobHeader, events: Iterable[Event]) -> JobState:
    """The state of the job that `header` and `events` tell of. The same events in any order give the same state."""
    state = JobState(header)
    state.apply(events)
    return state


def read_state(log: EventLog, header: JobHeader, *, consistent: bool = False) -> JobState:
    """The state of a job as its log tells it now; `consistent`: with all that anyone had recorded before."""
    state, cursor = JobState(header), None
    while True:
        events, cursor = log.read_since(header.id, cursor, consistent=consistent)
        if not events:
            return state
        state.apply(events)
