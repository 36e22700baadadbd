"""What becomes of a job when the process that ran it has ended: another one goes on, or its runs are lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fanfold.core.fold import JobState
from fanfold.core.models import Event, EventKind, JobHeader, ProcessRecord, RunError, RunStatus, records
from fanfold.engines.feed import has_given_up, last_offers
from fanfold.engines.local.engine import start_runner, start_telling
from fanfold.engines.local.stewarding import steward_of
from fanfold.engines.stages import released
from fanfold.errors import StoreFull
from fanfold.stores import disk
from fanfold.stores.local import LocalStores

if TYPE_CHECKING:
    from fanfold.engines.local.engine import LocalEngine


def take_over(engine: LocalEngine, header: JobHeader, state: JobState) -> None:
    """Have another process go on with a dedicated job; of another, record as lost what nobody performs any more.

    What runs on a larger machine has a process of its own, and is taken over by who looks. Raises `StoreFull`.
    """
    stores, starts = engine.stores, len(state.job_events(EventKind.RUNNER))
    goes_on = header.instance_type is not None and header.cancelled_at is None and starts <= header.max_retry
    if goes_on:
        check_room(stores, header)
    running = list(state.indexes(RunStatus.RUNNING))
    queued = [index for index in state.indexes(RunStatus.QUEUED) if index not in state.too_large]
    reason = f"the process that ran it on {_end_of(engine, header, state)}{last_words(stores, header)}"
    error = RunError("Lost", reason, infrastructure=goes_on)
    lost = running if goes_on else [*running, *queued]
    offers = last_offers(stores, header) if stores.cache.is_in_flight(header.flight, header.id) else []
    stores.record([_lost(header.id, index, state.attempt_of(index), error) for index in lost], offers)
    if goes_on:
        start_runner(stores, header, released(state))
    elif state.too_large:
        steward_of(engine).advance(state)
    elif header.notify:
        start_telling(stores, header)


def _lost(job_id: str, index: int, attempt: int, error: RunError) -> Event:
    return Event.new(job_id, index, attempt, EventKind.FINISHED, status=RunStatus.LOST, error=error)


def _end_of(engine: LocalEngine, header: JobHeader, state: JobState) -> str:
    """Where it was, and whether it has ended, or lives and has told those who waited in it why it does not go on."""
    runners = state.job_events(EventKind.RUNNER, EventKind.PROCESS)
    host = str(runners[0].data["host"]) if runners else "this machine"
    processes = records(state.job_events(EventKind.PROCESS), ProcessRecord)
    gave_up = any(has_given_up(engine.heartbeats, process.name, header.id) for process in processes)
    return f"{host} {'has given it up' if gave_up else 'has ended'}"


def check_room(stores: LocalStores, header: JobHeader) -> None:
    """Raises `StoreFull` where a new process for the job would end as the last did: of a full disk."""
    least = disk.ROOM_AGAIN_BYTES if StoreFull.__name__ in last_words(stores, header) else disk.NO_ROOM_BYTES
    if disk.has_no_room(stores.home, least):
        raise StoreFull(
            f"No room left in {stores.home}, of which the process that ran job {header.id} has ended.",
            next_step=f"free some disk space; `fanfold status {header.id}` then starts what is left of it.",
        )


def last_words(stores: LocalStores, header: JobHeader) -> str:
    """The last that a dedicated job's runner wrote, if it wrote anything: most likely why it ended."""
    try:
        lines = stores.runner_log(header.id).read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return ""
    said = [line.strip() for line in lines if line.strip() and not line.strip().startswith("Next: ")]
    return f"; its last words: {said[-1][:500]}" if said else ""
