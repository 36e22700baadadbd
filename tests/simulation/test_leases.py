"""What a machine holds is one machine's: where another was dead, frozen or cut off for longer than its lease."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fanfold.contract.cloud import DEDICATED
from fanfold.core.models import Event, EventKind, RunError, RunRef, RunStatus
from fanfold.engines.aws.dispatch import make_dispatch, to_event
from fanfold.engines.aws.work import Work
from fanfold.execution.calls import Report
from fanfold_runtime.claiming_feed import ClaimingFeed
from tests.simulation.deployment import SimulatedCloud
from tests.simulation.schedule import Plan
from tests.simulation.world import World

LEASE_S = 60.0


class Job:
    """A job of three runs on machines that share the work; `wait` moves AWS's clock on."""

    def __init__(self, scratch: Path) -> None:
        self._world = World(1)
        cloud = SimulatedCloud(self._world, scratch)
        self.stores = cloud.overseeing_stores()
        self.header = Plan(random.Random(1), "dedicated").header(0)._replace(count=3, n_processes_per_worker=3)
        cloud.put_inputs(self.header)
        self.stores.log.put_job(self.header)
        self.work = Work(self.stores, self.header.id, lease_s=LEASE_S)

    def start(self, *runs: RunRef) -> None:
        """As the engine does it."""
        dispatch = make_dispatch(DEDICATED, runs)
        self.stores.log.append([to_event(self.header.id, dispatch, "starting")])
        self.work.put(dispatch.name, runs)

    def wait(self, seconds: float) -> None:
        self._world.now += seconds

    def machine(self, name: str) -> ClaimingFeed:
        nothing: Any = SimpleNamespace(fetch_for=lambda _: set(), tidy=lambda *_, **__: None, news=dict)
        return ClaimingFeed(
            self.header, self.stores, assignment=nothing, work=self.work, machine=name, blob_cache=nothing,
            network=nothing,
        )  # fmt: skip

    def ended(self, index: int, attempt: int, status: RunStatus) -> Event:
        error = None if status.good else RunError("Lost", "its machines ended", infrastructure=True)
        return Event.new(self.header.id, index, attempt, EventKind.FINISHED, status=status, error=error)


@pytest.fixture
def job(tmp_path):
    return Job(tmp_path)


def begun(feed: ClaimingFeed) -> list[tuple[int, int]]:
    return [(call.index, call.attempt) for call in iter(feed.take, None)]


def test_of_what_a_dead_machine_held_only_what_nobody_was_given_since_is_taken_over(job):
    job.start(RunRef(0), RunRef(1), RunRef(2))
    assert begun(job.machine("dead")) == [(0, 0), (1, 0), (2, 0)]
    # Run 0 has ended, run 1 was lost and is started again, and of run 2 that machine itself was at its next attempt.
    job.stores.log.append([job.ended(index, 0, RunStatus.FAILED) for index in (1, 2)])
    job.stores.log.append([job.ended(0, 0, RunStatus.SUCCEEDED)])
    job.start(RunRef(1, 1))
    job.wait(2 * LEASE_S)
    other = job.machine("other")
    assert begun(other) == [(1, 1), (2, 1)]
    assert [run[:2] for run in other.held()] == [(1, 1), (2, 1)]


def test_a_run_that_the_next_dispatch_has_failed_meanwhile_is_not_taken_over_from_the_one_before(job):
    job.start(RunRef(0))
    assert begun(job.machine("dead")) == [(0, 0)]
    job.stores.log.append([job.ended(0, 0, RunStatus.LOST)])
    job.start(RunRef(0, 1))
    job.wait(2 * LEASE_S)
    one, other = job.machine("one"), job.machine("other")
    assert begun(one) == [(0, 1)]
    one.record([Report(job.ended(0, 1, RunStatus.FAILED))])  # and goes again, there
    assert begun(other) == []
    assert begun(one) == [(0, 2)]


