"""A. Choosing an approach: the guide's lines 1 to 4, on both engines. Limits are scaled down, the ways are the same."""

from __future__ import annotations

import pathlib
import time

import pytest

import fanfold
from tests.guide.udfs import meet, squared

pytestmark = pytest.mark.usefixtures("engine")


@fanfold.udf
def patient(x: int):
    time.sleep(1.5)
    return x


@fanfold.udf
def endless_at_first(x: int, folder: str):
    """Takes a minute the first time, and no time the next."""
    if is_first(folder):
        time.sleep(60)
    return x


@fanfold.udf
def hungry(x: int, folder: str):
    """Holds its memory until that is looked at, the first time."""
    first = is_first(folder)  # it may be ended as soon as it has what it holds
    held = bytearray(600 << 20)
    if first:
        time.sleep(60)
    return len(held) >> 20


def is_first(folder: str):
    mark = pathlib.Path(folder, "begun")
    before = mark.exists()
    mark.touch()
    return not before


@fanfold.udf
def filling(share: float, of_mib: int):
    """Takes so much of its memory: what the interpreter has already is counted."""
    import psutil

    held = bytearray(int(share * of_mib * 2**20) - psutil.Process().memory_info().rss)
    time.sleep(1.5)  # memory is looked at now and then
    return len(held) > 0


def test_a1_many_inputs_run_in_parallel(tmp_path):
    assert list(fanfold.submit(meet, [1, 2], folder=str(tmp_path)).result) == [1, 2]


def test_a2_what_takes_longer_than_a_realtime_run_may_runs_on_a_machine(tmp_path):
    with pytest.raises(fanfold.RunTimedOut, match="instance_type"):
        fanfold.run(fanfold.udf(endless_at_first, timeout_s=2), x=3, folder=str(tmp_path))
    assert fanfold.run(endless_at_first, x=3, folder=str(tmp_path), instance_type="small") == 3


def test_a2_what_takes_more_memory_than_a_realtime_run_may_runs_on_a_machine(tmp_path):
    with pytest.raises(fanfold.RunOutOfMemory, match="instance_type"):
        fanfold.run(fanfold.udf(hungry, memory_mib=300), x=3, folder=str(tmp_path))
    assert fanfold.run(hungry, x=3, folder=str(tmp_path), instance_type="small") == 600


def test_a2_a_limit_that_no_realtime_run_has_is_refused_with_the_way_that_has():
    with pytest.raises(fanfold.InputError, match='instance_type="small"'):
        fanfold.run(fanfold.udf(squared, timeout_s=600), x=1)
    assert fanfold.run(fanfold.udf(squared, timeout_s=600, instance_type="small"), x=3) == 9


def test_a3_many_heavy_jobs_use_both(tmp_path):
    several = {"instance_type": "medium", "max_workers": 2, "n_processes_per_worker": 2}
    job = fanfold.submit(meet, range(4), folder=str(tmp_path), count=4, collect=False, **several)
    assert job.results() == [0, 1, 2, 3]


def test_a4_it_says_so_when_runs_come_near_the_time_that_they_may_take(monkeypatch):
    monkeypatch.setattr("fanfold.job.summary.REALTIME_TIMEOUT_S", 1.5)
    job = fanfold.submit(patient, [1], collect=False).wait()
    assert any("1 of 1 runs came within 10% of 2 s" in line for line in job.summary().advice)


def test_a4_it_says_so_when_runs_come_near_the_memory_that_they_may_take(monkeypatch):
    monkeypatch.setattr("fanfold.job.summary.REALTIME_MEMORY_MIB", 400)
    job = fanfold.submit(filling, [0.95], of_mib=400, collect=False).wait()
    assert any("1 of 1 runs came within 10% of 400 MiB" in line for line in job.summary().advice)


def test_a4_plan_compares_the_ways_with_time_and_dollars():
    plan = fanfold.plan(squared, range(100))
    assert {"realtime", "small", "medium", "large"} <= {way.name for way in plan.ways}
    assert all(way.usd.high >= way.usd.low >= 0 and way.time_s.high >= way.time_s.low for way in plan.ways)
    assert plan.recommended in {way.name for way in plan.ways}
    assert plan.reason
