"""What a `fanfold.Executor` is made of: its options, its workers and what prepares them."""

from __future__ import annotations

import multiprocessing
import os
import time
from concurrent.futures.process import BrokenProcessPool

import pytest

import fanfold


def scaled(x: int, by: int = 2):
    return x * by


@pytest.mark.parametrize("workers", [0, -1])
def test_no_workers_at_all_are_refused(workers):
    with pytest.raises(ValueError, match="max_workers must be greater than 0"):
        fanfold.Executor(workers)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_worker": 3}, "max_worker"),
        ({"plan": True}, "plan"),
        ({"debug_mode": True}, "debug_mode"),
        ({"collect": True}, "collect"),
        ({"max_workers": 2.5}, "max_workers"),
        ({"initializer": 5}, "callable"),
        ({"initializer": print, "initargs": [1]}, "tuple"),
        ({"mp_context": "fork"}, "mp_context"),
    ],
)
def test_options_that_it_does_not_have_are_refused_by_name(options, words):
    with pytest.raises(TypeError, match=words):
        fanfold.Executor(**options)


def test_a_context_whose_processes_are_forks_is_refused():
    with pytest.raises(ValueError, match="spawn"):
        fanfold.Executor(mp_context=multiprocessing.get_context("fork"))
    fanfold.Executor(mp_context=multiprocessing.get_context("spawn")).shutdown()


def test_an_engine_that_there_is_not_is_refused():
    with pytest.raises(fanfold.ConfigurationError, match="nope"):
        fanfold.Executor(engine="nope")


STATUS = "none"


def prepare(status):
    globals()["STATUS"] = status


def status():
    return STATUS


def test_the_initializer_is_called_in_each_worker_first():
    with fanfold.Executor(2, initializer=prepare, initargs=("ready",)) as executor:
        assert {executor.submit(status).result(timeout=60) for _ in range(4)} == {"ready"}
    with fanfold.Executor(2) as executor:
        assert executor.submit(status).result(timeout=60) == "none"


def fail_to_prepare():
    raise ValueError("no licence")


def test_an_initializer_that_fails_breaks_the_executor():
    with fanfold.Executor(1, initializer=fail_to_prepare) as executor:
        with pytest.raises(BrokenProcessPool, match="initializer raised ValueError: no licence"):
            executor.submit(status).result(timeout=60)
        with pytest.raises(BrokenProcessPool):
            executor.submit(status)


def test_a_call_may_have_a_time_limit():
    with fanfold.Executor(1, timeout_s=0.3) as executor, pytest.raises(BrokenProcessPool, match=r"0\.3 s"):
        executor.submit(time.sleep, 60).result(timeout=60)


def test_more_workers_than_cores_are_at_work_at_once(tmp_path):
    with fanfold.Executor(4) as executor:
        assert executor._max_workers == 4
        assert list(executor.map(meet, [str(tmp_path)] * 4, range(4), timeout=60)) == [4] * 4


def meet(folder, me):
    import pathlib
    import time

    pathlib.Path(folder, str(me)).touch()
    deadline = time.monotonic() + 200
    while len(list(pathlib.Path(folder).iterdir())) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    return len(list(pathlib.Path(folder).iterdir()))


def test_options_are_those_of_submit():
    with fanfold.Executor(instance_type="small") as executor:
        assert executor.submit(scaled, 2).result() == 4
    assert fanfold.get_jobs(limit=1)[0].header.instance_type == "small"


def own_pid(_):
    return os.getpid()


@pytest.mark.parametrize(("most", "workers"), [(2, 3), (1, 5), (None, 1)])
def test_a_worker_is_replaced_after_as_many_calls_as_it_may_make(most, workers):
    with fanfold.Executor(1, max_tasks_per_child=most) as executor:
        pids = list(executor.map(own_pid, range(5)))
    assert len(set(pids)) == workers


@pytest.mark.parametrize(("most", "kind"), [(0, ValueError), ("2", TypeError), (True, TypeError)])
def test_a_worker_of_no_calls_is_refused(most, kind):
    with pytest.raises(kind, match="max_tasks_per_child must be"):
        fanfold.Executor(1, max_tasks_per_child=most)
