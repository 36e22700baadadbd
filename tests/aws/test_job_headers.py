"""A job's header in the table: no key of it is read by all runs of a large job."""

from __future__ import annotations

import json
import time
from collections import Counter
from math import ceil
from types import SimpleNamespace

import pytest

from fanfold.cli.records import job_records
from fanfold.contract.cloud import shard_of, shards
from fanfold.core.models import Event, EventKind, RunStatus, StopRecord, to_event
from fanfold.errors import ConfigurationError
from fanfold.job import Job
from fanfold.job.waiting import Tracker
from fanfold.stores import state
from fanfold.stores.aws import job_headers
from fanfold_runtime.context import get_header
from fanfold_runtime.shepherd import Shepherd
from tests.aws.calls import counted
from tests.stores.samples import a_job, an_output, failed, finished

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


def test_no_key_takes_more_than_1_000_units_a_second_where_10_000_runs_end_in_one(aws_stores):
    """Of writes a key takes 1,000 units of 1 KB a second; a short run has less than one in its shard."""
    one_of = 7
    aws_stores.log.put_job(job := a_job(count=RUNS_AT_ONCE))
    ends = [finished(job.id, index, output=an_output(b"x" * 256)) for index in range(0, RUNS_AT_ONCE, one_of)]
    written = Counter()
    for item in aws_stores.log.items(ends):
        written[item["pk"]["S"]] += ceil(len(json.dumps(item, default=repr)) / 1024)
    assert len(written) == shards(RUNS_AT_ONCE)
    assert max(written.values()) * one_of <= MOST_UNITS_S


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


# --- how jobs stand in a list -----------------------------------------------------------------------------------------


@pytest.fixture
def engine(aws_stores):
    return SimpleNamespace(stores=aws_stores, reconcile=lambda *_: False)


def an_ended_job(stores, end=finished, **facts):
    job = a_job(count=2, owner="ada", **facts)
    stores.log.put_job(job)
    stores.log.append([finished(job.id, 0), end(job.id, 1)])
    return job


def listed(engine):
    return job_records([Job(header, engine) for header in engine.stores.log.list_jobs(owner="ada")])


def test_jobs_that_have_ended_are_listed_by_one_query(engine, account):
    jobs = [an_ended_job(engine.stores) for _ in range(20)]
    first = listed(engine)
    with counted(account) as calls:
        assert listed(engine) == first
    assert calls == {"dynamodb:Query": 1}
    assert {record["id"] for record in first} == {job.id for job in jobs}
    assert {(record["status"], record["counts"]["succeeded"]) for record in first} == {("Completed", 2)}


def test_who_waits_for_a_job_spares_lists_the_reading(engine, account):
    job = Job(an_ended_job(engine.stores), engine).wait(progress=False)
    with counted(account) as calls:
        (record,) = listed(engine)
    assert (record["id"], record["status"], calls) == (job.id, "Completed", {"dynamodb:Query": 1})


def test_what_may_still_change_is_read_each_time(engine, account):
    """A failure that is minutes old may yet turn into a success that comes late."""
    job = an_ended_job(engine.stores, failed)
    assert [record["status"] for record in listed(engine)] == ["Failed"]
    engine.stores.log.append([finished(job.id, 1)])
    assert [record["status"] for record in listed(engine)] == ["Completed"]


@pytest.mark.parametrize("goes_on", ["drop_brief", "retry", "cancel"])
def test_a_job_that_goes_on_is_read_again_also_where_how_it_stood_is_kept_late(engine, monkeypatch, goes_on):
    monkeypatch.setattr(state, "_SETTLED_S", -1.0)
    job, log = an_ended_job(engine.stores, failed), engine.stores.log
    slow = Tracker(job, engine)  # somebody who has read it before it goes on, and keeps that afterwards
    slow.refresh()
    assert [record["status"] for record in listed(engine)] == ["Failed"]
    assert log.brief(job.id) is not None
    act = {"drop_brief": log.drop_brief, "retry": lambda job_id: log.request_cancel(job_id, None)}
    act.get(goes_on, lambda job_id: log.request_cancel(job_id, 5.0))(job.id)
    slow.keep_brief()
    assert log.brief(job.id) is None
    log.append([Event.new(job.id, 1, 1, EventKind.QUEUED)])
    assert [record["status"] for record in listed(engine)] == ["Cancelled" if goes_on == "cancel" else "Running"]


