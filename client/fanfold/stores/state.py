"""A job's state, read from its event log; and how it stands in a list, which is kept for large jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from math import isfinite

from fanfold.contract.records import NamedTuple
from fanfold.core.fold import JobState, fold
from fanfold.core.formatting import Seconds
from fanfold.core.models import Event, JobHeader, JobStatus, RunStatus
from fanfold.errors import ConfigurationError, StoreError
from fanfold.stores.protocols import Cursor, EventLog

#: From so many runs on, how a job stands is kept: reading the events of fewer takes no time.
LARGE_JOB = 1_000

#: What was kept of an open job so long ago at most is what a list shows; then its events are read.
_FRESH_S = 10.0

#: In AWS a failure may still turn into a late success, and machines tell what they have cost when they have gone.
_SETTLED_S = 900.0

#: Not `json.dumps`, which may be one that the user has replaced.
_to_json = json.JSONEncoder().encode


def read_state(log: EventLog, header: JobHeader, *, consistent: bool = False) -> JobState:
    """The state of a job as its log tells it now; `consistent`: with all that anyone had recorded before."""
    return fold(header, events_of(log, header.id, consistent=consistent))


def read_on(log: EventLog, state: JobState, cursor: Cursor | None) -> Cursor:
    """Apply what a job's log tells since `cursor`; where the next is to be read from."""
    while True:
        events, cursor = log.read_since(state.header.id, cursor)
        if not events:
            return cursor
        state.apply(events)


def events_of(log: EventLog, job_id: str, *, consistent: bool = False) -> Iterator[Event]:
    """All that a job's log tells."""
    cursor = None
    while True:
        events, cursor = log.read_since(job_id, cursor, consistent=consistent)
        if not events:
            return
        yield from events


class Brief(NamedTuple):
    """How a job stands in a list."""

    status: str
    counts: dict[str, int]
    wall_s: float
    cost_usd: float


def brief_of(state: JobState, cost_usd: float = 0.0) -> Brief:
    """How a job stands now."""
    counts = {status.value: count for status, count in state.counts().items() if count}
    return Brief(state.status.value, counts, float(wall_s(state)), cost_usd)


def wall_s(state: JobState) -> Seconds:
    """Seconds from the submit to the last run's end, or until now where some have not ended."""
    if not state.done:
        return Seconds(max(0.0, state.now() - state.header.created_at))
    ends = (state.last_end_at(), state.header.cancelled_at)  # the cancel ended all that had not begun
    end = max((at for at in ends if at is not None), default=state.now())
    return Seconds(max(0.0, end - state.header.created_at))


def is_settled(state: JobState) -> bool:
    """Whether how a job stands is final, unless somebody has it go on."""
    header = state.header
    if not header.costs_money or (state.status is JobStatus.COMPLETED and header.instance_type is None):
        return state.done
    return state.done and state.now() - header.created_at - wall_s(state) > _SETTLED_S


class KeptBrief(NamedTuple):
    """How a job stood when somebody looked. `latest`: nothing has been recorded since."""

    brief: Brief
    done: bool
    at: float
    latest: bool

    @classmethod
    def read(cls, log: EventLog, header: JobHeader) -> KeptBrief | None:
        """What was kept last of a job; None where nothing was, it is damaged, or the job was cancelled since."""
        kept = log.brief(header.id)
        if kept is None:
            return None
        try:
            brief, open_at = _parsed(kept[0])
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            return None  # its events tell
        if open_at is None:
            return cls(brief, True, 0.0, kept[1])
        return cls(brief._replace(wall_s=max(0.0, log.now() - header.created_at)), False, open_at, kept[1])

    @staticmethod
    def write(log: EventLog, state: JobState, cursor: Cursor, cost_usd: float) -> float:
        """Keep how a job stands, read up to `cursor`; when that was (seconds since 1970), 0 for one that has ended."""
        at = 0.0 if state.done else log.now()
        values = [*brief_of(state, cost_usd), *([at] if at else [])]
        with suppress(StoreError, ConfigurationError):  # where the store can only be read, it is read each time
            log.put_brief(state.header.id, cursor, _to_json(values), cancelled_at=state.header.cancelled_at)
        return at

    def is_fresh(self, now: float) -> bool:
        """Whether a list may show it: all of a job that has ended, and of an open one what is seconds old."""
        return self.latest if self.done else 0 <= now - self.at < _FRESH_S


def _parsed(text: str) -> tuple[Brief, float | None]:
    """What `KeptBrief.write` wrote, and when, of a job that was open. Raises one of many errors for anything else."""
    status, counts, *numbers = json.loads(text)
    took_s, cost_usd, *at = map(float, numbers)
    if len(at) > 1 or not all(map(isfinite, (took_s, cost_usd, *at))):
        raise ValueError(text)
    often = {RunStatus(name).value: int(count) for name, count in counts.items()}
    return Brief(JobStatus(status).value, often, took_s, cost_usd), at[0] if at else None
