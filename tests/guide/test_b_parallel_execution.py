"""B. Parallel execution: the guide's lines 5 to 12, on both engines."""

from __future__ import annotations

import datetime as dt
import os
import time

import pandas as pd
import pytest

import fanfold
from tests.guide.udfs import last_counts, odd_only, rows, squared, times

pytestmark = pytest.mark.usefixtures("engine")


def test_b5_runs_once_per_input_each_in_an_environment_of_its_own():
    @fanfold.udf
    def counted(x: int):

        before = os.environ.get("SEEN_BEFORE")
        os.environ["SEEN_BEFORE"] = str(x)
        return before

    frame = fanfold.submit(counted, range(20))
    assert list(frame.index) == list(range(20))
    assert frame.result.isna().all()


def test_b6_inputs_come_from_anything_and_constants_are_added_to_every_run():
    def results(given, **constants):
        return list(fanfold.submit(times, given, **constants).result)

    assert results([1, 2]) == [2, 4]
    assert results((3, 4)) == [6, 8]
    assert results(range(3)) == [0, 2, 4]
    assert results(x for x in (5, 6)) == [10, 12]
    assert results([{"x": 1, "y": 10}, {"x": 2}]) == [10, 4]
    assert results(pd.DataFrame({"x": [1, 2], "y": [3, 4]})) == [3, 8]
    assert results(pd.Series([7])) == [14]
    assert results([1, 2], y=5) == [5, 10]


def test_b6_what_does_not_fit_is_an_error_before_anything_starts():
    unfit = [
        ([], "no inputs"),
        ([{"x": 1}, {"z": 1}], r"1  z .*no such parameter"),
        ([1, 2, "three"], r"2  x .*'three' .*integer"),
        (5, r"range\(5\)"),
    ]
    for inputs, says in unfit:
        with pytest.raises(fanfold.InputError, match=says):
            fanfold.submit(times, inputs)
    assert fanfold.get_jobs() == []


def test_b7_frames_are_concatenated_under_their_arguments_or_stay_one_a_row():
    frame = fanfold.submit(rows, [{"day": "2013-01-01", "n": 1}, {"day": "2013-01-02", "n": 2}])
    assert list(frame.index.names) == ["day", "n", None]
    assert list(frame.value) == [0, 0, 1]
    assert frame.index[2] == (dt.date(2013, 1, 2), 2, 1)
    unflattened = fanfold.submit(rows, ["2013-01-01", "2013-01-02"], flatten=False)
    assert [len(each) for each in unflattened.result] == [2, 2]


def test_b7_other_values_stand_in_a_result_column_and_collect_false_gives_the_job():
    frame = fanfold.submit(squared, [1, 2])
    assert frame.to_dict() == {"result": {1: 1, 2: 4}}
    assert frame.index.name == "x"
    assert fanfold.submit(squared, [3], collect=False).results() == [9]


def test_b8_what_has_been_computed_is_not_computed_again():
    for part in (5, 10, 30):
        fanfold.submit(squared, range(100)[:part])
    assert last_counts() == {"cached": 10, "succeeded": 20}


def test_b8_a_ramp_goes_up_by_itself_and_runs_everything_unless_runs_fail():
    assert list(fanfold.submit(squared, range(70), ramp=True).result) == [x * x for x in range(70)]
    with pytest.raises(fanfold.RampStopped, match=r"after 1 of 100 runs.*1 of 1 runs failed") as stopped:
        fanfold.submit(odd_only, range(100), ramp=True)
    assert "0 is even" in str(stopped.value)
    assert fanfold.get_job(stopped.value.job_id).counts() == {"failed": 1, "cancelled": 99}


def test_b9_debug_mode_runs_the_first_input_only_and_gives_its_raw_result_or_raises_its_error():
    assert fanfold.submit(squared, iter([3, 4, 5]), debug_mode=True) == 9
    assert last_counts() == {"succeeded": 1}
    with pytest.raises(fanfold.RunFailed, match="0 is even"):
        fanfold.submit(odd_only, range(10), debug_mode=True)


def test_b10_a_run_that_takes_too_long_fails_alone():
    @fanfold.udf(timeout_s=3)
    def slow(x: int):

        time.sleep(60 if x == 1 else 0)
        return x

    job = fanfold.submit(slow, range(4), collect=False).wait()
    assert job.counts() == {"succeeded": 3, "timed_out": 1}
    assert isinstance(job.first_error(), fanfold.RunTimedOut)


def test_b10_a_run_that_takes_too_much_memory_fails_alone():
    @fanfold.udf(memory_mib=300)
    def hungry(x: int):

        held = bytearray((900 if x == 1 else 1) << 20)
        time.sleep(60 if x == 1 else 0)
        return len(held)

    job = fanfold.submit(hungry, range(4), collect=False).wait()
    assert job.counts() == {"succeeded": 3, "out_of_memory": 1}
    assert isinstance(job.errors()[1], fanfold.RunOutOfMemory)


def test_b11_the_summary_says_how_far_runs_are_from_what_is_best():
    job = fanfold.submit(squared, range(150), collect=False).wait()
    assert "30 to 45 s are best" in str(job.summary())
    # On this machine short runs are well as they are.
    assert any("put about" in line for line in job.summary().advice) == job.header.costs_money


def test_b12_times_gives_each_run_s_time():
    job = fanfold.submit(squared, range(3), collect=False)
    job.wait()
    assert all(0 <= seconds < job.total_time() for seconds in job.times())
