"""A ramp goes on while all is well, and stops with a report where it is not."""

from __future__ import annotations

import pytest

import fanfold
from fanfold.core.fold import fold
from fanfold.core.models import Event, EventKind, JobHeader, RunStatus, Usage
from fanfold.engines.stages import reasons_to_stop
from tests.conftest import LIMIT_S


def steady(x: int):
    return x


def failing_from(x: int, first: int):
    if x >= first:
        raise ValueError(f"{x} is too much")
    return x


@fanfold.udf(timeout_s=LIMIT_S)
def slow_at(x: int, slow: int):
    import time

    if x == slow:
        time.sleep(30)
    return x


@fanfold.udf(memory_mib=300)
def large_at(x: int, large: int, mib: int):
    import time

    held = bytearray(mib << 20) if x == large else b""
    time.sleep(2 if x == large else 0)  # long enough to be looked at
    return len(held)


def test_stages_of_one_s_own():
    job = fanfold.submit(steady, range(30), ramp=(2, 10), collect=False)
    assert job.results() == list(range(30))


def test_a_ramp_longer_than_the_job_is_the_job():
    assert fanfold.submit(steady, range(3), ramp=(1, 5, 50), collect=False).results() == [0, 1, 2]


@pytest.mark.parametrize("stages", [(5, 1), (0, 5), (1, 1), (True, 5), "15", (1.5,), 7], ids=repr)
def test_what_is_no_ramp_is_refused_before_anything_starts(stages):
    with pytest.raises(fanfold.InputError, match="is not a ramp"):
        fanfold.submit(steady, range(10), ramp=stages)
    assert fanfold.get_jobs() == []


def test_it_stops_where_runs_fail_and_keeps_what_it_has():
    with pytest.raises(fanfold.RampStopped) as stopped:
        fanfold.submit(failing_from, range(100), first=3, ramp=True)
    assert "after 5 of 100 runs" in str(stopped.value)
    assert "2 of 5 runs failed" in str(stopped.value)
    assert "3 is too much" in str(stopped.value)
    job = fanfold.get_job(stopped.value.job_id)
    assert job.counts() == {"succeeded": 3, "failed": 2, "cancelled": 95}


def test_what_it_has_done_is_not_done_again():
    with pytest.raises(fanfold.RampStopped):
        fanfold.submit(failing_from, range(100), first=3, ramp=True)
    assert fanfold.submit(failing_from, range(3), first=3, collect=False).wait().counts() == {"cached": 3}


def test_it_stops_at_the_time_limit():
    with pytest.raises(fanfold.RampStopped, match="1 of 5 runs timed out"):
        fanfold.submit(slow_at, range(100), slow=3, ramp=True)


@pytest.mark.parametrize(("longest_s", "says"), [(0.89, []), (0.9, ["1 of 5 runs came within 10% of the time limit"])])
def test_it_stops_near_the_time_limit(longest_s, says):
    header = JobHeader("job", "f", 100, "local", "ada", 0.0, "", "", timeout_s=1.0)
    ends = [
        Event.new("job", n, 0, EventKind.FINISHED, status=RunStatus.SUCCEEDED, usage=Usage(took_s, 0.1, 50.0))
        for n, took_s in enumerate([0.1, 0.2, 0.3, longest_s, 0.1])
    ]
    assert reasons_to_stop(fold(header, ends), 5) == says


@pytest.mark.parametrize("mib", [270, 900], ids=["near", "beyond"])
def test_it_stops_at_or_near_the_memory_limit(mib):
    with pytest.raises(fanfold.RampStopped, match="memory"):
        fanfold.submit(large_at, range(100), large=3, mib=mib, ramp=True)


def test_a_dedicated_job_ramps_too():
    job = fanfold.submit(steady, range(8), instance_type="small", ramp=(1, 4), collect=False)
    assert job.results() == list(range(8))


def held(x: int, folder: str):
    import os
    import time

    while not os.path.exists(f"{folder}/go"):
        open(f"{folder}/{x}", "w").close()
        time.sleep(0.02)
    return x


@pytest.mark.parametrize("machine", [None, "small"])
def test_a_cancel_ends_a_ramp_and_a_retry_runs_all_at_once(eventually, tmp_path, machine):
    ramp = {"ramp": (1, 3), "instance_type": machine, "collect": False}
    job = fanfold.submit(held, range(6), folder=str(tmp_path), **ramp)
    eventually(lambda: job.counts().get("running") and (tmp_path / "0").exists())
    job.cancel()
    assert job.counts() == {"cancelled": 6}
    assert [path.name for path in tmp_path.iterdir()] == ["0"]
    (tmp_path / "go").touch()
    assert job.retry().wait(120).results() == list(range(6))
