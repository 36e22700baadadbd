"""A thread that goes on with a job may end by an error: who waits for the job is told by which, here and elsewhere."""

from __future__ import annotations

import os
import threading

import pytest

import fanfold
from fanfold.engines.base import engine_for
from fanfold.engines.following import Following
from fanfold.engines.local import stewarding
from fanfold.engines.local.engine import LocalEngine, PoolDriver
from fanfold.engines.steward import Steward
from fanfold.errors import FanfoldError, StoreError
from fanfold.stores.local.log import SqliteEventLog


def doubled(x: int):
    return 2 * x


def held(x: int, flag: str):
    import os
    import time

    while not os.path.exists(flag):
        time.sleep(0.005)
    return 2 * x


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """An error that ends a thread is told on stderr by nobody."""
    monkeypatch.setattr(threading, "excepthook", lambda told: None)


def raises(error):
    def fail(*_, **__):
        raise error

    return fail


ERRORS = [KeyError("a bug"), StoreError("no answer", next_step="look")]


@pytest.mark.parametrize("error", ERRORS)
def test_who_follows_an_earlier_job_and_cannot_any_more_says_so(monkeypatch, tmp_path, error):
    first = fanfold.submit(held, range(2), flag=str(tmp_path / "go"), collect=False)
    with monkeypatch.context() as broken:
        broken.setattr(Following, "advance", raises(error))
        second = fanfold.submit(held, range(2), flag=str(tmp_path / "go"), collect=False)
        second.wait(timeout=60)
    assert {run.status.name for run in second} == {"LOST"}
    with pytest.raises(fanfold.RunLost, match=r"a bug|no answer"):
        second.results()
    (tmp_path / "go").touch()
    assert first.results() == [0, 2]
    assert second.retry().results() == [0, 2]


@pytest.mark.parametrize("error", ERRORS)
def test_runs_that_an_earlier_job_leaves_and_that_cannot_be_started_are_lost(monkeypatch, tmp_path, error):
    first = fanfold.submit(held, range(2), flag=str(tmp_path / "go"), collect=False)
    second = fanfold.submit(held, range(2), flag=str(tmp_path / "go"), collect=False)
    monkeypatch.setattr(LocalEngine, "start", raises(error))
    first.cancel()
    second.wait(timeout=60)
    assert {run.status.name for run in second} == {"LOST"}


def test_where_that_cannot_be_written_down_those_of_this_process_are_told(monkeypatch, tmp_path):
    fanfold.submit(held, range(2), flag=str(tmp_path / "go"), collect=False)
    following = threading.Event()

    def fail(_):
        assert following.wait(60)
        raise KeyError("a bug")

    monkeypatch.setattr(Following, "advance", fail)
    second = fanfold.submit(held, range(2), flag=str(tmp_path / "go"), collect=False)
    with monkeypatch.context() as broken:
        broken.setattr(SqliteEventLog, "append", raises(StoreError("no answer")))
        following.set()
        with pytest.raises(FanfoldError, match="KeyError: 'a bug'"):
            second.wait(timeout=60)
    (tmp_path / "go").touch()


def test_a_ramp_that_nobody_goes_on_with_ends(monkeypatch):
    monkeypatch.setattr(Steward, "advance", raises(KeyError("a bug")))
    job = fanfold.submit(doubled, range(20), ramp=(2, 10), collect=False)
    job.wait(timeout=60)
    assert {run.status.name for run in job} <= {"SUCCEEDED", "CANCELLED"}
    assert "KeyError: 'a bug'" in str(job.summary())


def test_a_ramp_outlives_a_store_that_fails_for_a_moment(monkeypatch):
    advance, errors = Steward.advance, [StoreError("no answer"), StoreError("no answer")]

    def fails_at_first(self, state):
        if errors:
            raise errors.pop()
        return advance(self, state)

    monkeypatch.setattr(stewarding, "_PAUSE_S", 0.0)
    monkeypatch.setattr(Steward, "advance", fails_at_first)
    assert fanfold.submit(doubled, range(20), ramp=(2, 10), collect=False).results() == [2 * x for x in range(20)]


def test_a_job_that_comes_as_the_pools_thread_ends_is_told_as_well(monkeypatch):
    fanfold.submit(doubled, range(2))
    driver = engine_for()._driver
    with monkeypatch.context() as broken:
        broken.setattr(PoolDriver, "_turn", raises(KeyError("a bug")))
        driver._pool.wake()
        driver._thread.join(60)
    with monkeypatch.context() as late:
        late.setattr(PoolDriver, "alive", True)  # it was a moment ago
        job = fanfold.submit(doubled, range(3), collect=False, cache=False)
    with pytest.raises(FanfoldError, match="KeyError: 'a bug'"):
        job.wait(timeout=60)


def test_a_pool_whose_thread_cannot_be_started_leaves_nothing_behind(monkeypatch, home):
    fanfold.submit(doubled, range(2))
    engine_for().close()
    before = set(os.listdir(home / "running"))
    with monkeypatch.context() as broken:
        broken.setattr(threading.Thread, "start", raises(RuntimeError("can't start new thread")))
        with pytest.raises(RuntimeError, match="new thread"):
            engine_for()._ready_driver()
    assert set(os.listdir(home / "running")) == before
    assert fanfold.submit(doubled, range(3), collect=False).results() == [0, 2, 4]
