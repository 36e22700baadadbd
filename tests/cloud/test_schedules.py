"""Schedules: the deployment starts a job by itself, with the code as it was captured."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydantic import SecretStr

import fanfold
from fanfold.api.schedules import get_schedule
from fanfold.cli.commands import schedules as command
from fanfold.core.models import EventKind, LargerRecord, StageRecord, records
from fanfold.engines.aws.kept_schedules import DeploymentSchedules
from fanfold.engines.base import engine_for
from fanfold.engines.schedule import listing_of
from tests.cloud.test_shepherd import state_of, statuses_of
from tests.cloud.udfs import always_fails, slow_once, straggles, tries_begun


@fanfold.udf
def risen(x: int, by: int):
    return x + by


@pytest.fixture
def alone(on_cloud):
    """The cloud, whose shepherd hears of what happens."""
    on_cloud.tell_events()
    return on_cloud


def printed(capsys, run, *arguments):
    run(*arguments, as_json=True)
    return json.loads(capsys.readouterr().out)


def test_a_schedule_starts_jobs_with_the_code_and_the_inputs_that_it_was_made_with(alone, eventually, capsys):
    made = risen.schedule("0 6 * * 1-5", range(3), by=10, name="nightly", timezone="Europe/Berlin", tags={"a": "b"})
    assert fanfold.get_jobs() == [], "nothing runs before it is due"
    alone.fire("nightly")
    (job,) = eventually(made.jobs, within_s=60)
    eventually(lambda: statuses_of(job.id) == {"succeeded": 3}, within_s=60)
    assert job.results() == [10, 11, 12]
    assert job.header.tags == ("a=b", "schedule=nightly")
    assert "-scheduled-" in job.id
    kept = alone.client("scheduler").get_schedule(GroupName="fanfold-main-schedules", Name="nightly")
    assert kept["ScheduleExpression"] == "cron(0 6 ? * MON,TUE,WED,THU,FRI *)"
    assert kept["ScheduleExpressionTimezone"] == "Europe/Berlin"

    (listed,) = printed(capsys, command.list_schedules)
    told = {"schedule": "nightly", "udf": "risen", "cron": "0 6 * * 1-5", "timezone": "Europe/Berlin"}
    assert listed.items() >= {**told, "state": "on", "runs": 3}.items()
    assert printed(capsys, command.pause, "nightly") == {"schedule": "nightly", "state": "paused"}
    shown = printed(capsys, command.show, "nightly")
    assert (shown["state"], shown["jobs"]) == ("paused", [{"job": job.id, "status": "Completed"}])
    assert printed(capsys, command.resume, "nightly")["state"] == "on"
    assert not get_schedule("nightly").paused
    assert printed(capsys, command.remove, "nightly")["state"] == "removed"
    assert printed(capsys, command.list_schedules) == []
    with pytest.raises(fanfold.InputError, match="There is no schedule 'nightly'"):
        get_schedule("nightly")
    assert list(engine_for("aws").stores.objects.keys("schedules/")) == [], "nothing of it is left"
    assert alone.permissions()[1] == [], "nothing was refused"


@pytest.mark.long
def test_each_time_has_its_ramp_its_larger_machines_and_its_duplicates(alone, eventually, tmp_path):
    climbs = slow_once.schedule("@daily", range(9), folder=str(tmp_path), ramp=[1, 4], escalate="medium")
    hedges = straggles.schedule("@daily", range(6), folder=str(tmp_path), hedge=True)
    alone.fire("slow_once")
    alone.fire("straggles")
    (climbed,) = eventually(climbs.jobs, within_s=60)
    (hedged,) = eventually(hedges.jobs, within_s=60)
    eventually(lambda: statuses_of(climbed.id) == {"succeeded": 9}, within_s=90)
    state = state_of(climbed.id)
    assert climbed.header.stages == (1, 4)
    assert [stage.stop for stage in records(state.job_events(EventKind.STAGE), StageRecord)] == [9]
    assert [one.count for one in records(state.job_events(EventKind.LARGER), LargerRecord)] == [1]
    eventually(lambda: statuses_of(hedged.id) == {"succeeded": 6}, within_s=60)
    assert "3.1" in tries_begun(tmp_path)
    assert alone.permissions()[1] == [], "nothing was refused"


def test_a_time_whose_first_runs_fail_goes_no_further(alone, eventually):
    made = always_fails.schedule("@daily", range(9), ramp=[1, 4])
    alone.fire("always_fails")
    (job,) = eventually(made.jobs, within_s=60)
    eventually(lambda: state_of(job.id).stop_reason, within_s=60)
    assert state_of(job.id).stop_reason == "the ramp stopped after 1 of 9 runs: 1 of 1 runs failed"


def test_what_needs_no_input_is_scheduled_without(alone, eventually):
    @fanfold.udf
    def report():
        return "done"

    made = report.schedule("@yearly")
    kept = alone.client("scheduler").get_schedule(GroupName="fanfold-main-schedules", Name="report")
    assert kept["ScheduleExpression"] == "cron(0 0 1 1 ? *)"
    alone.fire("report")
    (job,) = eventually(made.jobs, within_s=60)
    eventually(lambda: statuses_of(job.id) == {"succeeded": 1}, within_s=60)
    with pytest.raises(fanfold.InputError, match="1 input does not fit"):
        risen.schedule("@daily", by=1)


def test_a_paused_schedule_starts_nothing_and_a_new_one_of_its_name_replaces_it(alone, eventually):
    made = risen.schedule("@daily", [1], by=1, name="daily")
    made.pause()
    alone.fire("daily")
    again = risen.schedule("@weekly", [5], by=2, name="daily", instance_type="small")
    alone.fire("daily")
    (job,) = eventually(again.jobs, within_s=60)
    eventually(lambda: statuses_of(job.id) == {"succeeded": 1}, within_s=60)
    assert job.results() == [7]
    assert get_schedule("daily").cron == "@weekly"


@pytest.mark.long
def test_a_time_that_is_told_twice_is_one_job_and_large_arguments_are_there(alone, eventually):
    made = risen.schedule("@daily", [1], by=1, name="twice", tags={})
    for _ in range(2):
        alone.fire("twice", "2026-11-29T06:00:00Z")
    (job,) = eventually(made.jobs, within_s=60)
    assert job.id.startswith("20261129-060000-scheduled-")
    eventually(lambda: statuses_of(job.id) == {"succeeded": 1}, within_s=60)

    @fanfold.udf
    def size(values):
        return len(values)

    large = size.schedule("@daily", [np.arange(100_000)], name="large")
    assert large.definition.blobs
    alone.fire("large")
    (job,) = eventually(large.jobs, within_s=60)
    eventually(lambda: statuses_of(job.id) == {"succeeded": 1}, within_s=60)
    assert job.results() == [100_000]
    assert len(made.jobs()) == 1


@pytest.mark.parametrize(
    ("cron", "options", "says"),
    [
        ("0 6 * *", {}, "is not a time of cron"),
        ("0 6 1 * 1", {}, "names days of the month and of the week"),
        ("0 25 * * *", {}, "is not a time of cron: '25'"),
        ("0 6 * * *", {"timezone": "Berlin"}, "'Berlin' is not a time zone"),
        ("0 6 * * *", {"name": "a b"}, "'a b' is not a schedule's name"),
        ("0 6 * * *", {"collect": True}, "takes no collect=: nobody waits for its jobs"),
        ("0 6 * * *", {"cache": True}, "takes no cache=: each of its jobs computes afresh"),
        ("0 6 * * *", {"budget_usd": -1}, "budget_usd=-1 is not a number at least 0"),
        ("0 6 * * *", {"tags": {"schedule": "x"}}, "The tag 'schedule' is what the jobs of a schedule are found by"),
        ("0 6 * * *", {"ramp": [5, 1]}, r"ramp=\[5, 1\] is not a ramp"),
        ("0 6 * * *", {"escalate": "huge"}, "escalate"),
        ("0 6 * * *", {"hedge": True}, "risen does not say that it may be"),
    ],
)
def test_what_cannot_be_scheduled_is_refused(on_cloud, cron, options, says):
    with pytest.raises(fanfold.InputError, match=says):
        risen.schedule(cron, range(3), by=1, **options)


def test_somebody_elses_schedule_is_not_replaced_and_no_other_is_read_to_tell(on_cloud, monkeypatch):
    monkeypatch.setenv("FANFOLD_OWNER", "grace")
    risen.schedule("@daily", [1], by=1)
    monkeypatch.setenv("FANFOLD_OWNER", "ada")
    monkeypatch.setattr(DeploymentSchedules, "all", lambda _: pytest.fail("all schedules were read"))
    with pytest.raises(fanfold.InputError, match="There is a schedule 'risen' already, of grace"):
        risen.schedule("@daily", [1], by=1)
    assert risen.schedule("@daily", [1], by=1, name="mine").name == "mine"


def test_what_a_schedule_would_outlive_is_refused_before_anything_is_kept(on_cloud):
    job = fanfold.submit(risen, [1], by=1, collect=False).wait(60)
    with pytest.raises(fanfold.InputError, match=f"The results of job {job.id} are kept for some weeks"):
        risen.schedule("@daily", job, by=1)
    with pytest.raises(fanfold.InputError, match="A schedule keeps no secret arguments"):
        opened.schedule("@daily", ["north"], key=SecretStr("s3cret"))
    assert list(engine_for("aws").stores.objects.keys("schedules/")) == []


@fanfold.udf
def opened(place: str, key: SecretStr):
    return f"{place} {len(key.get_secret_value())}"


@fanfold.udf
def named(path: str, by: int):
    return path.rpartition("/")[2] * by


def test_files_are_listed_anew_each_time(alone, eventually):
    s3, bucket = alone.client("s3"), engine_for("aws").stores.objects.bucket
    s3.put_object(Bucket=bucket, Key="data/tiles/a.tif", Body=b"")
    made = named.schedule("@daily", fanfold.files(f"s3://{bucket}/data/tiles/*.tif"), by=1, name="tiles")
    s3.delete_object(Bucket=bucket, Key="data/tiles/a.tif")
    for name in ("b", "\u00e9 c"):
        s3.put_object(Bucket=bucket, Key=f"data/tiles/{name}.tif", Body=b"")
    for _ in range(2):  # EventBridge may call twice for one time
        alone.fire("tiles", "2026-11-29T06:00:00Z")
    (job,) = eventually(made.jobs, within_s=60)
    eventually(lambda: statuses_of(job.id) == {"succeeded": 2}, within_s=60)
    assert job.results() == ["b.tif", "\u00e9 c.tif"]
    assert job.arg_df()["path"].tolist()[0] == f"s3://{bucket}/data/tiles/b.tif"
    for name in ("b", "\u00e9 c"):
        s3.delete_object(Bucket=bucket, Key=f"data/tiles/{name}.tif")
    alone.fire("tiles", "2026-11-30T06:00:00Z")
    empty, _ = eventually(lambda: len(jobs := made.jobs()) == 2 and jobs, within_s=60)
    assert (empty.status, len(empty)) == ("Completed", 0), "that there was nothing is seen"
    assert alone.permissions()[1] == [], "nothing was refused"


def test_files_that_say_nothing_of_a_run_s_arguments_are_not_listed_anew():
    """As where an annotation makes something else of the address."""
    two = ["s3://lake/a", "s3://lake/b"]
    assert listing_of("s3://lake/*", two, [f'{{"path":"{one}","n":1}}' for one in two]).after == ',"n":1}'
    with pytest.raises(fanfold.InputError, match="cannot be listed anew for each job"):
        listing_of("s3://lake/*", two, ['{"n":1}', '{"n":2}'])
    with pytest.raises(fanfold.InputError, match="cannot be listed anew for each job"):
        listing_of("s3://lake/*", two, ['{"path":"s3://lake/a"}', '{"path":"s3://lake/c"}'])


def test_on_this_machine_the_error_says_what_to_use_instead():
    with pytest.raises(fanfold.ConfigurationError, match=r"`0 6 \* \* \* fanfold submit FILE`"):
        risen.schedule("0 6 * * *", range(3), by=1, engine="local")
