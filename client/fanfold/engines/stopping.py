"""Starting no more runs of a job whose first ones all failed."""

from __future__ import annotations

import time
from itertools import islice

from fanfold.core.fold import JobState
from fanfold.core.job_records import StopRecord, to_event
from fanfold.core.models import BAD, RunStatus
from fanfold.core.stopping import FailureWatch
from fanfold.stores.protocols import EventLog

_LOOKED_AT = 100


def stop_job(log: EventLog, job_id: str, reason: str) -> None:
    """Record why no more runs are started, and set the cancel flag."""
    now = time.time()
    log.append([to_event(job_id, StopRecord("errors", reason), at=now)])
    log.request_cancel(job_id, now)


def reason_to_stop(state: JobState) -> str:
    """Why no more runs of a job are to be started, as far as its state tells, or ""."""
    counts = state.counts()
    if state.header.cancelled_at is not None or counts[RunStatus.SUCCEEDED] or counts[RunStatus.CACHED]:
        return ""
    watch = FailureWatch(state.header.stop_on_error)
    for index in islice(state.indexes(*BAD), _LOOKED_AT):
        if reason := watch.note(state.status_of(index), state.error(index)):
            return reason
    return ""
