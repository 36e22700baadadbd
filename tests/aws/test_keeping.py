"""A job's expiry moves on for as long as anything of it lives: nothing of it goes while it runs or is retried."""

from __future__ import annotations

import hashlib
import time

import pytest

from fanfold.contract import cloud
from fanfold.core.models import EventKind, Output, RunRef
from fanfold.engines.aws.work import Work
from fanfold.stores.aws import AwsStores
from fanfold.stores.aws.clock import ServiceClock
from tests.stores.samples import a_job, finished

DAY = 86_400
RESULT = f"results/{0:064x}/{hashlib.sha256(b'large').hexdigest()}"


@pytest.fixture
def later(monkeypatch):
    """Lets days go by, as far as the stores can tell."""

    def go_by(days):
        monkeypatch.setattr(ServiceClock, "now", lambda _: time.time() + days * DAY)

    return go_by


def items_of(stores, job):
    """Every item of a job: its header and copies, its events, what they print, and its work counter."""
    shards = range(cloud.shards(job.count))
    kinds = (cloud.event_partition, cloud.telemetry_partition, cloud.header_copy_partition)
    places = [cloud.job_partition(job.id), *(kind(job.id, shard) for kind in kinds for shard in shards)]
    found = [stores.table.query("pk = :pk", {":pk": {"S": place}}).items for place in places]
    return [item for items in found for item in items]


def a_large_result(stores, job, index):
    key = RESULT
    stores.objects.put(key, b"large")
    return finished(job.id, index)._replace(output=Output("json", "0" * 64, 5, None, key))


@pytest.fixture
def kept(aws_stores):
    """A job of several shards with events, output, a result and inputs that are objects, and laid-out work."""
    job = a_job(count=600)
    aws_stores.log.put_job(job)
    aws_stores.objects.put(f"jobs/{job.id}/inputs.jsonl", b"{}\n")
    log = finished(job.id, 3)._replace(kind=EventKind.LOG, status=None, output=None, data={"text": "told"})
    aws_stores.log.append(
        [*(finished(job.id, index) for index in range(1, 600)), log, a_large_result(aws_stores, job, 0)]
    )
    Work(aws_stores, job.id).put("one", [RunRef(0)])
    return job


def test_while_most_of_its_time_is_left_nothing_is_read(aws_stores, kept, later, account):
    calls = []

    def note(**_):
        calls.append(1)

    events = account.client("dynamodb").meta.events
    events.register("before-call", note)
    later(9)
    assert not aws_stores.keep(kept.id)
    events.unregister("before-call", note)
    assert not calls


def test_whatever_belongs_to_a_job_that_lives_gets_a_later_expiry(aws_stores, kept, later, account):
    copied = set()
    account.client("s3").meta.events.register(
        "provide-client-params.s3.CopyObject", lambda params, **_: copied.add(params["Key"])
    )
    later(20)
    assert aws_stores.keep(kept.id)
    items = items_of(aws_stores, kept)
    assert len(items) > 3 + 3 + 1
    assert all(int(item[cloud.EXPIRES_AT]["N"]) > time.time() + 49 * DAY for item in items)
    assert {f"jobs/{kept.id}/inputs.jsonl", RESULT} <= copied
    assert aws_stores.objects.get(RESULT) == b"large"
    assert not aws_stores.keep(kept.id)  # it is done
    later(40)
    assert aws_stores.log.get_job(kept.id) == kept  # which would have been gone


def test_who_is_cut_off_leaves_the_rest_to_the_next(aws_stores, kept, later):
    later(20)
    assert not aws_stores.keep(kept.id, within_s=0.0)
    assert aws_stores.log.job_headers.read(kept.id).expires_at < time.time() + 31 * DAY
    assert aws_stores.keep(kept.id)
    assert aws_stores.log.job_headers.read(kept.id).expires_at > time.time() + 49 * DAY


def test_one_at_a_time_moves_it_on(aws_stores, kept, later):
    later(20)
    assert aws_stores.log.job_headers.take_keeping(kept.id, 60.0)
    assert not aws_stores.keep(kept.id)


def test_what_is_written_afterwards_expires_as_late(aws_stores, kept, later, account, deployment, tmp_path):
    another = AwsStores(
        account, table=deployment.table, bucket=deployment.bucket, retention_s=0.0, scratch=tmp_path / "another"
    )
    another.log.get_job(kept.id)
    later(20)
    assert another.keep(kept.id)
    aws_stores.log.job_headers.forget(kept.id)
    aws_stores.log.append([finished(kept.id, 0, 1)])
    assert all(int(item[cloud.EXPIRES_AT]["N"]) > time.time() + 49 * DAY for item in items_of(aws_stores, kept))
