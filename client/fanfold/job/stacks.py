"""Where a run stands that is running now: the Python stack of its worker, where that is on this machine."""

from __future__ import annotations

import socket

from fanfold.core.models import EventKind, ProcessRecord, RunStatus, records
from fanfold.errors import InputError
from fanfold.job.job import Job


def stack_of(job: Job, index: int) -> str:
    """The stack of a run's worker, the user's own code, the innermost call first; the run goes on meanwhile.

    Raises `InputError` where the run does not run now, or not on this machine.
    """
    _ = job.status  # what is new
    state, attempt = job.state, job.state.attempt_of(index)
    if state.status_of(index) is not RunStatus.RUNNING:
        raise InputError(f"Run {index} of job {job.id} does not run now.", next_step="look at its error or its result.")
    if job.tracker.engine.describe().has_machines:
        raise InputError(
            f"Run {index} of job {job.id} runs in the cloud, where its worker cannot be asked.",
            next_step="have it print, or give it a timeout_s: where it stood then is in its error.",
        )
    here = {socket.gethostname(), ""}
    hosts = {record.host for record in records(state.job_events(EventKind.PROCESS), ProcessRecord)}
    pid = _worker_of(job, index, attempt)
    if hosts - here or not pid:
        raise InputError(f"Run {index} of job {job.id} runs on another machine.", next_step="ask there.")
    from fanfold.execution.pool.where import ask_where

    return ask_where(pid, state.started_at(index) or 0.0)


def _worker_of(job: Job, index: int, attempt: int) -> int:
    """The process that has begun this attempt; 0 where that is not known."""
    log, cursor, pid = job.tracker.engine.stores.log, None, 0
    while True:
        events, cursor = log.read_since(job.id, cursor)
        if not events:
            return pid
        for event in events:
            if event.kind is EventKind.STARTED and (event.index, event.attempt) == (index, attempt):
                pid = int(event.data.get("pid", 0))
