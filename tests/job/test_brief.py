"""How jobs stand in a list: of a large one that has ended, the events are not read again."""

from __future__ import annotations

import time

import pytest

import fanfold
from fanfold.engines.base import engine_for
from fanfold.job.waiting import Tracker
from fanfold.stores.local.log import SqliteEventLog

LARGE = 1_000


@fanfold.udf
def double(x: int):
    return 2 * x


@pytest.fixture
def reads(monkeypatch):
    """The jobs whose events are read from now on."""
    seen: list[str] = []
    read_since = SqliteEventLog.read_since

    def noted(self, job_id, *args, **kwargs):
        seen.append(job_id)
        return read_since(self, job_id, *args, **kwargs)

    monkeypatch.setattr(SqliteEventLog, "read_since", noted)
    return seen


def test_a_large_job_that_has_ended_is_listed_without_its_events(reads):
    job = fanfold.submit(double, range(LARGE), collect=False).wait()
    reads.clear()
    again = fanfold.get_job(job.id).brief()
    assert reads == []
    assert (again.status, again.counts, again.cost_usd) == ("Completed", {"succeeded": LARGE}, 0.0)
    assert again == job.brief()


def test_whatever_is_recorded_afterwards_counts(reads):
    job = fanfold.submit(double, range(LARGE), collect=False).wait()
    log = engine_for().stores.log
    log.request_cancel(job.id, time.time())
    reads.clear()
    assert fanfold.get_job(job.id).brief().status == "Completed"  # all runs had ended
    assert reads


def test_a_small_job_is_read(reads):
    job = fanfold.submit(double, range(3), collect=False).wait()
    reads.clear()
    assert fanfold.get_job(job.id).brief().counts == {"succeeded": 3}
    assert reads


def test_a_job_of_a_million_runs_takes_no_memory_in_a_list(reads):
    """Nothing is made for each of its runs, of which a list shows none."""
    import tracemalloc

    engine = engine_for()
    job = fanfold.submit(double, range(3), collect=False).wait()
    large = job.header._replace(count=1_000_000)
    engine.stores.log.put_brief(
        job.id, engine.stores.log.read_since(job.id)[1], '["Completed", {"succeeded": 1000000}, 9.0, 0.0]'
    )
    reads.clear()
    tracemalloc.start()
    try:
        assert Tracker(large, engine).brief().counts == {"succeeded": 1_000_000}
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()
    assert reads == []
