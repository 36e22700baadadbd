"""Two thousand schedules of what may happen in a deployment: nothing is lost, wrong, held twice, or waits for ever.

`make simulate` carries out a hundred thousand others; `python -m tests.simulation --seed N` shows one.
"""

from __future__ import annotations

import gc

import pytest

from fanfold.core.fold import JobState
from fanfold.stores.aws.shard_cursors import ShardCursor
from fanfold_runtime.claiming_feed import ClaimingFeed
from tests.simulation.schedule import run_schedule

_CHUNK = 250
#: They have shown a mistake once. `test_leases.py` has each mistake by itself: a seed means something else as soon as a
#: call is made more, or less.
_HAVE_SHOWN_SOMETHING = (20_483, 20_835, 40_587, 48_397, 49_399, 50_823, 55_332, 62_110, 106_974, 107_624, 113_717)


@pytest.mark.parametrize("first", range(0, 2_000, _CHUNK))
def test_no_schedule_violates_anything(first):
    gc.disable()  # each leaves a few thousand objects, and collecting them as often as Python does costs a third
    try:
        for seed in range(first, first + _CHUNK):
            outcome = run_schedule(seed)
            assert not outcome.violations, str(outcome)
            if seed % 50 == 0:
                gc.collect()
    finally:
        gc.enable()


@pytest.mark.parametrize("seed", _HAVE_SHOWN_SOMETHING)
def test_a_schedule_that_has_shown_a_mistake_shows_it_no_more(seed):
    outcome = run_schedule(seed)
    assert not outcome.violations, str(outcome)


def test_a_schedule_is_its_seed():
    assert [run_schedule(seed).notes for seed in range(20)] == [run_schedule(seed).notes for seed in range(20)]


def found_within(schedules: int, path: str | None = None) -> str:
    """The first violation that so many schedules find."""
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
