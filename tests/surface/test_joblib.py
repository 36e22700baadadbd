"""joblib's own calls, on Fanfold."""

from __future__ import annotations

import math
import multiprocessing
import os
import time
import warnings

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


def test_a_parallel_loop_keeps_nothing():
    assert joblib.Parallel(n_jobs=2)(joblib.delayed(scaled)(x, by=3) for x in range(100)) == [3 * x for x in range(100)]
    assert fanfold.get_jobs() == []


def test_a_parallel_loop_that_is_to_be_kept_runs_as_one_or_few_jobs(monkeypatch):
    monkeypatch.setattr("fanfold.api.executor_jobs._LINGER_S", 1.0)  # how soon one follows another is the machine's
    with joblib.parallel_config(backend="fanfold", cache=True):
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
    with joblib.parallel_config(backend="fanfold", cache=True):
        joblib.Parallel(n_jobs=2)(joblib.delayed(scaled)(x) for x in range(3))
    assert fanfold.get_jobs(limit=1)[0].header.max_workers == 2
    pids = joblib.Parallel(n_jobs=3)(joblib.delayed(os.getpid)() for _ in range(30))
    assert 1 <= len(set(pids)) <= 3
    assert os.getpid() not in pids


def test_one_call_at_a_time_is_made_here():
    assert joblib.Parallel(n_jobs=1)(joblib.delayed(os.getpid)() for _ in range(2)) == [os.getpid()] * 2


def test_the_original_error_is_raised():
    with pytest.raises(ValueError, match="is even") as caught:
        joblib.Parallel(n_jobs=2)(joblib.delayed(odd_only)(x) for x in range(4))
    assert "in odd_only" in str(caught.value.__cause__)


def test_short_calls_go_many_at_once():
    sizes = []
    with joblib.Parallel(n_jobs=2, pre_dispatch="all") as parallel:
        parallel(joblib.delayed(scaled)(x) for x in range(50))
        parallel(joblib.delayed(scaled)(x) for x in range(200))
        sizes.append(parallel._backend.compute_batch_size())
    assert sizes[0] > 1


def threads():
    return {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}


def test_a_worker_s_libraries_start_as_many_threads_as_is_said(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "4")  # what is asked for beats it
    with joblib.parallel_config(backend="fanfold", n_jobs=2, inner_max_num_threads=3):
        found = joblib.Parallel()(joblib.delayed(threads)() for _ in range(2))
    assert found == [{"OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "3"}] * 2


def greet(name):
    os.environ["GREETED"] = name


def greeted():
    return os.environ.get("GREETED"), os.getpid()


def test_an_initializer_that_one_loop_is_given_runs_in_its_workers_which_the_next_loop_that_is_given_it_has_too():
    def workers_greeted_by(name):
        loop = joblib.Parallel(n_jobs=2, initializer=greet, initargs=(name,))
        names, pids = zip(*loop(joblib.delayed(greeted)() for _ in range(4)), strict=True)
        assert set(names) == {name}
        return set(pids)

    first, again = workers_greeted_by("Ada"), workers_greeted_by("Ada")
    assert len(first | again) <= 2
    assert not workers_greeted_by("Grace") & (first | again)
    with fanfold.Executor(2, initializer=greet, initargs=("Ada",)) as executor:  # which calls it itself
        assert executor.submit(greeted).result()[1] not in first | again
    with pytest.raises(TypeError, match="nonsense"):
        joblib.Parallel(n_jobs=2, nonsense=1)(joblib.delayed(scaled)(x) for x in range(2))


def nested(x):
    return joblib.Parallel(n_jobs=2)(joblib.delayed(scaled)(y) for y in range(x))


def test_a_loop_within_a_loop_runs():
    assert joblib.Parallel(n_jobs=2)(joblib.delayed(nested)(x) for x in range(3)) == [[], [0], [0, 2]]


def test_a_loop_that_takes_too_long_is_given_up():
    with pytest.raises(multiprocessing.TimeoutError):
        joblib.Parallel(n_jobs=2, timeout=0.3)(joblib.delayed(time.sleep)(30) for _ in range(2))
    assert joblib.Parallel(n_jobs=2)(joblib.delayed(scaled)(x) for x in range(2)) == [0, 2]


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
    with joblib.parallel_config(backend="fanfold", instance_type="small", inner_max_num_threads=3):
        found = joblib.Parallel()(joblib.delayed(threads)() for x in range(2))
    assert found == [{"OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "3"}] * 2
    assert fanfold.get_jobs(limit=1)[0].header.instance_type == "small"


def test_no_workers_at_all_are_refused():
    with pytest.raises(ValueError, match="n_jobs == 0"):
        joblib.Parallel(n_jobs=0)(joblib.delayed(scaled)(x) for x in range(2))


def loop_in(inner: str):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        got = joblib.Parallel(n_jobs=2, backend=inner)(joblib.delayed(scaled)(x) for x in range(3))
    return got, [str(one.message) for one in seen]


def test_loops_within_a_call_are_nested_as_below_joblib_s_own_workers():
    calls = (joblib.delayed(loop_in)(inner) for inner in ("multiprocessing", "fanfold"))
    (below, warned), (inner, _) = joblib.Parallel(n_jobs=2)(calls)
    assert below == inner == [0, 2, 4]
    assert any("cannot be nested" in text for text in warned)


def test_a_loop_below_threads_makes_its_calls_in_turn_and_says_so():
    ((got, warned),) = joblib.Parallel(n_jobs=2, backend="threading")(joblib.delayed(loop_in)(b) for b in ["fanfold"])
    assert got == [0, 2, 4]
    assert any("cannot be nested below threads" in text for text in warned)


def test_a_loop_within_an_open_one_leaves_that_open():
    # As a search of scikit-learn's that fits another search between its own calls: all have this very backend.
    with joblib.Parallel(n_jobs=2) as outer:
        assert outer(joblib.delayed(scaled)(x) for x in range(3)) == [0, 2, 4]
        assert joblib.Parallel(n_jobs=2)(joblib.delayed(scaled)(x) for x in range(2)) == [0, 2]
        assert joblib.Parallel(n_jobs=1)(joblib.delayed(scaled)(x) for x in range(2)) == [0, 2]
        with pytest.raises(ValueError, match="0 is even"):
            joblib.Parallel(n_jobs=2)(joblib.delayed(odd_only)(x) for x in range(2))
        assert outer(joblib.delayed(scaled)(x) for x in range(3)) == [0, 2, 4]
