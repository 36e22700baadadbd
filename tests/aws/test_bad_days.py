"""Throttles, answers that are lost and duplicates: every input still has exactly one winning result."""

from __future__ import annotations

import time

import pytest

from fanfold.core.fold import fold
from fanfold.core.models import RunRef, RunStatus
from fanfold.engines.aws import AwsEngine
from fanfold.engines.aws.discovery import discover
from fanfold.engines.aws.work import Work
from fanfold.stores.aws.account import Account
from fanfold.stores.state import read_state
from fanfold_runtime.credentials import DataRole
from tests.aws.cloud import open_stores
from tests.aws.emulated import Emulated, make_state_machines
from tests.aws.faults import answer_lost, bad_day, first_tries, for_a_while, sometimes
from tests.aws.udfs import put_job
from tests.stores.event_log_contract import read_all
from tests.stores.samples import a_job, an_entry, finished, printed


@pytest.fixture
def own_account(aws):
    """Clients of this test's own: what they learn of throttles must not slow others down."""
    account = Account()
    for service in ("dynamodb", "s3", "ssm", "stepfunctions"):
        account.client(service)
    return account


@pytest.fixture
def stores(own_account, deployment, tmp_path):
    return open_stores(own_account, deployment, tmp_path / "scratch")


def use_everything(stores, account, tmp_path):
    """Every operation that a client or a worker uses of DynamoDB and S3, and what must come of it."""
    job = a_job(count=300)
    stores.log.put_job(job)
    stores.log.append([finished(job.id, index) for index in range(300)])
    stores.log.append([printed(job.id, 1, "hello")])
    assert read_state(stores.log, job).done
    assert len(read_all(stores.log, job.id, "telemetry")) == 1
    assert [header.id for header in stores.log.list_jobs()] == [job.id]
    stores.log.request_cancel(job.id, 5.0)
    assert stores.log.get_job(job.id).cancelled_at == 5.0
    entries = [an_entry(str(n)) for n in range(30)]
    stores.cache.record(entries)
    assert len(stores.cache.lookup([entry.key for entry in entries], max_age_s=3600)) == 30
    stores.objects.put("results/a", b"a")
    stores.objects.put_if_absent("udf/b", b"b")
    assert stores.objects.get("results/a") == b"a"
    assert stores.objects.get_range("udf/b", 0, 1) == b"b"
    assert stores.objects.exists("udf/b")
    large = tmp_path / "large"
    large.write_bytes(b"x" * (17 << 20))
    stores.objects.put_file("results/large", large)
    assert len(stores.objects.get("results/large")) == 17 << 20
    work = Work(stores, job.id)
    work.put("d", [RunRef(index) for index in range(10)])
    taken = work.take(4)
    work.hold("m", taken)
    work.give_back("m", taken)
    assert [work.take_over(held) for held in work.abandoned()] == [taken]


@pytest.mark.long  # botocore's own pace after a throttle is most of it
def test_a_fifth_of_all_calls_throttled_is_only_slower(stores, own_account, tmp_path):
    with bad_day(own_account, sometimes(0.2)) as wrong:
        use_everything(stores, own_account, tmp_path)
    assert sum(wrong.values()) > 5


@pytest.mark.long
def test_everything_throttled_for_a_second_is_only_slower(stores, own_account, tmp_path):
    with bad_day(own_account, for_a_while(1.0)) as wrong:
        use_everything(stores, own_account, tmp_path)
    assert wrong


WRITES = [
    "PutItem",
    "BatchWriteItem",
    "UpdateItem",
    "PutObject",
    "CreateMultipartUpload",
    "UploadPart",
    "CompleteMultipartUpload",
]


def test_a_write_whose_answer_is_lost_is_written_once(stores, own_account, tmp_path):
    job, other = a_job(), a_job()
    stores.log.put_job(job)
    large = tmp_path / "large"
    large.write_bytes(b"y" * (17 << 20))
    with bad_day(own_account, answer_lost(*WRITES)) as wrong:
        stores.log.request_cancel(job.id, 7.0)
        assert stores.log.get_job(job.id).cancelled_at == 7.0
        stores.log.put_job(other)
        assert stores.log.get_job(other.id) == other
        stores.log.append([finished(job.id, index) for index in range(10)])
        assert read_state(stores.log, job).done
        stores.objects.put_if_absent("udf/x", b"x")
        assert stores.objects.get("udf/x") == b"x"
        stores.objects.put_file("results/y", large)
        assert stores.objects.get("results/y") == b"y" * (17 << 20)
    assert wrong == dict.fromkeys(WRITES, 1)


