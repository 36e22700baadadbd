"""What is recorded of a job as a whole: who runs it, what was handed to AWS, and what keeps it waiting.

Each is an event of its own kind (its index is -1) with fields of its own. The first field, `name`, says what the event
tells of: of two events of one kind and one name, the later one counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeAlias, TypeVar

from fanfold.core.models import NO_DATA, Event, EventKind


class ProcessRecord(NamedTuple):
    """A process that runs the job: the caller's own, or a runner. Its heartbeat has its name."""

    name: str
    host: str = ""
    pid: int = 0


class RunnerRecord(NamedTuple):
    """A runner process on its way up, `starting` since a moment (seconds since 1970), then `started`."""

    name: str
    host: str = ""
    state: str = "starting"
    since: float = 0.0


class DispatchRecord(NamedTuple):
    """Runs that were handed to AWS in one go by a launch path: `starting`, then `started`; with a reason, it failed."""

    name: str
    path: str = ""
    state: str = "starting"
    #: Which runs, as `engines.aws.dispatch` writes them.
    runs: str = ""
    reason: str = ""


class QueueRecord(NamedTuple):
    """Why a queue (`name`) has not started a machine for the job yet."""

    name: str
    reason: str = ""


class ThrottleRecord(NamedTuple):
    """That a service (`name`) refuses to start more of the job's runs for now."""

    name: str
    reason: str = ""


class MachineRecord(NamedTuple):
    """A machine that runs a dedicated job: `up`, then `done`, `stopped` or `failed`.

    `batch_job` is its job at AWS Batch, which may try it more than once: `attempt` counts from 1.
    """

    name: str
    state: str = "up"
    batch_job: str = ""
    attempt: int = 1
    instance_type: str = ""
    vcpus: float = 0
    reason: str = ""


class ExecutionFailureRecord(NamedTuple):
    """An execution (`name`) that failed before its machines came up."""

    name: str
    reason: str = ""


class StopRecord(NamedTuple):
    """Why no more of the job's runs are started (`name`: "errors"). Its cancel flag has the same moment."""

    name: str
    reason: str = ""


JobRecord: TypeAlias = (
    ProcessRecord
    | RunnerRecord
    | DispatchRecord
    | QueueRecord
    | ThrottleRecord
    | MachineRecord
    | ExecutionFailureRecord
    | StopRecord
)

_TYPES: dict[EventKind, Callable[..., JobRecord]] = {
    EventKind.PROCESS: ProcessRecord,
    EventKind.RUNNER: RunnerRecord,
    EventKind.DISPATCH: DispatchRecord,
    EventKind.QUEUE: QueueRecord,
    EventKind.THROTTLE: ThrottleRecord,
    EventKind.MACHINE: MachineRecord,
    EventKind.EXECUTION_FAILURE: ExecutionFailureRecord,
    EventKind.STOP: StopRecord,
}
_KINDS = {of: kind for kind, of in _TYPES.items()}

Record = TypeVar("Record", bound=JobRecord)


def to_event(job_id: str, record: JobRecord, *, at: float | None = None) -> Event:
    """The event that tells of `record`, of now or `at` (seconds since 1970)."""
    given = {name: value for name, value in record._asdict().items() if value not in ("", 0)}
    return Event.new(job_id, -1, 0, _KINDS[type(record)], at=at, data=given)


def from_event(event: Event) -> JobRecord | None:
    """The record that an event tells of; None for an event of a run."""
    of = _TYPES.get(event.kind)
    if of is None:
        return None
    known: Iterable[str] = of._fields  # type: ignore[attr-defined]
    data = event.data
    return of(**{"name": "", **{name: data[name] for name in known if name in data}})


def records(events: Iterable[Event], of: type[Record]) -> list[Record]:
    """The records of one type that some events tell of."""
    found = (from_event(event) for event in events)
    return [record for record in found if isinstance(record, of)]


# How jobs wrote this down before each record had a kind of its own: all were `machine` events, told apart by their
# names and by which facts they have.

_BEFORE_KINDS = "machine"


def upgrade(event: Event) -> Event:
    """The event itself, or what an event of an older store means in today's words."""
    data = event.data
    if event.kind is not EventKind.MACHINE or _BEFORE_KINDS not in data:
        return event
    facts: dict[str, Any] = {"name": str(data[_BEFORE_KINDS]), **data}
    del facts[_BEFORE_KINDS]
    kind = _kind_before_kinds(facts)
    if kind is EventKind.MACHINE:
        facts["batch_job"], _, attempt = facts["name"].rpartition(".")
        facts["attempt"] = int(attempt) if attempt.isdigit() else 1
    return event._replace(kind=kind, data=facts or NO_DATA)


def _kind_before_kinds(facts: dict[str, Any]) -> EventKind:
    name, state = facts["name"], facts.get("state")
    holds = {
        EventKind.RUNNER: name.startswith("starting-"),
        EventKind.PROCESS: "pid" in facts,
        EventKind.DISPATCH: "runs" in facts and "path" in facts,
        EventKind.QUEUE: state == "waiting",
        EventKind.THROTTLE: state == "throttled",
        EventKind.EXECUTION_FAILURE: name.startswith("arn:") and state == "failed",
    }
    return next((kind for kind, it_does in holds.items() if it_does), EventKind.MACHINE)
