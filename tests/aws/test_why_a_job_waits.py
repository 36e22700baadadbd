"""Why a job does not run yet: the service's own reason is written down, for everyone who looks at the job.

Batch and Lambda are answered in its place: moto has neither machines nor places that might be wanting.
"""

from __future__ import annotations

import io
import json
import threading
import time

import pytest

from fanfold.core.models import Event, EventKind, RunRef
from fanfold.engines.aws import queueing
from fanfold.engines.aws.dispatch import DIRECT
from fanfold.job.waiting import waiting_for
from fanfold.stores.state import read_state
from tests.aws.udfs import put_job

NO_CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested"
QUOTA = "CLIENT_ERROR - You have requested more vCPU capacity than your current vCPU limit of 5 allows"


def double(n: int):
    return 2 * n


class Batch:
    """What Batch says of the one job in its queue, and of that job's children; and how often it was asked."""

    def __init__(self) -> None:
        self.job = {"status": "RUNNABLE"}
        self.child: dict[str, str] | None = None
        self.environment = {"status": "VALID"}
        self.refuses = False
        self.asked: list[str] = []

    def list_jobs(self, params, **_):
        asked = json.loads(params["body"])
        self.asked.append("children" if "arrayJobId" in asked else "job")
        if self.refuses:
            return _Answer(403), {"Error": {"Code": "AccessDeniedException", "Message": "no"}}
        told = self.child if "arrayJobId" in asked else self.job
        summary = {"jobId": "1", "jobName": "fanfold", "createdAt": time.time() * 1000}
        return _Answer(200), {"jobSummaryList": [] if told is None else [{**summary, **told}]}

    def describe_job_queues(self, **_):
        return _Answer(200), {"jobQueues": [{"computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "it"}]}]}

    def describe_compute_environments(self, **_):
        return _Answer(200), {"computeEnvironments": [self.environment]}


class Throttled:
    """A function that has no place for a run until it is told to have."""

    def __init__(self) -> None:
        self.free = threading.Event()

    def invoke(self, **_):
        if not self.free.is_set():
            return _Answer(429), {"Error": {"Code": "TooManyRequestsException", "Message": "Rate Exceeded."}}
        return _Answer(200), {"StatusCode": 200, "Payload": io.BytesIO(b"null")}


class _Answer:
    def __init__(self, status_code: int) -> None:
        self.status_code, self.headers = status_code, {}


@pytest.fixture
def batch(account):
    """Answers for Batch while a test lasts."""
    answers = Batch()
    hooks = {
        "ListJobs": answers.list_jobs,
        "DescribeJobQueues": answers.describe_job_queues,
        "DescribeComputeEnvironments": answers.describe_compute_environments,
    }
    events = account.client("batch").meta.events
    for operation, answer in hooks.items():
        events.register(f"before-call.batch.{operation}", answer)
    yield answers
    for operation, answer in hooks.items():
        events.unregister(f"before-call.batch.{operation}", answer)


@pytest.fixture
def waits(engine, batch, monkeypatch):
    """What a job that has just been given to machines waits for, in words, when somebody looks."""
    monkeypatch.setattr(queueing, "_ASK_S", 0.0)
    header = put_job(engine.stores, double, [1, 2], instance_type_name="small")
    engine.start(header, [RunRef(0), RunRef(1)])

    def look():
        engine.looked_at.clear()
        engine.reconcile(header, read_state(engine.stores.log, header))
        return waiting_for(read_state(engine.stores.log, header))

    look.header = header
    return look


def test_a_machine_that_is_on_its_way_is_waited_for(waits):
    assert waits() == "waiting for a c5.large to start"


def test_want_of_capacity_is_told_in_words_and_in_batch_s_own(waits, batch):
    batch.job["statusReason"] = NO_CAPACITY
    assert waits() == f"AWS has no c5.large free now: {NO_CAPACITY}"


def test_a_reason_that_is_not_known_here_is_told_as_it_is(waits, batch):
    batch.job["statusReason"] = "SOMETHING:NEW - who knows"
    assert waits() == "Batch keeps it waiting: SOMETHING:NEW - who knows"


def test_a_queue_whose_machines_are_out_of_order_says_why(waits, batch):
    batch.environment = {"status": "INVALID", "statusReason": QUOTA}
    assert waits() == f"Batch keeps it waiting: {QUOTA}"


def test_several_machines_wait_for_what_one_of_them_waits_for(waits, batch):
    batch.job = {"status": "PENDING", "arrayProperties": {"size": 3}}
    batch.child = {"status": "RUNNABLE", "statusReason": NO_CAPACITY}
    assert waits().startswith("AWS has no c5.large free now")


def test_long_without_a_reason_is_told_with_what_it_most_likely_is(waits, batch):
    batch.job["createdAt"] = (time.time() - 700) * 1000
    told = waits()
    assert "no c5.large has come for more than 10 minutes" in told
    assert "quota" in told


def test_a_machine_that_has_come_up_gets_ready(waits, batch):
    batch.job["status"] = "STARTING"
    assert waits() == "a c5.large is up and gets ready"


def test_the_same_reason_is_written_down_once(waits, batch, engine):
    batch.job["statusReason"] = NO_CAPACITY
    waits()
    [before] = read_state(engine.stores.log, waits.header).job_events(EventKind.QUEUE)
    waits()
    assert read_state(engine.stores.log, waits.header).job_events(EventKind.QUEUE) == [before]
    del batch.job["statusReason"]
    assert waits() == "waiting for a c5.large to start"


def test_batch_is_not_asked_more_often_than_it_has_news(waits, batch, monkeypatch):
    monkeypatch.setattr(queueing, "_ASK_S", 3600.0)
    waits()
    waits()
    assert batch.asked == ["job"]


def test_a_job_that_batch_has_not_got_yet_is_asked_for_again_soon(waits, batch, monkeypatch):
    monkeypatch.setattr(queueing, "_ASK_S", 3600.0)
    monkeypatch.setattr(queueing, "_SOON_S", 0.0)
    batch.job["status"] = "SUBMITTED"
    assert waits() == "waiting for a small to start"
    batch.job["status"] = "RUNNABLE"
    assert waits() == "waiting for a c5.large to start"


def test_batch_is_not_asked_while_runs_run(waits, batch, engine):
    engine.stores.log.append([Event.new(waits.header.id, 0, 0, EventKind.STARTED)])
    waits()
    assert batch.asked == []


def test_a_client_that_may_not_ask_batch_waits_without_a_reason(waits, batch):
    batch.refuses = True
    assert waits() == "waiting for a small to start"
    assert batch.asked


def test_a_call_that_lambda_throttles_is_told_while_it_goes_on_trying(engine, account, eventually):
    function, events = Throttled(), account.client("lambda").meta.events
    events.register("before-call.lambda.Invoke", function.invoke)
    try:
        header = put_job(engine.stores, double, [1])
        engine.start(header, [RunRef(0)])
        told = eventually(lambda: read_state(engine.stores.log, header).job_events(EventKind.THROTTLE))
        reason = told[0].data["reason"]
        assert "AWS Lambda throttles: as many runs run as the account allows" in reason
        assert waiting_for(read_state(engine.stores.log, header)) == reason
        function.free.set()
        eventually(lambda: not engine.paths[DIRECT].waits_for(header.id, 0, 0))
    finally:
        function.free.set()
        events.unregister("before-call.lambda.Invoke", function.invoke)
