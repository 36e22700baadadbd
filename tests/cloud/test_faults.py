"""AWS on a bad day: every input is once in the result, the reason of what failed is told, and the job ends."""

from __future__ import annotations

import pytest

import fanfold

pytestmark = pytest.mark.usefixtures("on_cloud")


@fanfold.udf
def squared(x: int):
    return x * x


@fanfold.udf
def held(x: int, folder: str):
    """Goes on until it is let go; tells in the folder that it has begun."""
    import pathlib
    import time

    place = pathlib.Path(folder)
    (place / str(x)).touch()
    deadline = time.monotonic() + 60
    while not (place / "go").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return x


def begun(folder):
    return [path for path in folder.iterdir() if path.name != "go"]


def finished(job, expected):
    job.wait(timeout=60)
    assert job.results() == expected
    assert job.verify()


def test_throttled_calls_are_made_again(on_cloud):
    on_cloud.scale_waits(0.5)  # they are what a throttled run lives by: the work's time is not scaled either
    on_cloud.limit_concurrency(3)
    finished(fanfold.submit(squared, range(200), collect=False), [x * x for x in range(200)])


def test_a_throttle_that_outlasts_every_wait_costs_no_try(on_cloud):
    on_cloud.scale_waits(0.02)  # with waits so much shorter than AWS's, some starts are refused to the end
    on_cloud.limit_concurrency(3)
    job = fanfold.submit(squared, range(200), collect=False, max_retry=0)
    finished(job, [x * x for x in range(200)])


def test_a_run_called_directly_waits_for_a_throttle_to_end(on_cloud, eventually):
    on_cloud.limit_concurrency(0)
    job = fanfold.submit(squared, [4], collect=False)
    assert job.status in ("Queued", "Running")
    on_cloud.limit_concurrency(None)
    finished(job, [16])


def test_runs_of_an_environment_that_crashed_are_run_again(on_cloud, eventually, tmp_path):
    job = fanfold.submit(held, range(8), folder=str(tmp_path), collect=False)
    eventually(lambda: len(begun(tmp_path)) >= 2)
    assert on_cloud.crash_environments() >= 2
    (tmp_path / "go").touch()
    finished(job, list(range(8)))


def test_runs_of_an_environment_that_was_killed_are_out_of_memory_alone(on_cloud, eventually, tmp_path):
    job = fanfold.submit(held, range(8), folder=str(tmp_path), collect=False)
    eventually(lambda: len(begun(tmp_path)) >= 2)
    killed = on_cloud.kill_environments()
    (tmp_path / "go").touch()
    job.wait(timeout=60)
    assert job.counts() == {"out_of_memory": killed, "succeeded": 8 - killed}
    assert "signal: killed" in str(next(iter(job.errors().values())))


def test_runs_of_an_aborted_execution_are_run_again(on_cloud, eventually, tmp_path, monkeypatch):
    monkeypatch.setattr("fanfold.engines.aws.executions._LOOK_S", 0.2)
    job = fanfold.submit(held, range(60), folder=str(tmp_path), max_workers=40, collect=False)
    eventually(lambda: len(begun(tmp_path)) >= 2)
    states = on_cloud.client("stepfunctions")
    machine = "arn:aws:states:us-east-1:123456789012:stateMachine:fanfold-main-wide"
    (execution,) = states.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]
    states.stop_execution(executionArn=execution["executionArn"])
    (tmp_path / "go").touch()
    finished(job, list(range(60)))


def test_a_throttled_table_loses_nothing(on_cloud):
    on_cloud.refuse("throttled table", times=15, every=3)
    finished(fanfold.submit(squared, range(60), collect=False), [x * x for x in range(60)])


def test_a_bucket_that_fails_now_and_then_loses_nothing(on_cloud):
    @fanfold.udf
    def doubled(text: str):
        return text * 2

    texts = [letter * 20_000 for letter in "abcdef"]
    on_cloud.refuse("failing bucket", times=12, every=2)
    finished(fanfold.submit(doubled, texts, collect=False), [text * 2 for text in texts])


def test_an_execution_that_runs_twice_counts_once(on_cloud, eventually):
    before = on_cloud.ended().get("EXPRESS SUCCEEDED", 0)
    on_cloud.deliver_twice(2)
    job = fanfold.submit(squared, range(80), collect=False)
    finished(job, [x * x for x in range(80)])
    eventually(lambda: on_cloud.ended()["EXPRESS SUCCEEDED"] == before + 4)
    assert fanfold.get_job(job.id).counts() == {"succeeded": 80}


@pytest.mark.parametrize("strike", ["lose_machines", "interrupt_machines"])
def test_what_a_machine_held_that_goes_away_is_run_by_another(on_cloud, eventually, tmp_path, strike):
    job = fanfold.submit(held, range(6), folder=str(tmp_path), instance_type="small", max_workers=2, collect=False)
    eventually(lambda: len(begun(tmp_path)) >= 2)
    assert getattr(on_cloud, strike)() == 2
    (tmp_path / "go").touch()
    finished(job, list(range(6)))


def test_a_job_whose_machines_aws_does_not_have_says_so_in_every_process(on_cloud, eventually):
    reason = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested"
    on_cloud.limit_machines(0, reason)
    job = fanfold.submit(squared, range(2), instance_type="small", collect=False)
    waits = eventually(lambda: job.summary().waits_for, within_s=60)
    eventually(lambda: job.summary().waits_for == f"AWS has no c5.large free now: {reason}", within_s=60)
    assert waits != "waiting for a free worker"
    assert reason in fanfold.get_job(job.id).summary().waits_for
    on_cloud.limit_machines(None)
    finished(job, [0, 1])


def test_machines_that_someone_terminates_are_started_again(on_cloud, eventually, tmp_path):
    job = fanfold.submit(held, range(2), folder=str(tmp_path), instance_type="small", collect=False)
    eventually(lambda: begun(tmp_path))
    batch = on_cloud.client("batch")
    by_name = [{"name": "JOB_NAME", "values": [f"fanfold-{job.id}"]}]
    (machines,) = batch.list_jobs(jobQueue="fanfold-main-c5-large", filters=by_name)["jobSummaryList"]
    batch.terminate_job(jobId=machines["jobId"], reason="someone ended it by hand")
    (tmp_path / "go").touch()
    finished(job, [0, 1])
