"""How jobs stand in a list: of a large one that has ended, the events are not read again."""

from __future__ import annotations

import threading
import time

import pytest

import fanfold
from fanfold.engines.base import engine_for
from fanfold.engines.local import counts
from fanfold.job.waiting import Tracker
from fanfold.stores.local.log import SqliteEventLog
from fanfold.stores.state import Brief, KeptBrief

LARGE = 1_000
LAST = LARGE - 1


@fanfold.udf
def double(x: int):
    return 2 * x


@fanfold.udf
def waits_at_the_end(x: int, gate: str):
    import os
    import time

    while x == LAST and not os.path.exists(gate):
        time.sleep(0.01)
    return x


@fanfold.udf
def slowly(x: int):
    import time

    time.sleep(0.002)
    return x


@pytest.fixture
def reads(monkeypatch):
    """The threads by which events are read from now on."""
    seen: list[int] = []
    read_since = SqliteEventLog.read_since

    def noted(self, job_id, *args, **kwargs):
        seen.append(threading.get_ident())
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


def test_a_large_job_that_nobody_has_waited_for_is_listed_without_its_events(reads, eventually, monkeypatch, tmp_path):
    """The process that carries it out keeps how it stands: while runs are left, and when it has ended."""
    monkeypatch.setattr(counts, "EVERY_S", 0.05)
    log, gate = engine_for().stores.log, tmp_path / "open"
    job = fanfold.submit(waits_at_the_end, range(LARGE), gate=str(gate), collect=False)

    def kept() -> Brief | None:
        found = KeptBrief.read(log, job.header)
        return found and found.brief

    eventually(lambda: (found := kept()) is not None and found.counts.get("succeeded") == LARGE - 1)
    mine = threading.get_ident()
    reads.clear()
    listed = fanfold.get_job(job.id).brief()
    assert (listed.status, listed.counts["succeeded"]) == ("Running", LARGE - 1)
    assert mine not in reads
    gate.touch()
    eventually(lambda: (found := kept()) is not None and found.status == "Completed")
    reads.clear()
    assert fanfold.get_job(job.id).brief().counts == {"succeeded": LARGE}
    assert mine not in reads


def test_a_large_job_in_a_process_of_its_own_is_listed_without_its_events(reads, eventually):
    job = fanfold.submit(slowly, range(LARGE), collect=False, instance_type="small")
    log = engine_for().stores.log
    eventually(lambda: (found := KeptBrief.read(log, job.header)) is not None and found.done, within_s=60)
    assert fanfold.get_job(job.id).brief().counts == {"succeeded": LARGE}
    assert reads == []


def test_what_was_kept_of_an_open_job_long_ago_is_not_shown(reads):
    """Its process may be gone: only a look tells."""
    job = fanfold.submit(double, range(LARGE), collect=False).wait()
    log = engine_for().stores.log
    stale = f'["Running", {{"running": 1}}, 1.0, 0.0, {time.time() - 60}]'
    log.put_brief(job.id, log.read_since(job.id)[1], stale)
    assert fanfold.get_job(job.id).brief().status == "Completed"


JUNK = ("", "[]", "nonsense", "[" * 5_000, '["Done", {}, 1, 2]', '["Failed", {"x": 1}, 1, 2]', '["Failed", {}, NaN, 2]')


def test_what_was_kept_and_is_damaged_is_not_shown(reads):
    """Nor does one job's damage keep anybody from seeing a list of all."""
    job = fanfold.submit(double, range(LARGE), collect=False).wait()
    log = engine_for().stores.log
    cursor = log.read_since(job.id)[1]
    for junk in (*JUNK, '["Failed", {}, 1' + "0" * 400 + ", 2]", '["Failed", 7, 1, 2]', '["Failed", {}, 1, 2, 3, 4]'):
        log.put_brief(job.id, cursor, junk)
        assert fanfold.get_job(job.id).brief().status == "Completed"


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
