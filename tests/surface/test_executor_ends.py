"""However an executor's calls end, nobody waits for one for ever: each future is told, whatever ends its pool."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

import pytest

import fanfold
from fanfold.api import executor_jobs
from fanfold.api.calls import Calls
from fanfold.engines.local.call_pool import CallEnding, CallPool
from fanfold.execution.pool.pool import Pool
from fanfold.execution.pool.process import LimitWatch


def doubled(x: int):
    return 2 * x


def held(flag: str):
    import os
    import time

    while not os.path.exists(flag):
        time.sleep(0.005)
    return flag


def within_a_minute(act):
    """What `act` gives; fails where it waits for ever."""
    answer = Future()

    def try_it():
        try:
            answer.set_result(act())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=try_it, daemon=True).start()
    return answer.result(60)


def test_a_call_that_waits_for_a_place_begins_as_soon_as_there_is_one(monkeypatch, tmp_path):
    """Its pool rests when nobody has anything of it; a call that waits for its only worker is something."""
    monkeypatch.setattr(LimitWatch, "INTERVAL_S", 60.0)  # for so long it rests where nothing happens
    flag = tmp_path / "flag"
    executor = fanfold.Executor(max_workers=1)
    try:
        futures = [executor.submit(held, str(flag)) for _ in range(3)]
        flag.touch()
        assert [future.result(60) for future in futures] == [str(flag)] * 3
        assert executor.submit(doubled, 2).result(60) == 4
    finally:
        executor.kill_workers()


@pytest.fixture
def quiet(monkeypatch):
    """An error that ends a thread is told on stderr by nobody."""
    monkeypatch.setattr(threading, "excepthook", lambda told: None)


@pytest.mark.parametrize("error", [KeyError("a bug"), SystemExit(3)])
def test_an_error_that_ends_the_pools_thread_is_told_to_who_waits(monkeypatch, tmp_path, error):
    broken, step = threading.Event(), Pool.step

    def breaks(self):
        if broken.is_set():
            raise error
        step(self)

    monkeypatch.setattr(Pool, "step", breaks)
    with fanfold.Executor(1, timeout_s=600) as executor:
        futures = [executor.submit(held, str(tmp_path / "never")) for _ in range(5)]
        broken.set()
        executor._calls._pool._pool.wake()
        done, _ = wait(futures, 60)
        assert done == set(futures)
        with pytest.raises(BrokenProcessPool, match=type(error).__name__) as told:
            futures[0].result()
        assert "breaks" in str(told.value.__cause__)
        with pytest.raises(BrokenProcessPool):
            executor.submit(doubled, 1)


def test_what_a_future_calls_at_its_end_may_end_the_pool_and_the_others_are_told(tmp_path):
    def ends(_):
        raise SystemExit(3)

    with fanfold.Executor(1, timeout_s=600) as executor:
        first = executor.submit(held, str(tmp_path / "go"))
        first.add_done_callback(ends)
        second = executor.submit(held, str(tmp_path / "never"))
        (tmp_path / "go").touch()
        with pytest.raises(BrokenProcessPool, match="SystemExit"):
            second.result(60)


def test_all_are_told_though_what_one_of_them_calls_fails(tmp_path):
    def ends(_):
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        CallPool._fail([waiting(ends), last := waiting()], CallEnding("it is over"))
    with pytest.raises(BrokenProcessPool, match="it is over"):
        last.result(0)


def waiting(callback=None):
    """A future that somebody waits for."""
    future = Future()
    if callback is not None:
        future.add_done_callback(callback)
    return future


def test_a_call_that_comes_as_its_pool_ends_is_told(monkeypatch):
    with fanfold.Executor(1, timeout_s=601) as executor:
        assert executor.submit(doubled, 1).result(60) == 2
        pool = executor._calls._pool
        pool.close()
        pool._thread.join(60)
        monkeypatch.setattr(Calls, "_ready_pool", lambda _: pool)  # it was there a moment ago
        with pytest.raises(BrokenProcessPool, match="were ended"):
            executor.submit(doubled, 2).result(60)


def test_what_a_future_calls_at_its_end_may_call_again_while_another_call_is_made(monkeypatch):
    submit, again = CallPool.submit, []

    def breaks_meanwhile(self, packed, future, around=b""):
        monkeypatch.setattr(CallPool, "submit", submit)
        self._fail([lost], CallEnding("it broke just now"))
        submit(self, packed, future, around)

    with fanfold.Executor(1) as executor:
        lost = waiting(lambda _: again.append(executor.submit(doubled, 2)))
        monkeypatch.setattr(CallPool, "submit", breaks_meanwhile)
        first = within_a_minute(lambda: executor.submit(doubled, 1))
        assert [one.result(60) for one in (first, *again)] == [2, 4]


def test_a_future_whose_reader_has_said_himself_what_came_of_it_harms_no_other(tmp_path):
    with fanfold.Executor(1) as executor:
        first = executor.submit(held, str(tmp_path / "go"))
        second = executor.submit(doubled, 4)
        first.set_result("enough")
        (tmp_path / "go").touch()
        assert (first.result(0), second.result(60)) == ("enough", 8)


def test_an_executor_cannot_be_waited_for_in_what_its_futures_call(tmp_path):
    said = Future()

    def shut_down(_):
        try:
            executor.shutdown()
        except RuntimeError as error:
            said.set_result(str(error))

    executor = fanfold.Executor(2)
    first, second = executor.submit(held, str(tmp_path / "first")), executor.submit(held, str(tmp_path / "second"))
    first.add_done_callback(shut_down)
    (tmp_path / "first").touch()
    assert "in a callback" in said.result(60)
    (tmp_path / "second").touch()
    assert second.result(60)
    executor.shutdown()


@pytest.mark.parametrize("fails", ["start", "get_ready"])
def test_a_call_whose_job_cannot_be_made_ready_takes_no_others_with_it(monkeypatch, fails):
    owner, name = (executor_jobs._Batch, "start") if fails == "start" else (executor_jobs.JobCalls, "_get_ready")

    def refuse(self, *_):
        raise RuntimeError("can't start new thread")

    with fanfold.Executor(2, cache=True) as executor:
        with monkeypatch.context() as broken:
            broken.setattr(owner, name, refuse)
            with pytest.raises(RuntimeError, match="new thread"):
                executor.submit(doubled, x=1)
        assert executor.submit(doubled, x=2).result(60) == 4


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("options", [{}, {"cache": True}])
def test_a_forked_child_waits_for_no_call_of_its_parents(tmp_path, options):
    fork = multiprocessing.get_context("fork")
    answers = fork.SimpleQueue()

    def child():
        answers.put(executor.submit(doubled, x=4).result(60))
        executor.shutdown()  # of its own
        answers.put(os.getpid())

    with fanfold.Executor(1, **options) as executor:
        first = executor.submit(held, flag=str(tmp_path / "go"))
        process = fork.Process(target=child)
        locked = [one.lock for one in (executor._shared, executor._calls, executor._jobs) if one is not None]
        with ThreadPoolExecutor(1) as another:  # which the child does not have
            another.submit(lambda: [lock.acquire() for lock in locked]).result()
            process.start()
            another.submit(lambda: [lock.release() for lock in locked]).result()
        process.join(60)
        process.kill()
        assert process.exitcode == 0
        assert (answers.get(), answers.get()) == (8, process.pid)
        (tmp_path / "go").touch()
        assert first.result(60)


@pytest.mark.parametrize("options", [{"timeout_s": 602}, {"cache": True}])
def test_who_waits_for_cancelled_calls_is_told(tmp_path, options):
    with fanfold.Executor(1, **options) as executor:
        first = executor.submit(held, flag=str(tmp_path / "go"))
        others = [executor.submit(held, flag=str(tmp_path / f"never-{n}")) for n in range(5)]
        assert all(one.cancel() for one in others[1:])
        if "cache" in options:
            others[0].cancel()  # a job begins as many as there are workers, which is for the machine to say
            (tmp_path / "go").touch()
        else:
            executor._calls._pool.broken = CallEnding("it broke")
            executor._calls._pool._pool.wake()
        assert wait([first, *others], 60).not_done == set()


def test_a_job_whose_calls_were_all_cancelled_at_once_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(executor_jobs, "_LINGER_S", 2.0)
    with fanfold.Executor(1, cache=True) as executor:
        one = executor.submit(doubled, x=1)
        assert one.cancel()
        assert wait([one], 60).done == {one}


def test_nothing_of_an_ended_call_is_waited_for():
    with fanfold.Executor(1) as executor:
        calls = [executor.submit(doubled, x) for x in range(20)]
        assert [one.result(60) for one in calls] == [2 * x for x in range(20)]
        deadline = time.monotonic() + 200
        while executor._calls._going_on:
            assert time.monotonic() < deadline
            time.sleep(0.005)
