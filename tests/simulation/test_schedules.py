"""Two thousand schedules of what may happen in a deployment: nothing is lost, wrong, held twice, or waits for ever.

`make simulate` carries out a hundred thousand others; `python -m tests.simulation --seed N` shows one.
"""

from __future__ import annotations

import pytest

from fanfold.core.fold import JobState
from fanfold.stores.aws.shard_cursors import ShardCursor
from fanfold_runtime.claiming_feed import ClaimingFeed
from tests.simulation.schedule import rare_collections, run_schedule

_CHUNK, _EACH_COMMIT, _ALL = 250, 1_000, 2_000


@pytest.mark.parametrize(
    "first",
    [
        *range(0, _EACH_COMMIT, _CHUNK),
        *(pytest.param(first, marks=pytest.mark.long) for first in range(_EACH_COMMIT, _ALL, _CHUNK)),
    ],
)
def test_no_schedule_violates_anything(first):
    with rare_collections():
        for seed in range(first, first + _CHUNK):
            outcome = run_schedule(seed)
            assert not outcome.violations, str(outcome)


def test_a_schedule_is_its_seed():
    assert [run_schedule(seed).notes for seed in range(20)] == [run_schedule(seed).notes for seed in range(20)]


def found_within(schedules: int, path: str | None = None) -> str:
    """The first violation that so many schedules find."""
    with rare_collections():
        violations = (run_schedule(seed, path).violations for seed in range(schedules))
        return next((found[0] for found in violations if found), "nothing")


def test_a_reader_who_never_looks_back_is_found_and_reads_anew_what_it_has_missed(monkeypatch):
    def start(self: ShardCursor, now: float):
        return self.key or "0", None

    monkeypatch.setattr(ShardCursor, "start", start)
    with monkeypatch.context() as patched:
        patched.setattr(JobState, "has_missed", property(lambda _: False, lambda *_: None), raising=False)
        waits = next(seed for seed in range(200) if "still waits" in "".join(run_schedule(seed).violations))
    assert run_schedule(waits).violations == []


def test_work_that_falls_between_the_counter_and_the_list_is_found(monkeypatch):
    monkeypatch.setattr(ClaimingFeed, "look_for_leftovers", lambda self: True)
    assert "left the runs" in found_within(3_000, "dedicated")


def test_a_last_machine_that_leaves_before_a_dead_one_s_lease_is_over_is_found(monkeypatch):
    def wait_for_nobody(self: ClaimingFeed) -> None:
        self.alive = self.work.in_others_hands(self.machine).keys()

    monkeypatch.setattr(ClaimingFeed, "wait_for_signs_of_life", wait_for_nobody)
    assert "left the runs" in found_within(3_000, "dedicated")
