"""What a job has cost so far: what AWS bills, as far as the job's events tell it, and what they do not tell."""

from __future__ import annotations

from fanfold.contract.instances import INSTANCE_TYPES
from fanfold.contract.layout import REALTIME_TIMEOUT_S
from fanfold.contract.records import NamedTuple
from fanfold.core.fold import JobState
from fanfold.core.formatting import Dollars, counted, duration
from fanfold.core.models import (
    EnvironmentRecord,
    Event,
    EventKind,
    JobHeader,
    MachineRecord,
    RunStatus,
    from_event,
    records,
)
from fanfold.core.options import check_number
from fanfold.core.pricing import machine_cost, prices, realtime_cost
from fanfold.errors import InputError


class Cost(Dollars):
    """Dollars by list prices. `unknown` says, a line each, what is estimated in it or is not in it at all."""

    unknown: tuple[str, ...] = ()

    def __new__(cls, dollars: float, unknown: tuple[str, ...] = ()) -> Cost:
        """An amount, and what is not known of it."""
        made = super().__new__(cls, dollars)
        made.unknown = unknown
        return made

    def describe(self) -> str:
        """The amount and what is not known of it, as one text."""
        return "; ".join((str(self), *self.unknown))


def cost(state: JobState) -> Cost:
    """What the job has cost so far: every attempt, also of runs that were cancelled or lost, and every machine.

    On this machine nothing costs anything.
    """
    if not state.header.costs_money:
        return Cost(0.0)
    return _of_functions(state) if state.header.instance_type is None else _of_machines(state)


def with_budget(state: JobState, budget_usd: float | None) -> JobHeader:
    """The job's header with what it may cost from now on. Raises `InputError` where it has cost as much already."""
    check_number("budget_usd", budget_usd)
    header, spent = state.header, cost(state)
    budget = header.budget_usd if budget_usd is None else budget_usd
    if spent >= budget:
        raise InputError(
            f"Job {header.id} has cost {spent} already, of a budget of {Dollars(budget)}.",
            next_step=f"raise the budget to go on: `job.retry(budget_usd={max(2 * spent, 0.01):.2g})`,"
            f" or `fanfold retry {header.id} --budget USD`.",
        )
    return header._replace(budget_usd=budget)


def environments_s(state: JobState) -> list[float]:
    """Seconds that workers took to have the packages there which the UDF brings along, one for each that fetched."""
    return [record.seconds for record in records(state.job_events(EventKind.ENVIRONMENT), EnvironmentRecord)]


def environments_cost(state: JobState) -> Dollars:
    """What that time costs: of functions beside that of the runs, of machines as a part of theirs."""
    header, spent_s = state.header, sum(environments_s(state))
    if not header.costs_money:
        return Dollars(0.0)
    if header.instance_type is None:
        return realtime_cost(spent_s, 0, prices(), arm64=header.architecture == "arm64")
    return machine_cost(usd_per_hour(header), spent_s)


#: A machine says that it is done this long after the job's last run at most.
_SAYS_DONE_S = 60.0


class _Time(NamedTuple):
    """Seconds that are paid for, and how many of those that took them have not told their end."""

    paid_s: float
    unsaid: int
    running: int


def _of_functions(state: JobState) -> Cost:
    """Lambda bills each attempt from its begin to its end; what a new environment took to start is told nowhere."""
    header, measured_s = state.header, state.measured_s()
    untold = _untold_attempts(state)
    attempts = len(measured_s) + untold.unsaid + untold.running
    paid_s = sum(measured_s) + untold.paid_s + sum(environments_s(state))
    usd = realtime_cost(paid_s, attempts, prices(), arm64=header.architecture == "arm64")
    if not attempts:
        return Cost(usd)
    return Cost(usd, (*_say_estimated(untold, header), "without the start-up of functions"))


def _untold_attempts(state: JobState) -> _Time:
    """The time of the attempts that are running, and of those that were lost: to when that was noticed, at most."""
    limit_s = state.header.timeout_s or REALTIME_TIMEOUT_S
    now, paid_s, unsaid, running = state.now(), 0.0, 0, 0
    for attempt in state.spending.unmeasured():
        index, ended_at = attempt.index, attempt.ended_at
        runs = state.status_of(index) is RunStatus.RUNNING and state.attempt_of(index) == attempt.attempt
        running += runs
        unsaid += not runs
        end = ended_at if ended_at is not None else now if runs else attempt.began_at + limit_s
        paid_s += min(max(0.0, end - attempt.began_at), limit_s)
    return _Time(paid_s, unsaid, running)


def _say_estimated(untold: _Time, header: JobHeader) -> list[str]:
    if not untold.unsaid:
        return []
    limit = duration(header.timeout_s or REALTIME_TIMEOUT_S)
    said = "attempt that did not tell its end is" if untold.unsaid == 1 else "attempts that did not tell their end are"
    return [f"{untold.unsaid:,} {said} counted to when that was noticed, {limit} each at most"]


def _of_machines(state: JobState) -> Cost:
    """EC2 bills each machine from before its container starts until it is taken down, whatever its runs come to."""
    header = state.header
    machines = state.job_events(EventKind.MACHINE)
    if not machines:  # of a job from before machines told of themselves
        busy_s = sum(state.measured_s()) / header.n_processes_per_worker
        return Cost(machine_cost(usd_per_hour(header), busy_s))
    up = _up_time(state, machines)
    unknown = [f"{counted(up.unsaid, 'machine')} did not tell when they ended: an estimate"] if up.unsaid > 1 else []
    unknown += ["1 machine did not tell when it ended: an estimate"] if up.unsaid == 1 else []
    unknown.append("without the time that machines take to come up and go down")
    return Cost(machine_cost(usd_per_hour(header), up.paid_s), tuple(unknown))


def _up_time(state: JobState, machines: list[Event]) -> _Time:
    """How long the machines were up together. One that was lost was up at most until another came in its place, or the
    job was found to have none."""
    first_seen = state.spending.first_seen
    signs = [event.at for event in state.job_events(EventKind.EXECUTION_FAILURE, EventKind.DISPATCH)]
    records = [(event, record) for event in machines if isinstance(record := from_event(event), MachineRecord)]
    began = {(record.batch_job, record.attempt): first_seen(record.name) for _, record in records}
    paid_s, unsaid, running = 0.0, 0, 0
    for event, record in records:
        up_at, end = first_seen(record.name), event.at
        if record.state == "up":
            later = [at for at in (began.get((record.batch_job, record.attempt + 1)), *signs) if at and at > up_at]
            lost = bool(later) or (state.done and state.now() - _ended_at(state) > _SAYS_DONE_S)
            unsaid += lost
            running += not lost
            end = min(later, default=_ended_at(state)) if lost else state.now()
        paid_s += max(0.0, end - up_at)
    return _Time(paid_s, unsaid, running)


def _ended_at(state: JobState) -> float:
    """When the last run of a job that is done ended."""
    return max(state.last_end_at() or 0.0, state.header.cancelled_at or 0.0, state.header.created_at)


def usd_per_hour(header: JobHeader) -> float:
    """What an hour of the job's machine costs; of a job from before headers told it, by Fanfold's own table."""
    known = INSTANCE_TYPES.get(header.instance_type or "")
    if header.usd_per_hour is not None or known is None:
        return header.usd_per_hour or 0.0
    return known.host.usd_per_hour
