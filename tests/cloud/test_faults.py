"""AWS on a bad day: every input is once in the result, the job ends, and its user can see what happened.

Each test asserts that the fault was met: one that no request ever met proves nothing.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from itertools import repeat

import pytest

import fanfold
from fanfold.engines.aws import AwsEngine
from fanfold.engines.aws import engine as aws_engine
from fanfold.errors import StoreUnavailable, WaitTimeout
from tests.cloud.aws_errors import SUBMIT_THROTTLES
from tests.cloud.faults import KINDS
from tests.cloud.udfs import begun, held, squared

pytestmark = pytest.mark.usefixtures("on_cloud", "looked_after")


@pytest.fixture(params=["client", pytest.param("shepherd", marks=pytest.mark.long)])
def looked_after(request, monkeypatch):
    """By the client that waits, as usual; or by the deployment's shepherd, as if the client were somebody else's.

    Somebody who looks at another's job writes down why it waits and why machines went away, and starts nothing.
    """
    if request.param == "shepherd":
        request.getfixturevalue("on_cloud").tell_events()
        settings = aws_engine.current
        monkeypatch.setattr(aws_engine, "current", lambda: settings()._replace(owner="somebody else"))


@pytest.fixture
def short_pauses(monkeypatch):
    """The client that calls a function directly calls again soon: on AWS its pauses grow to 8 s."""
    monkeypatch.setattr("fanfold.engines.aws.paths.direct._pauses", lambda: repeat(0.1))


@pytest.fixture
def unslowed(cloud_account, monkeypatch):
    """botocore calls as often as before after a throttle; it would be slower for the rest of the session."""
    monkeypatch.setattr("botocore.retries.adaptive.ClientRateLimiter.on_sending_request", lambda *_, **__: None)
    cloud_account.clients.clear()
    yield
    cloud_account.clients.clear()


@pytest.fixture
def looks_often(monkeypatch):
    """The client sees the end of an execution soon: on AWS it looks every 15 s."""
    monkeypatch.setattr("fanfold.engines.aws.paths.executions._LOOK_S", 0.2)


def finished(job, expected):
    job.wait(timeout=60)
    assert job.results() == expected
    assert job.verify()


@pytest.mark.long
def test_throttled_calls_are_made_again(on_cloud):
    on_cloud.scale_waits(0.5)  # they are what a throttled run lives by: the work's time is not scaled either
    on_cloud.limit_concurrency(3)
    before = on_cloud.throttled()
    finished(fanfold.submit(squared, range(200), collect=False), [x * x for x in range(200)])
    assert on_cloud.throttled() > before


def test_a_throttle_that_outlasts_every_wait_costs_no_try(on_cloud):
    on_cloud.scale_waits(0.02)  # with waits so much shorter than AWS's, some starts are refused to the end
    on_cloud.limit_concurrency(2)
    before = on_cloud.throttled()
    job = fanfold.submit(squared, range(30), collect=False, max_retry=0)
    finished(job, [x * x for x in range(30)])
    assert on_cloud.throttled() > before


@pytest.mark.usefixtures("short_pauses", "unslowed")
def test_a_run_called_directly_waits_for_a_throttle_to_end(on_cloud, eventually):
    on_cloud.limit_concurrency(0)
    job = fanfold.submit(squared, [4], collect=False)
    eventually(lambda: "AWS Lambda throttles" in job.summary().waits_for)
    on_cloud.limit_concurrency(None)
    finished(job, [16])


@pytest.mark.parametrize(("count", "more"), [(8, {}), pytest.param(60, {"max_workers": 40}, marks=pytest.mark.long)])
def test_a_function_that_sleeps_is_waited_for(on_cloud, count, more):
    on_cloud.put_functions_to_sleep(1.0)
    finished(fanfold.submit(squared, range(count), collect=False, max_retry=0, **more), [x * x for x in range(count)])
    assert on_cloud.refused_asleep() > 0


@pytest.mark.usefixtures("short_pauses")
def test_a_single_run_says_that_it_waits_for_the_function_to_become_active(on_cloud, eventually):
    on_cloud.put_functions_to_sleep(60.0)
    job = fanfold.submit(squared, [4], collect=False, max_retry=0)
    eventually(lambda: "waiting for the function to become active" in job.summary().waits_for)
    assert on_cloud.refused_asleep() > 0
    on_cloud.put_functions_to_sleep(0)
    finished(job, [16])


@pytest.mark.parametrize(
    "names", [SUBMIT_THROTTLES, *(pytest.param([name] * 2, marks=pytest.mark.long) for name in SUBMIT_THROTTLES)]
)
def test_a_throttled_submit_job_costs_no_try_under_whatever_name(on_cloud, names):
    on_cloud.refuse_submits(*names)
    finished(fanfold.submit(squared, range(2), instance_type="small", max_retry=0, collect=False), [0, 1])
    assert on_cloud.submits_to_refuse() == 0


@pytest.mark.usefixtures("looks_often")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Batch.RequestLimitExceeded", "Request limit exceeded."),
        *(
            pytest.param(*more, marks=pytest.mark.long)
            for more in (
                ("Batch.ThrottledException", ""),
                ("Batch.InternalServerException", "These errors are usually caused by a server issue."),
                ("Batch.ServiceUnavailable", "The service is unavailable (Status Code: 503)"),
            )
        ),
    ],
)
def test_a_submit_job_that_is_refused_for_now_under_a_name_never_seen_is_made_again_at_no_cost(on_cloud, name, message):
    on_cloud.refuse_submits(name, message=message)
    finished(fanfold.submit(squared, range(2), instance_type="small", max_retry=0, collect=False), [0, 1])
    assert on_cloud.submits_to_refuse() == 0


@pytest.mark.long
def test_a_submit_job_that_is_throttled_through_all_retries_is_made_again_at_no_cost(on_cloud):
    on_cloud.scale_waits(0.001)
    on_cloud.refuse_submits(*["Batch.AWSBatchException"] * 12)
    finished(fanfold.submit(squared, range(2), instance_type="small", max_retry=0, collect=False), [0, 1])
    assert on_cloud.submits_to_refuse() == 0


@fanfold.udf
def kills_its_machine(x: int):
    import os
    import signal

    import psutil

    os.kill(psutil.Process().parents()[1].pid, signal.SIGKILL)  # its parent is the fork server of the machine


@pytest.mark.usefixtures("looks_often")
@pytest.mark.parametrize("machines", [1, pytest.param(2, marks=pytest.mark.long)])
def test_why_a_machine_died_is_in_the_error_of_its_run(machines):
    job = fanfold.submit(
        kills_its_machine, range(machines), instance_type="small", max_workers=machines, max_retry=0, collect=False
    )
    job.wait(timeout=90)
    said = str(job.errors()[0])
    assert "its machines ended: its container was killed" in said or "used up its memory" in said
    assert "exit code 137" in said


@fanfold.udf
def kills_its_machine_once(x: int, folder: str):
    import os
    import signal
    import time
    from pathlib import Path

    import psutil

    if x == 0 and not (Path(folder) / "died").exists():
        (Path(folder) / "died").touch()
        os.kill(psutil.Process().parents()[1].pid, signal.SIGKILL)
    while not (Path(folder) / "go").exists():
        time.sleep(0.05)
    return x * x


def test_why_one_of_several_machines_died_is_told_while_the_others_go_on(on_cloud, eventually, tmp_path, monkeypatch):
    monkeypatch.setattr("fanfold.engines.aws.lost_machines._ASK_S", 0.5)
    job = fanfold.submit(
        kills_its_machine_once, range(2), folder=str(tmp_path), instance_type="small", max_workers=2, collect=False
    )

    def told():
        with suppress(WaitTimeout):
            job.wait(timeout=0.5)
        return "exit code 137" in " ".join(str(job.summary()).split())

    eventually(told, within_s=60.0)
    (tmp_path / "go").touch()
    finished(job, [0, 1])
    assert "its container" in str(job.summary())


@pytest.mark.long
@pytest.mark.usefixtures("looks_often")
def test_why_a_machine_died_in_a_job_s_last_seconds_is_told_when_it_has_ended(tmp_path, monkeypatch):
    monkeypatch.setattr("fanfold.engines.aws.lost_machines._ASK_S", 3600.0)  # the job is over before it would ask
    (tmp_path / "go").touch()
    job = fanfold.submit(
        kills_its_machine_once, range(2), folder=str(tmp_path), instance_type="small", max_workers=2, collect=False
    )
    finished(job, [0, 1])
    for one in (job, fanfold.get_job(job.id)):
        assert "exit code 137" in " ".join(str(one.summary()).split())


def test_runs_of_an_environment_that_crashed_are_run_again(on_cloud, eventually, tmp_path):
    job = fanfold.submit(held, range(6), folder=str(tmp_path), collect=False)
    eventually(lambda: len(begun(tmp_path)) >= 2)
    crashed = on_cloud.crash_environments()
    assert crashed >= 2
    (tmp_path / "go").touch()
    finished(job, list(range(6)))
    assert f"{crashed} runs were tried again" in str(job.summary())


def test_runs_of_an_environment_that_was_killed_are_out_of_memory_alone(on_cloud, eventually, tmp_path):
    job = fanfold.submit(held, range(8), folder=str(tmp_path), collect=False)
    eventually(lambda: len(begun(tmp_path)) >= 2)
    killed = on_cloud.kill_environments()
    (tmp_path / "go").touch()
    job.wait(timeout=60)
    assert job.counts() == {"out_of_memory": killed, "succeeded": 8 - killed}
    assert "signal: killed" in str(next(iter(job.errors().values())))


@pytest.mark.usefixtures("looks_often")
def test_runs_of_an_aborted_execution_are_run_again(on_cloud, eventually, tmp_path):
    before = on_cloud.ended().get("STANDARD ABORTED", 0)
    job = fanfold.submit(held, range(6), folder=str(tmp_path), max_workers=2, collect=False)
    eventually(lambda: len(begun(tmp_path)) >= 2)
    states = on_cloud.client("stepfunctions")
    machine = "arn:aws:states:us-east-1:123456789012:stateMachine:fanfold-main-distributed"
    (execution,) = states.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]
    states.stop_execution(executionArn=execution["executionArn"])
    (tmp_path / "go").touch()
    finished(job, list(range(6)))
    assert on_cloud.ended()["STANDARD ABORTED"] > before
    assert "were tried again" in str(job.summary())


@pytest.mark.long
def test_a_throttled_table_loses_nothing(on_cloud):
    on_cloud.refuse("throttle", "dynamodb", times=15, every=3)
    finished(fanfold.submit(squared, range(60), collect=False), [x * x for x in range(60)])
    assert on_cloud.end_faults() == 0


@fanfold.udf
def doubled(text: str):
    return text * 2


PASSING = [kind for kind in KINDS if kind not in ("denied", "clock", "expired")]


PATHS = {"express": {}, "distributed": {"max_workers": 6}, "dedicated": {"instance_type": "small", "max_workers": 2}}


@pytest.mark.usefixtures("unslowed", "looks_often")
@pytest.mark.parametrize("path", PATHS)
def test_stores_that_fail_now_and_then_in_every_way_lose_nothing(on_cloud, path):
    texts = [letter * 20_000 for letter in "abcdef"]
    on_cloud.refuse("answer lost", "states", "StartExecution", times=1)
    if path == "distributed":
        on_cloud.refuse("denied", "s3", "GET", times=1)  # it is Step Functions that reads an object first
    for place, kind in enumerate(PASSING):
        for service in ("s3", "dynamodb"):
            on_cloud.refuse(kind, service, times=1, every=2 * place + 2)  # one after another, with good ones between
    job = fanfold.submit(doubled, texts, collect=False, max_retry=0, **PATHS[path])
    finished(job, [text * 2 for text in texts])
    assert on_cloud.end_faults() == 0


@pytest.mark.long
@pytest.mark.usefixtures("unslowed", "looks_often")
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("service", ["s3", "dynamodb", "states", "batch"])
@pytest.mark.parametrize("kind", PASSING)
def test_a_service_that_fails_now_and_then_loses_nothing(on_cloud, kind, service, path):
    texts = [letter * 20_000 for letter in "abcdef"]
    is_store = service in ("s3", "dynamodb")
    on_cloud.refuse(kind, service, times=4 if is_store else 1, every=3 if is_store else 1)
    finished(fanfold.submit(doubled, texts, collect=False, **PATHS[path]), [text * 2 for text in texts])
    assert on_cloud.end_faults() == 0 or (service, path) == ("batch", "express") or kind == "page"


@pytest.mark.parametrize(
    "kind", ["page", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("server error", "closed", "throttle"))]
)
def test_a_data_role_that_cannot_be_assumed_for_a_moment_costs_no_try(on_cloud, monkeypatch, kind):
    monkeypatch.setenv("FANFOLD_OWNER", f"ada-{kind}")  # whose session there is none of yet
    on_cloud.refuse(kind, "sts", times=2)
    finished(fanfold.submit(squared, [3], collect=False, max_retry=0), [9])
    assert on_cloud.end_faults() == 0


def test_a_data_role_that_may_not_be_assumed_is_what_the_error_names(on_cloud, monkeypatch):
    monkeypatch.setenv("FANFOLD_OWNER", "ada-denied")
    on_cloud.refuse("denied", "sts", times=100)
    job = fanfold.submit(squared, [3], collect=False, max_retry=0).wait(timeout=60)
    assert on_cloud.end_faults() < 100
    said = str(job.errors()[0])
    assert "sts:AssumeRole on role" in said
    assert "service control policy" in said


@pytest.mark.parametrize("ahead_s", [-400, pytest.param(400, marks=pytest.mark.long)])
def test_a_clock_that_aws_does_not_accept_is_what_the_error_names(on_cloud, monkeypatch, ahead_s):
    from botocore import auth

    right = auth.get_current_datetime
    monkeypatch.setattr(auth, "get_current_datetime", lambda: right() + timedelta(seconds=ahead_s))
    with pytest.raises(fanfold.ConfigurationError, match="The clock of this machine is wrong") as refused:
        fanfold.get_jobs(limit=1)
    assert "AWS's clock says" in str(refused.value)
    monkeypatch.setattr(auth, "get_current_datetime", lambda: right() + timedelta(seconds=ahead_s * 0.7))
    assert fanfold.get_jobs(limit=1) == []


# The shepherd starts nothing that a client has not come to start: it may be looking into the cache still.
@pytest.mark.parametrize("looked_after", ["client"], indirect=True)
def test_a_job_of_an_executor_that_could_not_be_started_is_started_by_the_one_that_waits(on_cloud, monkeypatch):
    monkeypatch.setattr("fanfold.engines.aws.reconcile.STARTING_S", 0.5)
    started, starts = AwsEngine.start, []

    def start(engine, header, runs):
        starts.append(header.id)
        if len(starts) == 1:
            raise StoreUnavailable("AWS did not answer.", next_step="check the network.")
        started(engine, header, runs)

    monkeypatch.setattr(AwsEngine, "start", start)
    with fanfold.Executor(cache=True) as executor:
        assert executor.submit(abs, -1).result() == 1
    [job] = fanfold.get_jobs()  # to submit the call again would have made another
    assert set(starts) == {job.id}


def test_a_call_whose_answer_is_lost_performs_its_run_once(on_cloud, tmp_path):
    @fanfold.udf
    def mark(folder: str):
        import uuid
        from pathlib import Path

        (Path(folder) / uuid.uuid4().hex).touch()

    on_cloud.refuse("answer lost", "lambda", "Invoke", times=1)
    fanfold.submit(mark, [str(tmp_path)], collect=False).wait(timeout=60)
    assert on_cloud.end_faults() == 0
    assert len(list(tmp_path.iterdir())) == 1


def test_an_execution_that_runs_twice_counts_once(on_cloud, eventually):
    before = on_cloud.ended().get("EXPRESS SUCCEEDED", 0)
    on_cloud.deliver_twice(1)
    job = fanfold.submit(squared, range(12), collect=False)
    finished(job, [x * x for x in range(12)])
    eventually(lambda: on_cloud.ended().get("EXPRESS SUCCEEDED", 0) >= before + 2)
    assert fanfold.get_job(job.id).counts() == {"succeeded": 12}


@pytest.mark.parametrize("strike", ["lose_machines", pytest.param("interrupt_machines", marks=pytest.mark.long)])
def test_what_a_machine_held_that_goes_away_is_run_by_another(on_cloud, eventually, tmp_path, strike):
    job = fanfold.submit(held, range(6), folder=str(tmp_path), instance_type="small", max_workers=2, collect=False)
    eventually(lambda: len(begun(tmp_path)) >= 2)
    assert getattr(on_cloud, strike)() == 2
    (tmp_path / "go").touch()
    finished(job, list(range(6)))
    assert "2 went away and were replaced" in str(job.summary())


def test_a_run_that_takes_more_memory_than_it_may_fails_alone_on_a_machine(tmp_path):
    @fanfold.udf(memory_mib=300)
    def hungry(x: int):
        import time

        held = bytearray((900 if x == 1 else 1) << 20)
        time.sleep(60 if x == 1 else 0)
        return len(held)

    job = fanfold.submit(hungry, range(4), instance_type="small", collect=False).wait(timeout=60)
    assert job.counts() == {"succeeded": 3, "out_of_memory": 1}
    assert "the limit is 300 MiB" in str(job.errors()[1])


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


@pytest.mark.long
@pytest.mark.usefixtures("looks_often")
def test_machines_that_someone_terminates_are_started_again(on_cloud, eventually, tmp_path):
    job = fanfold.submit(held, range(2), folder=str(tmp_path), instance_type="small", max_workers=2, collect=False)
    eventually(lambda: begun(tmp_path))
    (machines,) = on_cloud.machines_of(job.id)
    on_cloud.client("batch").terminate_job(jobId=machines["jobId"], reason="someone ended it by hand")
    eventually(lambda: "FAILED" in [one["status"] for one in on_cloud.machines_of(job.id)])
    (tmp_path / "go").touch()
    finished(job, [0, 1])
