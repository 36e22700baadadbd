"""Where a run stands that is running now: the Python stack of its worker, on this machine or in AWS."""

from __future__ import annotations

import secrets
import socket
import time

from fanfold.core.fold import JobState
from fanfold.core.models import EventKind, ProcessRecord, RunStatus, records
from fanfold.errors import InputError
from fanfold.job.job import Job
from fanfold.stores.keys import stack_key
from fanfold.stores.state import events_of

#: Workers in AWS look every 3 s for what is asked of them; a question that another has written over is asked again.
_ANSWER_S, _AGAIN_S, _LOOK_S = 20.0, 6.0, 0.5


def stack_of(job: Job, index: int) -> str:
    """The stack of a run's worker, the user's own code, the innermost call first; the run goes on meanwhile.

    Of a run in AWS it is there within seconds. Raises `InputError` where the run does not run now, or runs on another
    machine that is not AWS's.
    """
    state = _running(job, index)
    if job.tracker.engine.describe().has_machines:
        return _from_afar(job, index)
    attempt = state.attempt_of(index)
    here = {socket.gethostname(), ""}
    hosts = {record.host for record in records(state.job_events(EventKind.PROCESS), ProcessRecord)}
    pid = _worker_of(job, index, attempt)
    if hosts - here or not pid:
        raise InputError(f"Run {index} of job {job.id} runs on another machine.", next_step="ask there.")
    from fanfold.execution.pool.where import ask_where

    return ask_where(pid, state.started_at(index) or 0.0)


def _running(job: Job, index: int) -> JobState:
    """How the job stands now. Raises `InputError` where the run does not run."""
    _ = job.status  # what is new
    if job.state.status_of(index) is not RunStatus.RUNNING:
        raise InputError(
            f"Run {index} of job {job.id} is not running now.", next_step="look at its error or its result."
        )
    return job.state


def _from_afar(job: Job, index: int) -> str:
    """Ask the worker in AWS and wait for its answer. Raises `InputError` where none comes, or the run ends first."""
    stores, deadline, asked_at = job.tracker.engine.stores, time.monotonic() + _ANSWER_S, 0.0
    questions: list[str] = []
    while (now := time.monotonic()) < deadline:
        if not questions or now - asked_at > _AGAIN_S:
            questions.append(f"{index}-{secrets.token_hex(8)}")
            stores.log.request_stack(job.id, index, questions[-1])
            asked_at = now
        time.sleep(_LOOK_S)
        for question in questions:
            if stores.objects.exists(stack_key(job.id, question)):
                return stores.objects.get(stack_key(job.id, question)).decode("utf-8", "replace")
        _running(job, index)
    raise InputError(
        f"The worker of run {index} of job {job.id} has not answered within {_ANSWER_S:g} s.",
        next_step="ask again; a worker that has been lost is found within minutes, and the run is started anew.",
    )


def _worker_of(job: Job, index: int, attempt: int) -> int:
    """The process that has begun this attempt; 0 where that is not known."""
    pid = 0
    for event in events_of(job.tracker.engine.stores.log, job.id):
        if event.kind is EventKind.STARTED and (event.index, event.attempt) == (index, attempt):
            pid = int(event.data.get("pid", 0))
    return pid
