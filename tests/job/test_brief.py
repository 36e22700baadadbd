"""How jobs stand in a list: of a large one that has ended, the events are not read again."""

from __future__ import annotations

import time

import pytest

import fanfold
from fanfold.engines.base import engine_for
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
