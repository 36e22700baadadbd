"""What a job's events mean together: `fold(header, events)`, whatever their order and however often they come."""

from __future__ import annotations

from collections.abc import Iterable

from fanfold.core.fold.state import JobState
from fanfold.core.models import Event, JobHeader

__all__ = ["JobState", "fold"]


def fold(header: JobHeader, events: Iterable[Event]) -> JobState:
    """The state of the job that `header` and `events` tell of. The same events in any order give the same state."""
    state = JobState(header)
    state.apply(events)
    return state
