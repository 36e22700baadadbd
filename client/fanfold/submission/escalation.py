"""Runs that were too large for their limits, run again on a machine: what comes of them there counts for their job."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

from fanfold.contract.instances import InstanceType
from fanfold.contract.layout import REALTIME_MEMORY_MIB
from fanfold.core.models import Event, EventKind, RunStatus
from fanfold.core.options import Request, instance_type, should_retry, unwrapped
from fanfold.engines.base import Engine
from fanfold.errors import InputError
from fanfold.job import Job
from fanfold.submission.prepare import prepare

#: How a run ends that met a limit of time or memory.
_TOO_LARGE = (RunStatus.TIMED_OUT, RunStatus.OUT_OF_MEMORY)


#: What `escalate=True` goes up, as far as it is larger than where the runs are.
_LADDER = ("small", "medium", "large")

#: What `escalate` takes: True for the whole ladder, a machine, or several, the smallest first.
Escalate: TypeAlias = bool | str | Sequence[str] | None


def check_ladder(
    asked: Escalate, request: Request, engine: Engine, *, image: str | None, waits: bool
) -> tuple[InstanceType, ...]:
    """The machines that `escalate` names, in that order. Raises `InputError`, also where nobody `waits` for the job."""
    if asked is None or asked is False:
        return ()
    offered = engine.describe(image or "").instance_types
    names = _larger(offered, request) if asked is True else [asked] if isinstance(asked, str) else list(asked)
    machines = [instance_type(name, offered, argument="escalate") for name in names]
    for name, machine in zip(names, machines, strict=True):
        if machine is None or machine == request.instance:
            raise InputError(
                f"escalate={name!r} is the machine that the runs have already.", next_step='name a machine: "medium".'
            )
    ladder = tuple(machine for machine in machines if machine is not None)
    if not ladder or any(later.memory_gib <= one.memory_gib for one, later in pairwise(ladder)):
        raise InputError(
            f"escalate={asked!r} leads to no larger machine.",
            next_step='name machines, the smallest first: ("medium", "large").',
        )
    if not waits:
        raise InputError(
            "escalate= starts machines when the other runs have ended, so somebody has to wait for that.",
            next_step="leave out collect=False (--no-wait), or submit what was too large again on a machine.",
        )
    return ladder


def _larger(offered: Mapping[str, InstanceType], request: Request) -> list[str]:
    """The names of the ladder's machines that have more memory than the runs have where they are."""
    has_gib = REALTIME_MEMORY_MIB / 1024 if request.instance is None else request.instance.memory_gib
    return [name for name in _LADDER if name in offered and offered[name].memory_gib > has_gib]


def recommend(job: Job, machine: InstanceType, count: int) -> None:
    """Say on stderr where the next job would better begin, when half of the runs or more came to need a machine."""
    if 2 * count >= len(job):
        sys.stderr.write(
            f"fanfold: {count:,} of {len(job):,} runs needed {machine.name}: for such inputs, "
            f'instance_type="{machine.name}" is sooner and cheaper.\n'
        )


class Escalation:
    """The runs of a job that has ended which were too large, as a job of their own, with its cost, logs and cache."""

    def __init__(self, job: Job, udf: Any, machine: InstanceType, *, alone: bool = False) -> None:
        self._job = job
        self._alone = alone
        self._udf = udf if alone else _Unlimited(udf)
        self._machine = machine
        #: Their job, once it is started.
        self.larger: Job | None = None
        #: The runs, by their number in the first job.
        self.indexes = list(job.state.indexes(*([RunStatus.OUT_OF_MEMORY] if alone else _TOO_LARGE)))

    @property
    def inputs(self) -> list[dict[str, Any]]:
        """What they were called with, without the constants."""
        return [self._job.contents.own_arguments(index) for index in self.indexes]

    @property
    def request(self) -> Request:
        """What the first job asked for, but for the machine."""
        header = self._job.header
        return Request(
            instance=self._machine,
            cache=header.cache,
            cache_max_age_s=header.cache_max_age_s,
            max_retry=header.max_retry,
            retry_on=header.retry_on,
            backoff_s=header.backoff_s,
            jitter=header.jitter,
            rate=header.rate,
            max_workers=self._machines(header.max_workers),
            n_processes_per_worker=1 if self._alone else header.n_processes_per_worker,
            sealed_with=header.sealed_with,
        )

    def _machines(self, asked: int | None) -> int | None:
        """Machines at most: where this one serves as all of them, what is to run alone has it alone."""
        on_this = not self._job.tracker.engine.describe().has_machines
        return asked or (1 if self._alone and on_this else None)

    def start(self, engine: Engine, *, budget_usd: float | None = None) -> Job:
        """Start them on the machine, and say so; `budget_usd` is what is left for them."""
        request = self.request._replace(budget_usd=budget_usd or 0.0)
        submission = prepare(self._udf, self.inputs, engine, request, self._job.contents.constants())
        self.larger = Job(submission.header, engine)
        one = len(self.indexes) == 1
        runs, again = ("1 run was", "runs") if one else (f"{len(self.indexes):,} runs were", "run")
        where = f"{'alone ' if self._alone else ''}on {self._machine.name}: job {self.larger.id}"
        sys.stderr.write(f"fanfold: {runs} too large, and {again} again {where}\n")
        submission.start()
        return self.larger

    def adopt(self, engine: Engine) -> None:
        """Tell the first job what came of them; they have ended."""
        events = list(self._ends())
        engine.stores.log.append(events)
        engine.stores.log.drop_brief(self._job.id)  # a list may have read it meanwhile
        self._job.state.apply(events)  # a read right after the write may not see it yet, where the log is far away

    def _ends(self) -> Iterator[Event]:
        """Each end that they had, without what it took: that is the larger job's."""
        assert self.larger is not None
        theirs, ours = self.larger.state, self._job.state
        for position, index in enumerate(self.indexes):
            status, error, attempt = theirs.status_of(position), theirs.error(position), ours.next_attempt(index)
            # A failure that is worth another try would be tried again in the first job, where it was too large.
            if should_retry(self._job.header, status, error, attempt, ours.first_attempt_of(index)):
                continue
            output = theirs.output(position)
            yield Event.new(self._job.id, index, attempt, EventKind.FINISHED, status=status, error=error, output=output)


def rungs(
    job: Job, udf: Any, ladder: Sequence[InstanceType], *, alone: InstanceType | None, budget_usd: float | None
) -> Iterator[tuple[Escalation, float | None]]:
    """What is to be run again when a job has ended, rung by rung, each with the dollars that are left for it.

    `alone`: the job's own machine, where runs that ran out of memory beside others are first run alone. Who takes a
    rung starts it, waits, and adopts what came of it before taking the next.
    """
    spent_usd = 0.0
    for machine in (*([] if alone is None else [alone]), *ladder):
        larger = Escalation(job, udf, machine, alone=machine is alone)
        if larger.indexes:
            yield larger, None if budget_usd is None else max(0.0, budget_usd - job.cost() - spent_usd)
            spent_usd += 0.0 if larger.larger is None else larger.larger.cost()
            if machine is not alone:
                recommend(job, machine, len(larger.indexes))


class _Unlimited:
    """A UDF without the limits it asks for itself: the machine's are to take their place."""

    def __init__(self, udf: Any) -> None:
        self.__fanfold_udf__, options = unwrapped(udf)
        self.options = options._replace(timeout_s=None, memory_mib=None)