def test_a_claim_that_was_counted_twice_leaves_runs_for_the_last_machine(stores, own_account):
    job = a_job()
    stores.log.put_job(job)
    work = Work(stores, job.id)
    work.put("d", [RunRef(index) for index in range(10)])
    with bad_day(own_account, answer_lost("UpdateItem")):
        taken = work.take(3)
    assert [run.index for run in taken] == [3, 4, 5]
    assert not work.in_others_hands("me")
    assert [run.index for run in work.laid_out()] == list(range(10))


def test_discovery_and_starts_survive_throttles_and_lost_answers(own_account, deployment, tmp_path):
    make_state_machines(own_account, deployment)
    for mood in (sometimes(0.1, seed=2), answer_lost("StartExecution", "BatchWriteItem", "PutObject")):
        with bad_day(own_account, mood):
            engine = AwsEngine(own_account, discover(own_account, deployment.name), tmp_path / "scratch")
            header = put_job(engine.stores, double, list(range(50)), cache=False)
            with Emulated(own_account, lambda payload: None) as emulated:
                engine.start(header, [RunRef(index) for index in range(50)])
        assert sum(len(given["Items"]) for given in emulated.executions.values()) == 50


def double(n: int):
    return 2 * n


def test_runs_that_executed_twice_have_one_winner_for_all_who_look(stores):
    job = a_job(count=4)
    stores.log.put_job(job)
    stores.log.append([finished(job.id, index, attempt) for index in range(4) for attempt in (0, 1)])
    stores.log.append([finished(job.id, index) for index in range(4)])
    events = read_all(stores.log, job.id)
    one, other = fold(job, events), fold(job, reversed(events))
    assert one.counts()[RunStatus.SUCCEEDED] == 4
    assert [one.output(index) for index in range(4)] == [other.output(index) for index in range(4)]


def test_a_throttle_that_does_not_end_is_an_error_that_says_so(aws, deployment, tmp_path, monkeypatch):
    from fanfold.errors import StoreError

    monkeypatch.setattr("fanfold.stores.aws.account._ATTEMPTS", 2)
    account = Account()
    account.client("dynamodb")
    stores = open_stores(account, deployment, tmp_path / "scratch")
    began = time.monotonic()
    with bad_day(account, sometimes(1.0)), pytest.raises(StoreError, match="throttling dynamodb:PutItem"):
        stores.log.put_job(a_job())
    assert time.monotonic() - began < 60


#: moto's Batch would run the job in Docker, and moto knows of no limits of Lambda's.
NOT_IN_MOTO = {
    "ListJobs": {"jobSummaryList": [{"jobId": "job-1", "createdAt": 1, "status": "RUNNING"}]},
    "TerminateJob": {},
    "GetAccountSettings": {"AccountLimit": {"UnreservedConcurrentExecutions": 7}},
}


@pytest.mark.long  # botocore's own pace after a throttle is most of it
def test_looking_stopping_terminating_and_assuming_a_role_survive_throttles_too(aws, deployment, home, tmp_path):
    account = Account()
    for service in ("dynamodb", "s3", "ssm", "stepfunctions", "batch", "sts", "lambda"):
        account.client(service)
    make_state_machines(account, deployment)
    with bad_day(account, first_tries(NOT_IN_MOTO)) as wrong:
        engine = AwsEngine(account, discover(account, deployment.name), tmp_path / "scratch")
        header = put_job(engine.stores, double, [1, 2], instance_type_name="small")
        engine.start(header, [RunRef(0), RunRef(1)])
        assert engine.reconcile(header, read_state(engine.stores.log, header)) is False
        engine.stores.log.request_cancel(header.id, time.time())
        engine.cancel(header)
        assert engine.describe().concurrency == 7
        assert DataRole(account, "arn:aws:iam::123456789012:role/data").credentials().fresh
    assert set(wrong) >= {
        *("GetParameter", "GetParametersByPath", "StartExecution", "DescribeExecution", "StopExecution"),
        *("ListJobs", "TerminateJob", "AssumeRole", "GetAccountSettings"),
    }
