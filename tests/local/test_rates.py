"""`rate="20/s"`: no more of a job's runs begin in a time, whatever there are of workers and tries."""

from __future__ import annotations

import pytest

import fanfold
from fanfold.core.rates import Evenly, check_waits, parse_rate
from tests.stores.event_log_contract import read_all


def test_a_rate_is_written_as_one_says_it():
    rates = {"20/s": 20, "90/m": 1.5, " 1800 / h ": 0.5, 4: 4, 0.25: 0.25}
    assert {given: parse_rate(given) for given in rates} == rates


@pytest.mark.parametrize("given", ["20", "20/d", "-1/s", "0/s", 0, True, 501, float("nan"), [20]])
def test_what_is_no_rate_is_refused(given):
    with pytest.raises(fanfold.InputError, match="is not a rate"):
        fanfold.udf(rate=given)(abs)


def test_turns_are_even_and_a_pause_gathers_none():
    turns = Evenly(4)
    begun = [at / 100 for at in range(100) if turns.begins(at / 100)]
    assert begun == [0, 0.25, 0.5, 0.75]
    assert turns.wait_s(0.9) == pytest.approx(0.1)
    # One comes late, and the next in its time; after a pause there is one turn, as at first.
    assert [at for at in (1, 1.35, 1.4, 1.5, 50, 50.01, 50.25) if turns.begins(at)] == [1, 1.35, 1.5, 50, 50.25]


@fanfold.udf(rate="8/s", cache_max_age=0, retry_on=(ValueError,), max_retry=1)
def fails_once(x: int):
    if fanfold.attempt() == 0:
        raise ValueError(x)
    return x


@pytest.mark.parametrize("machine", [None, pytest.param("small", marks=pytest.mark.long)])
def test_each_try_of_each_run_takes_its_turn(machine):
    job = fanfold.submit(fails_once, range(4), instance_type=machine, collect=False).wait(60)
    assert job.results() == [0, 1, 2, 3]
    ends = [event for event in read_all(job.tracker.engine.stores.log, job.id) if event.usage is not None]
    assert len(ends) == 8
    # The first may begin when the job is there, and each of the seven others 1/8 s after the one before.
    assert max(event.at - event.usage.duration_s for event in ends) - job.header.created_at >= 7 / 8 - 0.01


@fanfold.udf(cache_max_age=0)
def same(x: int):
    return x


def test_a_job_that_waits_for_its_turn_can_be_cancelled_and_holds_no_other_up(eventually):
    slow = fanfold.submit(same, [1, 2, 3], rate="1/h", collect=False)
    assert fanfold.submit(same, [5, 6], collect=False).wait(120).results() == [5, 6]
    eventually(lambda: slow.counts().get("succeeded"))
    slow.cancel()
    assert slow.wait(120).counts() == {"succeeded": 1, "cancelled": 2}


def test_a_plan_knows_how_long_the_turns_take():
    fanfold.submit(same, range(4))
    plan = fanfold.submit(same, range(10), rate="2/m", plan=True)
    assert all(way.time_s.low >= 10 * 30 for way in plan.ways)


def test_functions_do_not_wait_for_a_turn_until_their_time_is_over():
    check_waits(20, None)
    check_waits(20, 1200)
    with pytest.raises(fanfold.InputError, match="a function would wait 100 s") as refused:
        check_waits(20, 2000)
    assert "max_workers=1200" in refused.value.next_step
    with pytest.raises(fanfold.InputError, match="'1/h' is too slow for functions"):
        check_waits(1 / 3600, None)
