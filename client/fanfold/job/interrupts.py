"""What a Ctrl-C comes to: a job that only the interrupted call holds is cancelled, any other goes on."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from fanfold.core.models import EventKind, ProcessRecord, records
from fanfold.errors import ConfigurationError, JobNotFound, StoreError
from fanfold.job.job import Job
from fanfold.job.waiting import describe_counts

if TYPE_CHECKING:
    from fanfold.core.models import JobHeader
    from fanfold.engines.base import Engine
    from fanfold.job.waiting import Tracker


def cancel_for_interrupt(header: JobHeader, engine: Engine, interrupt: KeyboardInterrupt) -> KeyboardInterrupt:
    """Cancel the job of a call that was interrupted. Returns the interrupt to raise, which says how the job stands."""
    job, again = Job(header, engine), f'fanfold.get_job("{header.id}")'
    try:
        if job.tracker.look().done:
            return KeyboardInterrupt(describe_interrupted(job.tracker))
        job.cancel()
    except JobNotFound:
        return interrupt  # it had not been written down
    except (StoreError, ConfigurationError) as error:
        return KeyboardInterrupt(f"job {job.id} may go on, for it could not be cancelled: {error}")
    except KeyboardInterrupt:  # one who does not want to wait: what runs sees the flag within half a second
        with suppress(StoreError, ConfigurationError, KeyboardInterrupt):
            engine.stores.log.request_cancel(job.id, time.time())
        return KeyboardInterrupt(f"job {job.id} is being cancelled; {again}.retry() runs the rest")
    return KeyboardInterrupt(
        f"job {job.id} is cancelled: {describe_counts(job.state)}; the same submit runs only the rest,"
        f" and so does {again}.retry()"
    )


def describe_interrupted(tracker: Tracker) -> str:
    """How a job stands whose wait was interrupted, and how to come back to it. Nothing is read for that."""
    header, state, again = tracker.header, tracker.state, f'fanfold.get_job("{tracker.header.id}")'
    counts = describe_counts(state)
    if state.done:
        return f"job {header.id} has ended: {counts}; {again} has its results"
    if header.cancelled_at is not None:
        return f"job {header.id} is being cancelled: {counts}; {again}.retry() runs the rest"
    processes = records(state.job_events(EventKind.PROCESS), ProcessRecord)
    lives = " as long as this process does" if any(one.pid == os.getpid() for one in processes) else ""
    return f"job {header.id} goes on{lives}: {counts}; {again}.wait() waits again, and .cancel() ends it"
