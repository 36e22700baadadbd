"""joblib's own calls, on Fanfold."""

from __future__ import annotations

import math

import pytest

import fanfold

joblib = pytest.importorskip("joblib")
backend = pytest.importorskip("fanfold.joblib_backend")


def scaled(x, by=2):
    return x * by


def odd_only(x):
    if x % 2 == 0:
        raise ValueError(f"{x} is even")
    return x


@pytest.fixture(autouse=True)
def on_fanfold():
    with joblib.parallel_config(backend="fanfold"):
        yield


def test_a_parallel_loop_runs_as_one_or_few_jobs():
    results = joblib.Parallel()(joblib.delayed(scaled)(x, by=3) for x in range(100))
    assert results == [3 * x for x in range(100)]
    jobs = fanfold.get_jobs()
    assert sum(len(job) for job in jobs) == 100
    assert len(jobs) <= 20


def test_joblib_s_first_example_works():
    assert joblib.Parallel(n_jobs=2)(joblib.delayed(math.sqrt)(i**2) for i in range(10)) == [
        float(i) for i in range(10)
    ]


def test_n_jobs_is_how_many_are_side_by_side():
    joblib.Parallel(n_jobs=2)(joblib.delayed(scaled)(x) for x in range(3))
    assert fanfold.get_jobs(limit=1)[0].header.max_workers == 2


def test_a_failure_is_raised_with_the_remote_traceback():
    with pytest.raises(fanfold.RunFailed, match="is even"):
        joblib.Parallel()(joblib.delayed(odd_only)(x) for x in range(4))


@pytest.mark.parametrize("pre_dispatch", ["2 * n_jobs", "all"])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_an_error_of_the_iterable_itself_is_raised_however_early(count, pre_dispatch):
    def calls():
        for x in range(count):
            yield joblib.delayed(scaled)(x)
        raise RuntimeError("no more inputs")

    with pytest.raises(RuntimeError, match="no more inputs"):
        joblib.Parallel(n_jobs=2, pre_dispatch=pre_dispatch)(calls())


def test_results_may_come_as_a_generator():
    results = joblib.Parallel(return_as="generator")(joblib.delayed(scaled)(x) for x in range(10))
    assert list(results) == [2 * x for x in range(10)]


def test_one_parallel_may_be_used_again():
    with joblib.Parallel() as parallel:
        assert parallel(joblib.delayed(scaled)(x) for x in range(3)) == [0, 2, 4]
        assert parallel(joblib.delayed(scaled)(x) for x in range(3, 5)) == [6, 8]


def test_options_of_the_executor_are_taken():
    with joblib.parallel_config(backend="fanfold", instance_type="small"):
        joblib.Parallel()(joblib.delayed(scaled)(x) for x in range(2))
    assert fanfold.get_jobs(limit=1)[0].header.instance_type == "small"


def test_no_workers_at_all_are_refused():
    with pytest.raises(ValueError, match="n_jobs == 0"):
        joblib.Parallel(n_jobs=0)(joblib.delayed(scaled)(x) for x in range(2))
