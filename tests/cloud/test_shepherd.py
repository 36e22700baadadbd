"""A job needs nobody: its client is killed as soon as `submit(collect=False)` has returned, and the deployment goes on.

`test_faults.py` has each of its faults seen to by the shepherd alone as well (marked `long`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid

import pytest

import fanfold
from fanfold.core.models import EventKind, LargerRecord, RunStatus, StageRecord, records
from fanfold.engines.base import engine_for
from fanfold.stores.state import read_state
from tests.address import listening
from tests.cloud.cloud import TOPIC
from tests.cloud.deploy import ROOT
from tests.cloud.udfs import begun, tries_begun

#: A client that is gone the moment it has the job's id.
_SUBMITS_AND_DIES = """
import json, os, signal, sys
import fanfold
from tests.cloud import udfs
name, inputs, options = json.loads(sys.argv[1])
job = fanfold.submit(getattr(udfs, name), inputs, collect=False, **options)
print(job.id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def submit_and_die(name, inputs, **options):
    """The id of a job whose client was killed right after it had been submitted."""
    told = json.dumps([name, list(inputs), options])
    path = os.pathsep.join([str(ROOT / "client"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", _SUBMITS_AND_DIES, told],
        env={**os.environ, "PYTHONPATH": path},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == -9
    return done.stdout.strip()


def state_of(job_id):
    """How a job stands, by reading alone."""
    log = engine_for("aws").stores.log
    log.job_headers.forget(job_id)
    return read_state(log, log.get_job(job_id), consistent=True)


def statuses_of(job_id):
    return {status.value: count for status, count in state_of(job_id).counts().items() if count}


@pytest.fixture
def alone(on_cloud):
    """The cloud, whose shepherd hears of what happens."""
    on_cloud.tell_events()
    return on_cloud


@pytest.fixture
def address():
    """An address that may be told of a job's end."""
    with listening() as address:
        yield address


@pytest.fixture
def inbox(on_cloud):
    """The messages that have come to the deployment's SNS topic since."""
    sns, sqs = on_cloud.client("sns"), on_cloud.client("sqs")
    sns.create_topic(Name=TOPIC.rpartition(":")[2])
    queue = sqs.create_queue(QueueName=uuid.uuid4().hex)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    subscribed = sns.subscribe(TopicArn=TOPIC, Protocol="sqs", Endpoint=arn)["SubscriptionArn"]
    yield lambda: [json.loads(one["Body"]) for one in sqs.receive_message(QueueUrl=queue).get("Messages", ())]
    sns.unsubscribe(SubscriptionArn=subscribed)


def test_what_fails_after_its_client_is_gone_is_tried_again_and_its_end_is_told(alone, eventually, tmp_path, address):
    job_id = submit_and_die("fails_once", range(3), folder=str(tmp_path), notify=address.url)
    (told,) = eventually(lambda: address.heard, within_s=60)
    assert (told["job"], told["outcome"], told["counts"]) == (job_id, "done", {"succeeded": 3})
    assert told["cost_usd"] > 0
    assert statuses_of(job_id) == {"succeeded": 3}
    assert [state_of(job_id).attempt_of(index) for index in range(3)] == [1, 1, 1]
    assert fanfold.get_job(job_id).results() == [0, 1, 2]
    assert alone.permissions()[1] == [], "nothing was refused"


def test_a_ramp_goes_on_without_its_client_and_a_machine_takes_what_was_too_large(alone, eventually, address, tmp_path):
    job_id = submit_and_die(
        "slow_once", range(9), folder=str(tmp_path), ramp=[1, 4], escalate="medium", notify=address.url
    )
    (told,) = eventually(lambda: address.heard, within_s=90)
    assert (told["job"], told["counts"]) == (job_id, {"succeeded": 9})
    state = state_of(job_id)
    assert [stage.stop for stage in records(state.job_events(EventKind.STAGE), StageRecord)] == [9]
    (larger,) = records(state.job_events(EventKind.LARGER), LargerRecord)
    assert (larger.instance_type, larger.count, fanfold.get_job(larger.name).counts()) == (
        "medium",
        1,
        {"succeeded": 1},
    )
    assert fanfold.get_job(job_id).results() == [10 * x for x in range(9)]
    assert alone.permissions()[1] == [], "nothing was refused"


@pytest.mark.parametrize("where", [{}, {"instance_type": "small", "max_workers": 2}], ids=["functions", "machines"])
def test_a_slow_run_gets_its_duplicate_without_its_client(alone, eventually, tmp_path, where):
    job_id = submit_and_die("straggles", range(6), folder=str(tmp_path), hedge=True, **where)
    eventually(lambda: statuses_of(job_id) == {"succeeded": 6}, within_s=90)
    assert sorted(tries_begun(tmp_path)) == ["0.0", "1.0", "2.0", "3.0", "3.1", "4.0", "5.0"], "it alone, and once"
    assert fanfold.get_job(job_id).results() == [0, 1, 4, 9, 16, 25]
    assert alone.permissions()[1] == [], "nothing was refused"


def test_a_ramp_without_its_client_stops_where_runs_fail(alone, eventually):
    job_id = submit_and_die("always_fails", range(9), ramp=[1, 4])
    eventually(lambda: state_of(job_id).stop_reason, within_s=60)
    state = state_of(job_id)
    assert state.stop_reason == "the ramp stopped after 1 of 9 runs: 1 of 1 runs failed"
    assert statuses_of(job_id) == {"failed": 1, "cancelled": 8}


@pytest.mark.long
def test_a_topic_is_told_of_a_job_that_was_cancelled(alone, eventually, tmp_path, inbox):
    job_id = submit_and_die("held", range(2), folder=str(tmp_path), notify=TOPIC)
    eventually(lambda: len(begun(tmp_path)) == 2)
    fanfold.get_job(job_id).cancel()
    (message,) = eventually(inbox, within_s=60)
    assert message["Subject"] == f"Fanfold: held stopped ({job_id})"
    assert json.loads(message["Message"])["counts"] == {"cancelled": 2}
    assert alone.permissions()[1] == []
    assert ("ShepherdRole", "sns:Publish") in alone.permissions()[0]


@pytest.mark.long
def test_what_all_comes_from_the_cache_is_told_and_once(alone, eventually, address):
    fanfold.submit(squares, range(3))
    for told in (1, 2):
        job = fanfold.submit(squares, range(3), notify=address.url, collect=False).wait(timeout=60)
        eventually(lambda told=told: len(address.heard) == told, within_s=60)
    assert address.heard[-1]["job"] == job.id
    assert address.heard[-1]["counts"] == {"cached": 3}


@pytest.mark.long
def test_an_address_that_does_not_take_it_is_tried_again_and_costs_no_result(alone, eventually, address):
    address.answers = 503
    job = fanfold.submit(squares, [9], notify=address.url, collect=False)
    eventually(lambda: len(address.heard) >= 2, within_s=60)
    address.answers = 200
    assert job.results() == [81]


def test_a_topic_that_the_deployment_was_not_told_of_is_refused(on_cloud):
    other = TOPIC.replace(":jobs", ":others")
    with pytest.raises(fanfold.InputError, match=rf"{other} is not among .* It may write to {TOPIC}\."):
        fanfold.submit(squares, range(3), notify=other)


@pytest.mark.long
def test_an_execution_that_ends_early_is_followed_by_another(alone, eventually, tmp_path):
    job_id = submit_and_die("held", range(45), folder=str(tmp_path), max_workers=40)
    eventually(lambda: len(begun(tmp_path)) >= 2)
    states = alone.client("stepfunctions")
    machine = "arn:aws:states:us-east-1:123456789012:stateMachine:fanfold-main-distributed"
    (execution,) = states.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]
    states.stop_execution(executionArn=execution["executionArn"])
    (tmp_path / "go").touch()
    eventually(lambda: statuses_of(job_id) == {"succeeded": 45}, within_s=60)
    assert fanfold.get_job(job_id).verify()


@pytest.mark.long
def test_a_job_whose_first_runs_all_fail_the_same_way_is_stopped(alone, eventually):
    job_id = submit_and_die("always_fails", range(200), max_workers=2)
    eventually(lambda: state_of(job_id).stop_reason, within_s=60)
    eventually(lambda: statuses_of(job_id).get("cancelled", 0) > 100)


def test_it_is_woken_at_the_deadline_of_a_job_that_tells_nothing(alone, eventually, tmp_path):
    began = time.time()
    job_id = submit_and_die("held", range(2), folder=str(tmp_path))
    alarm = eventually(lambda: alone.alarms().get(job_id))
    assert began + 60 < alarm < time.time() + 600
    (tmp_path / "go").touch()
    eventually(lambda: state_of(job_id).done)


@pytest.mark.long
def test_it_may_do_all_that_it_does(alone, eventually, tmp_path):
    alone.enforce_permissions()
    alone.tell_events()
    job_id = submit_and_die("fails_once", range(2), folder=str(tmp_path), instance_type="small", max_retry=1)
    eventually(lambda: statuses_of(job_id) == {"succeeded": 2}, within_s=60)
    eventually(lambda: ("ShepherdRole", "scheduler:CreateSchedule") in alone.permissions()[0])
    asked, refused = alone.permissions()
    assert refused == []
    assert ("ShepherdRole", "lambda:InvokeFunction") in asked


def test_nobody_else_hears_of_runs_that_go_well(alone, eventually):
    job = fanfold.submit(squares, range(3), collect=False).wait(timeout=60)
    items = alone.client("dynamodb").scan(TableName=engine_for("aws").stores.table.name)["Items"]
    marked = [item["pk"]["S"] for item in items if "wakes" in item]
    assert RunStatus.SUCCEEDED in {job.state.status_of(0)}
    assert 1 <= len(marked) <= 3, "the job and its start"


@fanfold.udf
def squares(x: int):
    return x * x
