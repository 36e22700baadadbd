"""Events in few words, and a state as plain values that can be compared."""

from __future__ import annotations

from typing import Any

from fanfold.core.fold import JobState
from fanfold.core.models import THROTTLED, Event, EventKind, JobHeader, Output, RunError, RunStatus, Usage

JOB = "20260131-141502-river-7f3a"
_KINDS = {"queued": EventKind.QUEUED, "started": EventKind.STARTED}


def a_job(count: int = 1, **facts: Any) -> JobHeader:
    """A job of `count` runs that may be tried twice more."""
    return JobHeader(JOB, "f", count, "local", "ada", 1000.0, "b" * 64, "c" * 64, **{"max_retry": 2, **facts})


def an_error(name: str = "ValueError", *bases: str, infrastructure: bool = False) -> RunError:
    """An error of a class with these bases."""
    return RunError(name, "it broke", "Traceback ...", (name, *bases), infrastructure)


def event(
    what: str, index: int = 0, attempt: int = 0, *, id: int = 0, at: float = 0.0, error: RunError | None = None
) -> Event:
    """`what` is queued, started, or the status that a run finished with; the id tells events apart and orders them."""
    event_id = f"{id:028x}"
    if what in _KINDS:
        return Event(JOB, index, attempt, _KINDS[what], at, event_id)
    status = RunStatus(what)
    # Some results are objects, some ends know no usage.
    where = {"key": f"results/k/{id}"} if id % 3 == 2 else {"inline": b"\n%d" % id}
    output = Output("json", f"{id:064x}", 2, **where) if status.good else None
    if status is RunStatus.FAILED and error is None:
        error = an_error()
    if status is RunStatus.LOST and error is None:
        error = an_error("fanfold.Lost", infrastructure=True)
    usage = None if id % 5 == 4 else Usage(duration_s=id / 4, cpu_s=id / 8, peak_memory_mib=float(id))
    return Event(JOB, index, attempt, EventKind.FINISHED, at, event_id, status, output, error, usage)


def killed(index: int = 0, attempt: int = 0, *, id: int = 0) -> Event:
    """A run whose worker was killed: its surroundings failed, not its code."""
    return event("failed", index, attempt, id=id, error=an_error("fanfold.WorkerDied", infrastructure=True))


def throttled(index: int = 0, attempt: int = 0, *, id: int = 0) -> Event:
    """A run whose start was refused to the end."""
    return event("failed", index, attempt, id=id, error=an_error(THROTTLED, infrastructure=True))


def snapshot(state: JobState) -> dict[str, Any]:
    """All that a state tells, apart from how often it changed."""
    runs = [
        (
            state.status_of(index),
            state.attempt_of(index),
            state.next_attempt(index),
            state.error(index),
            state.output(index),
            state.usage(index),
            state.started_at(index),
            state.finished_at(index),
        )
        for index in range(state.header.count)
    ]
    job_events = [(event.kind, event.data["name"], event.id) for event in state.job_events()]
    return {
        "job": (state.status, state.done, state.counts(), state.missing(), job_events),
        "indexes": {status: list(state.indexes(status)) for status in RunStatus},
        "runs": runs,
    }