def test_a_machine_that_comes_back_after_its_lease_begins_nothing_that_another_holds(job, monkeypatch):
    job.start(RunRef(0), RunRef(1))
    moment = [0.0]
    monkeypatch.setattr("fanfold_runtime.claiming_feed.time.monotonic", lambda: moment[0])
    frozen = job.machine("frozen")
    assert frozen.take().index == 0
    job.wait(2 * LEASE_S)
    assert begun(job.machine("other")) == [(0, 0), (1, 0)]
    job.start(RunRef(2))
    moment[0] = 2 * LEASE_S
    assert frozen.take() is None
    assert begun(frozen) == [(2, 0)]
    frozen.record([Report(job.ended(0, 0, RunStatus.FAILED))])  # the next attempt is the other's
    assert frozen.held() == [RunRef(2)]
    assert job.work.in_others_hands("other").keys() == {"frozen"}


def test_a_machine_that_is_told_to_stop_while_it_claims_begins_nothing_of_it(job, monkeypatch):
    job.start(RunRef(0), RunRef(1))
    stopped, hold = job.machine("stopped"), job.work.hold

    def hold_and_be_stopped(*given: Any, **more: Any) -> bool:
        held = hold(*given, **more)
        stopped.stopping.set()
        job.work.give_back("stopped", stopped.held())
        return held

    monkeypatch.setattr(job.work, "hold", hold_and_be_stopped)
    assert stopped.take() is None
    stopped.hold()  # a lease that is renewed at the same moment holds nothing again
    monkeypatch.setattr(job.work, "hold", hold)
    assert begun(job.machine("other")) == [(0, 0), (1, 0)]


def test_a_machine_begins_nothing_so_late_that_another_whose_clock_is_ahead_may_have_taken_it_over(job, monkeypatch):
    job.start(RunRef(0), RunRef(1))
    moment = [0.0]
    monkeypatch.setattr("fanfold_runtime.claiming_feed.time.monotonic", lambda: moment[0])
    late = job.machine("late")
    assert late.take().index == 0
    job.wait(LEASE_S + 3.0)  # to the other's clock
    assert begun(job.machine("other")) == [(0, 0), (1, 0)]
    moment[0] = LEASE_S - 1.0
    assert late.take() is None


def test_a_machine_that_comes_back_to_a_cancelled_job_begins_nothing(job, monkeypatch):
    job.start(RunRef(0), RunRef(1))
    moment = [0.0]
    monkeypatch.setattr("fanfold_runtime.claiming_feed.time.monotonic", lambda: moment[0])
    frozen = job.machine("frozen")
    assert frozen.take().index == 0
    job.stores.log.request_cancel(job.header.id, job.header.created_at + 1.0)
    moment[0] = 2 * LEASE_S
    assert frozen.take() is None


def test_a_machine_that_searched_in_vain_does_not_leave_what_another_has_taken_meanwhile(job, monkeypatch):
    job.start(RunRef(0))
    job.work.take(1)  # and nobody writes it down
    idle, other = job.machine("idle"), job.machine("other")

    def wait(seconds: float) -> bool:
        job.start(RunRef(1))
        assert begun(other) == [(1, 0)]
        return False

    monkeypatch.setattr(idle.stopping, "wait", wait)
    assert idle.look_for_leftovers() is False


def test_a_claim_that_took_too_long_to_write_down_is_given_up_and_found_again(job, monkeypatch):
    job.start(RunRef(0))
    slow, hold = job.machine("slow"), job.work.hold
    moment = [0.0]
    monkeypatch.setattr("fanfold_runtime.claiming_feed.time.monotonic", lambda: moment[0])

    def hold_late(*given: Any, **more: Any) -> bool:
        moment[0] += 11.0
        return hold(*given, **more)

    monkeypatch.setattr(job.work, "hold", hold_late)
    assert slow.take() is None
    assert slow.held() == []
    monkeypatch.setattr(job.work, "hold", hold)
    monkeypatch.setattr(slow.stopping, "wait", lambda _: False)
    assert slow.find_more()
    assert begun(slow) == [(0, 0)]


def test_a_machine_leaves_a_job_only_to_others_that_it_has_seen_alive(job, monkeypatch):
    job.start(RunRef(0))
    assert begun(job.machine("dead")) == [(0, 0)]
    idle = job.machine("idle")
    waits = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        job.wait(seconds)
        return False

    monkeypatch.setattr(idle.stopping, "wait", wait)
    assert not idle.look_for_leftovers()  # the other has come up since it was looked for signs of life
    assert idle.find_more()
    assert sum(waits) >= LEASE_S
    assert begun(idle) == [(0, 0)]
