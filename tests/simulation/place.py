"""A place of the conformance cases in the simulation: its people do what they are told, and nothing else goes wrong."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from fanfold.core.fold import JobState
from fanfold.core.models import Event, EventKind, JobHeader, Output, RunError, RunStatus, Usage
from fanfold.engines.larger import ends_of
from fanfold.execution.calls import Call
from tests.contract.conformance import Acts
from tests.simulation.deployment import SimulatedCloud, value_of
from tests.simulation.schedule import Plan, cancel_job, stage, submit_job, wait_for_job
from tests.simulation.world import World

#: Virtual seconds that each act takes.
_TAKES_S = {
    "good": 0.5,
    "brief": 60.0,
    "waits": 10_000.0,
    "slow": 20.0,
    "slow in a function": 2.0,
    "fails": 0.5,
    "dies": 0.5,
}


class SimulatedPlace:
    """Jobs in a world whose weather is calm."""

    def __init__(self, cloud: SimulatedCloud) -> None:
        self._cloud, self._world = cloud, cloud.world
        self._acts: dict[str, tuple[Acts, ...]] = {}
        self._on_machines: set[str] = set()
        self._plan = Plan(random.Random(1), "express")
        cloud.act = self._act

    def submit(self, *acts: Acts, on_machine: bool = False, escalate: bool = False, **options: Any) -> JobHeader:
        if escalate:
            options["ladder"] = ("medium",)
        header = self._header(acts, on_machine=on_machine or options.get("max_workers") is not None, **options)
        client = self._world.process("submitter", mortal=False)
        self._go_on_until_over(lambda: submit_job(self._cloud, client, header))
        if escalate:
            self._world.run(lambda: not {*self._state(header).missing()} - {*self._state(header).too_large})
            self._escalate(header, acts)
        return header

    def _header(self, acts: tuple[Acts, ...], *, on_machine: bool, **options: Any) -> JobHeader:
        number = len(self._acts)
        self._plan.count, self._plan.path = len(acts), "dedicated" if on_machine else "express"
        self._plan.machines = options.pop("max_workers", 1)
        flight = ("e" if on_machine else "f") * 32
        header = self._plan.header(number)._replace(flight=flight, **{"max_retry": 2, **options})
        self._cloud.put_inputs(header)
        if on_machine:
            self._on_machines.add(header.id)
        self._acts[header.id] = acts
        return header

    def wait_until_begun(self, job: JobHeader, count: int) -> None:
        self._world.run(lambda: sum(self.often(job)) >= count)

    def lose_machines(self, job: JobHeader) -> None:
        for one in self._cloud.performances:
            if one.job_id == job.id:
                one.process.dead = True

    def cancel(self, job: JobHeader) -> None:
        client = self._world.process("canceller", mortal=False)
        self._go_on_until_over(lambda: cancel_job(self._cloud, client, job))

    def wait(self, job: JobHeader) -> None:
        client = self._world.process("waiter", mortal=False)
        self._go_on_until_over(lambda: wait_for_job(self._cloud, client, job))

    def ends(self, job: JobHeader) -> list[tuple[str, int]]:
        state = self._state(job)
        return [(state.status_of(index).value, state.attempt_of(index)) for index in range(job.count)]

    def values(self, job: JobHeader) -> list[int | None]:
        outputs = [self._state(job).output(index) for index in range(job.count)]
        return [None if output is None or output.inline is None else int(output.inline) for output in outputs]

    def often(self, job: JobHeader) -> list[int]:
        begun = [one.index for one in self._cloud.performances if self._acts[one.job_id] == self._acts[job.id]]
        return [begun.count(index) for index in range(job.count)]

    def _state(self, job: JobHeader) -> JobState:
        return self._cloud.oversee(job.id)

    def _go_on_until_over(self, act: Callable[[], Any]) -> None:
        over: list[Any] = []
        self._world.spawn(self._world.process("client", mortal=False), lambda: over.append(act()))
        self._world.run(lambda: bool(over))

    def _escalate(self, header: JobHeader, acts: tuple[Acts, ...]) -> None:
        """As `escalate=` does it: a job on a machine, whose ends the first adopts. Its other runs are in the cache."""
        first = self._state(header)
        of, larger = sorted(first.too_large), self._header(acts, on_machine=True)
        client = self._world.process("submitter", mortal=False)
        self._go_on_until_over(lambda: submit_job(self._cloud, client, larger))
        self.wait(larger)
        state = self._state(larger)
        theirs: Any = SimpleNamespace(
            status_of=lambda place: state.status_of(of[place]),
            error=lambda place: state.error(of[place]),
            output=lambda place: state.output(of[place]),
        )
        self._cloud.overseeing_stores().log.append(list(ends_of(first, of, theirs, 1)))

    def _act(self, job_id: str, call: Call) -> tuple[float, Event]:
        """How long a run takes this time, and how it ends."""
        acts = self._acts[job_id][call.index]
        often = sum(
            one.index == call.index for one in self._cloud.performances if self._acts[one.job_id] == self._acts[job_id]
        )
        act = acts[min(often, len(acts)) - 1]
        if act == "slow" and job_id not in self._on_machines:
            act = "slow in a function"
        return _TAKES_S[act], _end(job_id, call, act)


_ERRORS = {
    "fails": (RunStatus.FAILED, RunError("ValueError", "told to fail")),
    "dies": (RunStatus.FAILED, RunError("fanfold.WorkerDied", "its worker was killed", infrastructure=True)),
    "slow in a function": (RunStatus.TIMED_OUT, RunError("TimeoutError", "too long")),
}
_NO_MACHINE: Any = None


def _no_udf() -> None:
    """No source travels here."""


def _end(job_id: str, call: Call, act: str) -> Event:
    status, error = _ERRORS.get(act, (RunStatus.SUCCEEDED, None))
    end = Event.new(job_id, call.index, call.attempt, EventKind.FINISHED, status=status, error=error)
    if error is not None:
        return end
    data = value_of(call.index)
    return end._replace(output=Output("json", f"{call.index:064x}", len(data), data), usage=Usage(1.0, 1.0, 1.0))


@contextmanager
def simulated_place() -> Iterator[SimulatedPlace]:
    """A place in a world of its own; within, Python's clock is that world's."""
    world = World(1)
    vars(world.weather).update(dict.fromkeys(vars(world.weather), 0.0))
    with stage(world) as scratch:
        yield SimulatedPlace(SimulatedCloud(world, scratch))
        world.close()
