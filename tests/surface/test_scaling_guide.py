"""What must come true, line by line as its users meet it; each test is named after a line of the guide.

Nothing here knows the engine: whatever keeps these promises is one.
"""

from __future__ import annotations

import datetime as dt
import os
import time

import pandas as pd
import pytest

import fanfold

pytestmark = pytest.mark.usefixtures("engine")


@fanfold.udf
def squared(x: int):
    return x * x


@fanfold.udf
def times(x: int, y: int = 2):
    return x * y


@fanfold.udf
def rows(day: dt.date, n: int = 2):
    import pandas as pd

    return pd.DataFrame({"value": range(n)})


@fanfold.udf
def odd_only(x: int):
    if x % 2 == 0:
        raise ValueError(f"{x} is even")
    return x


def last_counts():
    return fanfold.get_jobs(limit=1)[0].counts()


# --- A. Choosing an approach ----------------------------------------------------------------------


def test_a1_many_inputs_run_in_parallel():
    @fanfold.udf
    def meet(x: int, folder: str):
        import pathlib
        import time

        place = pathlib.Path(folder)
        (place / str(x)).touch()
        deadline = time.monotonic() + 30
        while len(list(place.iterdir())) < 2:  # ends only where another run is under way at the same time
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return x

    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        assert list(fanfold.submit(meet, [1, 2], folder=folder).result) == [1, 2]


def test_a2_a_job_beyond_the_limits_asks_for_a_machine():
    with pytest.raises(fanfold.InputError, match='instance_type="small"'):
        fanfold.run(fanfold.udf(squared, timeout_s=600), x=1)
    assert fanfold.run(fanfold.udf(squared, timeout_s=600, instance_type="small"), x=3) == 9


def test_a3_many_heavy_jobs_use_both():
    job = fanfold.submit(squared, range(4), instance_type="medium", n_processes_per_worker=2, collect=False)
    assert job.results() == [0, 1, 4, 9]


def test_a4_plan_compares_the_ways_with_time_and_dollars():
    plan = fanfold.plan(squared, range(100))
    assert {"realtime", "small", "medium", "large"} <= {way.name for way in plan.ways}
    assert all(way.usd.high >= way.usd.low >= 0 and way.time_s.high >= way.time_s.low for way in plan.ways)
    assert plan.recommended in {way.name for way in plan.ways}
    assert plan.reason


# --- B. Parallel execution ------------------------------------------------------------------------


def test_b5_runs_once_per_input_each_in_an_environment_of_its_own():
    @fanfold.udf
    def counted(x: int):
        import os

        before = os.environ.get("SEEN_BEFORE")
        os.environ["SEEN_BEFORE"] = str(x)
        return before

    frame = fanfold.submit(counted, range(20))
    assert list(frame.index) == list(range(20))
    assert frame.result.isna().all()


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ([1, 2], [2, 4]),
        ((3, 4), [6, 8]),
        (range(3), [0, 2, 4]),
        (lambda: (x for x in (5, 6)), [10, 12]),
        ([{"x": 1, "y": 10}, {"x": 2}], [10, 4]),
        (pd.DataFrame({"x": [1, 2], "y": [3, 4]}), [3, 8]),
        (pd.Series([7]), [14]),
    ],
    ids=["list", "tuple", "range", "generator", "dicts", "frame", "series"],
)
def test_b6_inputs_come_from_anything(inputs, expected):
    given = inputs() if callable(inputs) else inputs  # a generator can be read by one engine only
    assert list(fanfold.submit(times, given).result) == expected


def test_b6_constants_are_added_to_every_run():
    assert list(fanfold.submit(times, [1, 2], y=5).result) == [5, 10]


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ([], "no inputs"),
        ([{"x": 1}, {"z": 1}], r"1  z .*no such parameter"),
        ([1, 2, "three"], r"2  x .*'three' .*integer"),
        (5, r"range\(5\)"),
    ],
    ids=["empty", "wrong name", "rejected value", "no list"],
)
def test_b6_what_does_not_fit_is_an_error_before_anything_starts(inputs, says):
    with pytest.raises(fanfold.InputError, match=says):
        fanfold.submit(times, inputs)
    assert fanfold.get_jobs() == []


def test_b7_frames_are_concatenated_under_their_arguments():
    frame = fanfold.submit(rows, [{"day": "2013-01-01", "n": 1}, {"day": "2013-01-02", "n": 2}])
    assert list(frame.index.names) == ["day", "n", None]
    assert list(frame.value) == [0, 0, 1]
    assert frame.index[2] == (dt.date(2013, 1, 2), 2, 1)


def test_b7_other_values_stand_in_a_result_column():
    frame = fanfold.submit(squared, [1, 2])
    assert frame.to_dict() == {"result": {1: 1, 2: 4}}
    assert frame.index.name == "x"