def test_who_may_only_read_the_table_can_list_it(engine, monkeypatch):
    an_ended_job(engine.stores)

    def refuse(*_, **__):
        raise ConfigurationError("You may not.", next_step="ask.")

    monkeypatch.setattr(engine.stores.table, "update_if", refuse)
    assert [record["status"] for record in listed(engine)] == ["Completed"]


# --- how often who waits reads it again -------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """A clock of this file's own: `clock.tick(s)` lets so many seconds pass for the headers that are remembered."""
    now = [1_000.0]

    def tick(seconds):
        now[0] += seconds

    monkeypatch.setattr(job_headers, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return SimpleNamespace(tick=tick)


def waiting_for(stores, job):
    """Somebody who waits, after the job's first run has succeeded; and somebody else, who may cancel it elsewhere."""
    stores.log.put_job(job)
    waiter = Tracker(job, SimpleNamespace(stores=stores, reconcile=lambda *_: False))
    return waiter, job_headers.JobHeaders(stores.table, stores.objects, 86_400.0)


def test_while_results_come_in_the_header_is_hardly_read(aws_stores, account, clock):
    job = a_job(count=100)
    waiter, _ = waiting_for(aws_stores, job)
    with counted(account) as calls:
        for index in range(30):  # over a minute
            aws_stores.log.append([finished(job.id, index)])
            waiter.refresh()
            clock.tick(2.0)
    assert 3 <= calls["dynamodb:GetItem"] <= 8
    with counted(account) as calls:
        for _ in range(10):  # half a minute in which nothing comes
            clock.tick(3.0)
            waiter.refresh()
    assert calls["dynamodb:GetItem"] == 10


def test_a_cancellation_elsewhere_is_seen_though_results_go_on_to_come(aws_stores, clock):
    job = a_job(count=100)
    waiter, elsewhere = waiting_for(aws_stores, job)
    elsewhere.flag(job.id, 5.0)
    for index in range(6):  # 12 s
        aws_stores.log.append([finished(job.id, index)])
        waiter.refresh()
        clock.tick(2.0)
    assert waiter.header.cancelled_at == 5.0


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(lambda job: finished(job.id, 1, status=RunStatus.CANCELLED, output=None), id="a run that says so"),
        pytest.param(lambda job: to_event(job.id, StopRecord("errors", "all fail")), id="why the job was stopped"),
    ],
)
def test_what_comes_of_a_cancellation_has_its_flag_read_at_once(aws_stores, clock, last):
    job = a_job(count=100)
    waiter, elsewhere = waiting_for(aws_stores, job)
    aws_stores.log.append([finished(job.id, 0)])
    waiter.refresh()
    elsewhere.flag(job.id, 5.0)
    aws_stores.log.append([last(job)])
    waiter.refresh()
    assert waiter.header.cancelled_at == 5.0


def test_the_shepherd_reads_the_flag_that_has_woken_it(engine, clock):
    job = a_job(count=100)
    _, elsewhere = waiting_for(engine.stores, job)
    engine.looked_at, seen = {}, []
    engine.reconcile = lambda header, _: seen.append(header.cancelled_at)
    engine.inspector = SimpleNamespace(wait_s=lambda *_: 60.0)
    alarm = SimpleNamespace(set=lambda *_: None)
    for _ in range(2):
        Shepherd(engine, alarm).look_after(job.id, until=time.monotonic())
        elsewhere.flag(job.id, 5.0)
    assert seen[0] is None
    assert seen[-1] == 5.0
