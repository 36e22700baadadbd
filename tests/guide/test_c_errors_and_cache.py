"""C. Errors and cache: the guide's lines 13 to 18, on both engines."""

from __future__ import annotations

import pytest

import fanfold
from tests.guide.udfs import last_counts, odd_only, squared, times

pytestmark = pytest.mark.usefixtures("engine")


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
            return error

    fanfold.submit(careful, [0, 1])
    error, value = fanfold.submit(careful, [0, 1]).result
    assert (type(error), str(error), value) == (ZeroDivisionError, "division by zero", 1.0)
    assert last_counts() == {"cached": 2}


def test_c16_ignore_exceptions_leaves_failed_runs_out_and_else_the_first_error_is_raised(capsys):
    frame = fanfold.submit(odd_only, range(5), ignore_exceptions=True)
    assert list(frame.index) == [1, 3]
    assert "3 of 5 runs failed and are left out" in capsys.readouterr().err
    with pytest.raises(fanfold.RunFailed) as raised:
        fanfold.submit(odd_only, range(5))
    told = str(raised.value)
    assert raised.value.index == 0
    assert raised.value.input == {"x": 0}
    assert 'raise ValueError(f"{x} is even")' in told
    assert "udfs.py" in told
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