def test_b7_flatten_false_keeps_one_result_a_row():
    frame = fanfold.submit(rows, ["2013-01-01", "2013-01-02"], flatten=False)
    assert [len(each) for each in frame.result] == [2, 2]


def test_b7_collect_false_gives_the_job():
    assert fanfold.submit(squared, [3], collect=False).results() == [9]


def test_b8_what_has_been_computed_is_not_computed_again():
    for part in (5, 10, 50):
        fanfold.submit(squared, range(100)[:part])
    assert last_counts() == {"cached": 10, "succeeded": 40}


def test_b8_a_ramp_goes_up_by_itself_and_runs_everything():
    assert list(fanfold.submit(squared, range(70), ramp=True).result) == [x * x for x in range(70)]


def test_b8_a_ramp_stops_where_runs_fail():
    with pytest.raises(fanfold.RampStopped, match=r"after 1 of 100 runs.*1 of 1 runs failed") as stopped:
        fanfold.submit(odd_only, range(100), ramp=True)
    assert "0 is even" in str(stopped.value)
    assert fanfold.get_job(stopped.value.job_id).counts() == {"failed": 1, "cancelled": 99}


def test_b9_debug_mode_runs_the_first_input_only_and_gives_its_raw_result():
    assert fanfold.submit(squared, iter([3, 4, 5]), debug_mode=True) == 9
    assert last_counts() == {"succeeded": 1}


def test_b9_debug_mode_raises_the_run_s_error():
    with pytest.raises(fanfold.RunFailed, match="0 is even"):
        fanfold.submit(odd_only, range(10), debug_mode=True)


def test_b10_a_run_that_takes_too_long_fails_alone():
    @fanfold.udf(timeout_s=1)
    def slow(x: int):
        import time

        time.sleep(60 if x == 1 else 0)
        return x

    job = fanfold.submit(slow, range(4), collect=False).wait()
    assert job.counts() == {"succeeded": 3, "timed_out": 1}
    assert isinstance(job.first_error(), fanfold.RunTimedOut)


def test_b10_a_run_that_takes_too_much_memory_fails_alone():
    @fanfold.udf(memory_mib=300)
    def hungry(x: int):
        import time

        held = bytearray((900 if x == 1 else 1) << 20)
        time.sleep(60 if x == 1 else 0)
        return len(held)

    job = fanfold.submit(hungry, range(4), collect=False).wait()
    assert job.counts() == {"succeeded": 3, "out_of_memory": 1}
    assert isinstance(job.errors()[1], fanfold.RunOutOfMemory)


def test_b11_the_summary_says_how_far_runs_are_from_what_is_best():
    job = fanfold.submit(squared, range(150), collect=False).wait()
    assert "30 to 45 s are best" in str(job.summary())
    assert any("inputs into each" in line for line in job.summary().advice)


def test_b12_times_gives_each_run_s_time():
    job = fanfold.submit(squared, range(3), collect=False)
    job.wait()
    assert all(0 <= seconds < job.total_time() for seconds in job.times())


# --- C. Errors and cache --------------------------------------------------------------------------


def test_c13_a_second_submit_starts_nothing():
    fanfold.submit(squared, range(5))
    assert list(fanfold.submit(squared, range(5)).result) == [0, 1, 4, 9, 16]
    assert last_counts() == {"cached": 5}


def test_c13_other_code_and_other_arguments_are_computed():
    fanfold.submit(times, [1, 2])
    fanfold.submit(times, [1, 2], y=3)
    assert last_counts() == {"succeeded": 2}


def test_c14_errors_run_afresh_while_siblings_come_from_the_cache():
    fanfold.submit(odd_only, range(4), ignore_exceptions=True)
    fanfold.submit(odd_only, range(4), ignore_exceptions=True)
    assert last_counts() == {"cached": 2, "failed": 2}


def test_c15_an_error_that_is_returned_is_a_value_and_is_cached():
    @fanfold.udf
    def careful(x: int):
        try:
            return 1 / x
        except ZeroDivisionError as error:
            return f"no result: {error}"

    fanfold.submit(careful, [0, 1])
    frame = fanfold.submit(careful, [0, 1])
    assert list(frame.result) == ["no result: division by zero", 1.0]
    assert last_counts() == {"cached": 2}


def test_c16_ignore_exceptions_leaves_failed_runs_out_and_says_how_many(capsys):
    frame = fanfold.submit(odd_only, range(5), ignore_exceptions=True)
    assert list(frame.index) == [1, 3]
    assert "3 of 5 runs failed and are left out" in capsys.readouterr().err


