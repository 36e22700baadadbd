"""A job's header in the table: no key of it is read by all runs of a large job."""

from __future__ import annotations

import json
from collections import Counter
from math import ceil

import pytest

from fanfold.contract.cloud import shard_of
from fanfold_runtime.context import get_header
from tests.stores.samples import a_job

#: What DynamoDB gives out of one key, in consistent reads of 4 KB a second, is 3,000; this is what is wanted of it
#: (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html).
MOST_UNITS_S = 1_000
RUNS_AT_ONCE = 10_000
#: A run reads the header as it begins, and again every two seconds.
READS_S = 1.0


@pytest.fixture
def units(account, aws_stores):
    """The read units of each key that is asked for while a test lasts."""
    found = Counter()

    def count(parsed, **_):
        if item := parsed.get("Item"):
            found[item["pk"]["S"]] += ceil(len(json.dumps(item)) / 4096)  # each 4 KB is a unit of a consistent read

    events = account.client("dynamodb").meta.events
    events.register("after-call.dynamodb.GetItem", count)
    yield found
    events.unregister("after-call.dynamodb.GetItem", count)


def units_of(job, number, aws_stores):
    aws_stores.log.put_job(job)
    for index in range(number):
        assert get_header(aws_stores, job.id, shard_of(index, job.count)) == job


@pytest.mark.parametrize("constants", ["{}", json.dumps({"text": "x" * 4096})], ids=["plain", "4 KB of constants"])
def test_no_key_gives_more_than_1_000_units_a_second_to_10_000_runs_at_once(aws_stores, units, constants):
    asked = 320
    units_of(a_job(count=RUNS_AT_ONCE, constants=constants), asked, aws_stores)
    hottest = max(units.values()) / asked * RUNS_AT_ONCE * READS_S
    assert hottest <= MOST_UNITS_S


def test_a_small_job_has_one_header_and_no_copies(aws_stores, units):
    job = a_job(count=100)
    units_of(job, 3, aws_stores)
    assert aws_stores.log.list_jobs() == [job]


def test_copies_are_not_listed_as_jobs(aws_stores):
    job = a_job(count=5_000)
    aws_stores.log.put_job(job)
    assert aws_stores.log.list_jobs() == [job]


def test_a_cancel_is_in_every_copy_when_it_has_been_asked_for_and_a_retry_takes_it_away(aws_stores):
    job = a_job(count=1_000)
    aws_stores.log.put_job(job)
    shards = {shard_of(index, job.count) for index in range(job.count)}
    assert len(shards) > 1
    aws_stores.log.request_cancel(job.id, 5.0)
    assert {get_header(aws_stores, job.id, shard).cancelled_at for shard in shards} == {5.0}
    aws_stores.log.request_cancel(job.id, None)
    assert {get_header(aws_stores, job.id, shard).cancelled_at for shard in shards} == {None}


def test_a_question_about_a_stack_is_beside_every_copy_and_a_cancel_leaves_it(aws_stores):
    job = a_job(count=1_000)
    aws_stores.log.put_job(job)
    aws_stores.log.request_stack(job.id, 17, "17-a1")
    aws_stores.log.request_cancel(job.id, 5.0)
    heads = [aws_stores.log.job_headers.read_copy(job.id, shard) for shard in range(4)]
    assert {head.question[:2] for head in heads} == {(17, "17-a1")}
    assert {head.header.cancelled_at for head in heads} == {5.0}


def test_a_copy_that_was_never_written_is_read_from_the_header(aws_stores, account):
    job = a_job(count=1_000)
    aws_stores.log.put_job(job)
    account.client("dynamodb").delete_item(
        TableName=aws_stores.table.name, Key={"pk": {"S": f"job#{job.id}#1#header"}, "sk": {"S": "head"}}
    )
    assert get_header(aws_stores, job.id, 1) == job
