"""A job's budget is kept by its workers, in the local cloud: nobody looks on meanwhile."""

from __future__ import annotations

import os
import time
import types

import pytest

import fanfold
from fanfold.core.models import JobHeader
from fanfold.job import Job
from fanfold.submission.overshoot import most_beyond_budget
from fanfold.submission.prepare import prepare, resolve_call


@fanfold.udf
def half_a_second(x: int, folder: str = ""):
    """With a folder, no more than eight end before there is a file `go` in it: they have cost enough by then."""
    time.sleep(0.5)
    deadline = time.monotonic() + 200
    while folder and not os.path.exists(f"{folder}/go") and len(os.listdir(folder)) >= 8:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    if folder:
        open(f"{folder}/{x}", "w").close()
    return x


def started(count, budget_usd, ramp=(), constants=(), **asked):
    """A job with a budget that it may pass: `submit` would refuse what its plan says to be too dear."""
    engine, request = resolve_call(half_a_second, engine="aws", **asked)
    request = request._replace(budget_usd=budget_usd, stages=ramp)
    submission = prepare(half_a_second, range(count), engine, request, dict(constants))
    submission.start()
    return Job(submission.header, engine)


@pytest.mark.usefixtures("on_cloud")
def test_no_more_runs_begin_when_the_budget_is_reached_and_a_higher_one_goes_on(eventually, tmp_path):
    asked = {"instance_type": None, "max_workers": 2}
    job = started(12, 0.00015, constants={"folder": str(tmp_path)}, **asked)  # a run costs about $0.000035
    log = job.tracker.engine.stores.log
    eventually(lambda: log.get_job(job.id).cancelled_at is not None)  # its workers have done that
    (tmp_path / "go").touch()
    job.wait(60)
    counts = job.counts()
    assert 1 <= counts["succeeded"] < 12
    assert counts["succeeded"] + counts["cancelled"] == 12
    assert job.state.stop_reason == "it has cost its budget of $0.000150"
    assert job.cost() >= 0.00015
    with pytest.raises(fanfold.InputError, match=r"has cost \S+ already, of a budget of"):
        job.retry()
    assert job.retry(budget_usd=1).wait(60).results() == list(range(12))
    assert job.header.budget_usd == 1


@pytest.mark.usefixtures("on_cloud")
def test_a_ramp_goes_no_further_when_the_budget_is_reached(eventually):
    job = started(12, 0.00005, ramp=(1, 4), instance_type=None)  # which the second stage passes
    eventually(lambda: job.tracker.look().done)
    counts = job.counts()
    assert counts["succeeded"] + counts["cancelled"] == 12
    assert counts["cancelled"] >= 8, "the last stage has not begun"
    assert "its budget" in job.state.stop_reason


def test_what_may_come_on_top_is_what_is_under_way():
    header = JobHeader("j", "f", 10_000, "aws", "me", 0.0, "", "", timeout_s=60, budget_usd=1)
    described = types.SimpleNamespace(concurrency=1_000)
    assert most_beyond_budget(header, described) == pytest.approx(1_000 * 60 * 4 * 0.0000166667, rel=0.05)
    assert most_beyond_budget(header._replace(max_workers=10), described) < 0.05
    machine = header._replace(instance_type="small", usd_per_hour=3.6, max_workers=4)
    assert most_beyond_budget(machine, described) == pytest.approx(4 * 15 * 0.001)


@pytest.mark.long  # a machine takes its time to come up
@pytest.mark.usefixtures("on_cloud")
def test_machines_count_their_time(eventually):
    job = started(400, 0.0001, instance_type="small", max_workers=1)  # about 5 s of a machine
    log = job.tracker.engine.stores.log
    eventually(lambda: log.get_job(job.id).cancelled_at is not None, within_s=90)
    job.wait(60)
    assert job.counts()["cancelled"] > 0
    assert "its budget" in job.state.stop_reason