def test_c16_else_the_first_error_is_raised_with_all_there_is_to_know():
    with pytest.raises(fanfold.RunFailed) as raised:
        fanfold.submit(odd_only, range(5))
    told = str(raised.value)
    assert raised.value.index == 0
    assert raised.value.input == {"x": 0}
    assert 'raise ValueError(f"{x} is even")' in told
    assert os.path.basename(__file__) in told
    assert "2 other runs failed as well" in told


def test_c17_realtime_and_dedicated_have_separate_caches():
    fanfold.submit(squared, [1, 2])
    fanfold.submit(squared, [1, 2], instance_type="small")
    assert last_counts() == {"succeeded": 2}
    fanfold.submit(squared, [1, 2], instance_type="small")
    assert last_counts() == {"cached": 2}


def test_c18_cache_false_computes_afresh_and_keeps_nothing():
    fanfold.submit(squared, [1], cache=False)
    fanfold.submit(squared, [1])
    assert last_counts() == {"succeeded": 1}
    fanfold.submit(squared, [1], cache=False)
    assert last_counts() == {"succeeded": 1}


def test_c18_cache_max_age_of_the_call_beats_the_udf_s():
    fanfold.submit(squared, [1])
    fanfold.submit(fanfold.udf(squared, cache_max_age=0), [1])
    assert last_counts() == {"succeeded": 1}
    fanfold.submit(fanfold.udf(squared, cache_max_age=0), [1], cache_max_age="1h")
    assert last_counts() == {"cached": 1}
    fanfold.submit(squared, [1], cache_max_age=0)
    assert last_counts() == {"succeeded": 1}


# --- D. Dedicated instances -----------------------------------------------------------------------


def test_d19_instance_type_is_an_option_of_the_udf_and_of_the_call():
    assert fanfold.run(squared, x=2, instance_type="small") == 4
    fanfold.submit(fanfold.udf(squared, instance_type="small"), [2])
    assert last_counts() == {"cached": 1}


def test_d20_an_unknown_machine_is_an_error_that_lists_the_known():
    with pytest.raises(fanfold.UnknownInstanceType, match=r"tiny.*\n.*small, medium, large.*m5\.4xlarge"):
        fanfold.submit(squared, [1], instance_type="tiny")


def test_d20_a_line_says_which_machine_serves_it(capsys):
    fanfold.run(squared, x=2, instance_type="c2-standard-4")
    assert "c2-standard-4 is served by" in capsys.readouterr().err


def test_d26_several_machines_each_with_runs_side_by_side():
    job = fanfold.submit(
        squared, range(6), instance_type="large", max_workers=2, n_processes_per_worker=2, collect=False
    )
    assert job.results() == [x * x for x in range(6)]
    assert (job.header.max_workers, job.header.n_processes_per_worker) == (2, 2)


# --- E. What its users suffer elsewhere -----------------------------------------------------------


def test_e30_a_retry_does_retry(tmp_path):
    @fanfold.udf
    def mended(x: int, flag: str):
        import pathlib

        if not pathlib.Path(flag).exists():
            raise OSError("not there yet")
        return x

    flag = tmp_path / "flag"
    job = fanfold.submit(mended, [1, 2], flag=str(flag), collect=False).wait()
    assert job.counts() == {"failed": 2}
    flag.touch()
    assert job.retry().results() == [1, 2]


def test_e31_a_dedicated_job_with_collection_just_works():
    frame = fanfold.submit(rows, ["2013-01-01"], instance_type="small")
    assert list(frame.value) == [0, 1]


def test_e32_types_survive():
    @fanfold.udf
    def kinds(things: list[int], flag: bool, maybe: str | None = "unset", anything=None):
        return [type(thing).__name__ for thing in things], flag, maybe, anything

    arguments = {"things": [1, "2"], "flag": True, "maybe": None, "anything": {"a": (1, [2.5])}}
    assert fanfold.run(kinds, **arguments) == (["int", "int"], True, None, {"a": (1, [2.5])})
    assert fanfold.run(kinds, things=[], flag="0") == ([], False, "unset", None)


def test_e33_results_stay_with_their_inputs_however_many_are_missing():
    job = fanfold.submit(odd_only, range(30), collect=False)
    frame = job.collect(ignore_exceptions=True)
    assert list(frame.index) == list(frame.result) == list(range(1, 30, 2))
    assert [run.result() for run in job if run.error is None] == list(range(1, 30, 2))


def test_e30_a_cancelled_job_can_be_taken_up_again(eventually):
    @fanfold.udf
    def napping(x: int):
        import time

        time.sleep(0.05)
        return x

    job = fanfold.submit(napping, range(200), collect=False)
    eventually(lambda: job.counts().get("succeeded"))
    began = time.monotonic()
    job.cancel()
    eventually(lambda: job.status == "Cancelled")  # far away, a run may have begun that had not heard of it
    assert time.monotonic() - began < 30
    assert job.counts()["cancelled"] > 0
    assert job.retry().results() == list(range(200))
