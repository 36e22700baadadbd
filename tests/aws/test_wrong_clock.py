"""A client whose clock is minutes wrong, which AWS still accepts: it sees everything, and runs nothing twice."""

from __future__ import annotations

import calendar
import time

import pytest

from fanfold.contract import cloud
from fanfold.core.models import CacheRecord, Event, EventKind, ProcessRecord, RunRef, to_event
from fanfold.core.options import Options
from fanfold.diagnosis.deployment import check_clock
from fanfold.engines.aws import AwsEngine, reconcile
from fanfold.engines.aws.discovery import discover
from fanfold.engines.aws.dispatch import to_event as dispatched
from fanfold.job import Job
from fanfold.stores.aws.account import Account
from fanfold.stores.aws.clock import ServiceClock
from fanfold.submission.prepare import Request, prepare
from tests.aws.an_engine import new_dispatch
from tests.aws.emulated import make_state_machines
from tests.stores.samples import a_job, finished


@pytest.fixture(params=[280, -280])
def client(request, aws, account, deployment, home, tmp_path, monkeypatch):
    """An engine whose process has a clock that is so many seconds ahead. `aws_stores` and moto have the right time."""
    make_state_machines(account, deployment)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + request.param)
    patched = Account()
    engine = AwsEngine(patched, discover(patched, deployment.name), tmp_path / "client")
    engine.ahead_s, engine.real = request.param, real
    return engine


def at_right_time(client, make):
    """What a process with a right clock makes."""
    wrong = time.time
    time.time = client.real
    try:
        return make()
    finally:
        time.time = wrong


def test_what_runs_record_is_seen_at_once_whichever_way_the_clock_is_wrong(client, aws_stores, eventually):
    job = a_job(created_at=client.real())
    at_right_time(client, lambda: aws_stores.log.put_job(job))
    at_right_time(client, lambda: aws_stores.log.append([finished(job.id, 0)]))
    log, cursor = client.stores.log, None
    log.append([to_event(job.id, ProcessRecord("client"))])
    seen = set()

    def read():
        nonlocal cursor
        found, cursor = log.read_since(job.id, cursor)
        seen.update(event.index for event in found)
        return seen

    for index in range(1, 4):
        read()
        at_right_time(client, lambda index=index: aws_stores.log.append([finished(job.id, index)]))
    eventually(lambda: read() == {-1, 0, 1, 2, 3})


def test_what_it_writes_has_the_services_time_where_order_matters(client, aws_stores):
    job = a_job(created_at=time.time())
    client.stores.log.put_job(job)
    client.stores.log.append([finished(job.id, 0)])
    client.stores.log.request_cancel(job.id, time.time())
    found, _ = aws_stores.log.read_since(job.id)
    header = aws_stores.log.get_job(job.id)
    for moment in (found[0].at, header.created_at, header.cancelled_at):
        assert moment == pytest.approx(client.real(), abs=30)
    items = aws_stores.table.query("pk = :pk", {":pk": {"S": cloud.event_partition(job.id, 0)}}).items
    assert [item[cloud.SORT_KEY]["S"][:13] for item in items] <= [
        time.strftime("%Y-%m-%dT%H", time.gmtime(client.real() + 30))
    ]


def test_a_run_that_has_just_begun_is_not_lost_and_a_dispatch_is_as_old_as_it_is(client, aws_stores, fresh_state):
    job = a_job(count=2, engine="aws", created_at=time.time())
    client.stores.log.put_job(job)
    dispatch = new_dispatch(job, [RunRef(0), RunRef(1)])
    client.stores.log.append([dispatched(job.id, dispatch, "starting")])
    began = at_right_time(client, lambda: Event.new(job.id, 0, 0, EventKind.STARTED))
    at_right_time(client, lambda: aws_stores.log.append([began]))
    header, state = fresh_state(client.stores, job.id)
    assert not client.inspector.look(header, state)
    (mine,) = reconcile.dispatches_of(state)
    assert mine.at == pytest.approx(client.real(), abs=30)


def test_a_jobs_id_sorts_by_the_services_time_and_its_times_count_from_there(client):
    job = prepare(square, [1, 2], client, Request.of(Options()), {}).header
    made_at = calendar.timegm(time.strptime(job.id[:15], "%Y%m%d-%H%M%S"))
    assert made_at == pytest.approx(client.real(), abs=30)
    assert abs(float(Job(client.stores.log.get_job(job.id), client).total_time())) < 30


def test_how_old_results_of_the_cache_are_goes_by_the_services_time(client):
    job = prepare(square, [1], client, Request.of(Options()), {}).header
    made = client.real() - 1800
    client.stores.log.append([to_event(job.id, CacheRecord("answers", 1, oldest=made, newest=made))])
    told = str(Job(client.stores.log.get_job(job.id), client).summary())
    assert "made 30 min ago" in " ".join(told.split())


def square(x: int):
    return x * x


@pytest.fixture
def fresh_state():
    from fanfold.stores.state import read_state

    def read(stores, job_id):
        stores.log.job_headers.forget(job_id)
        header = stores.log.get_job(job_id)
        return header, read_state(stores.log, header)

    return read


def test_doctor_says_how_wrong_the_clock_is(client):
    check = check_clock(client.account)
    assert check.verdict == "warn"
    assert f"{'ahead of' if client.ahead_s > 0 else 'behind'} AWS's" in check.found


def an_answer(moment):
    return {
        "ResponseMetadata": {"HTTPHeaders": {"date": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(moment))}}
    }


def test_a_clock_that_is_right_is_left_alone_and_a_slow_answer_tells_nothing():
    clock = ServiceClock()
    clock.note(an_answer(time.time() - 120), 100.0)
    assert clock.ahead_s == 0.0
    clock.note(an_answer(time.time() - 1), 0.2)
    assert clock.ahead_s == 0.0
    before = time.time()
    assert before - 1 < clock.now() < time.time() + 1


def test_an_answer_without_a_date_tells_nothing():
    clock = ServiceClock()
    for answer in ({}, {"ResponseMetadata": {"HTTPHeaders": {}}}, {"ResponseMetadata": {"HTTPHeaders": {"date": "?"}}}):
        clock.note(answer, 0.0)
    clock.note(an_answer(time.time() - 200), 0.0)
    assert clock.ahead_s == pytest.approx(200, abs=15)


@pytest.mark.parametrize("jump_s", [-200.0, 200.0])
def test_a_clock_that_is_set_meanwhile_moves_nothing(monkeypatch, jump_s):
    clock, real = ServiceClock(), time.time
    clock.note(an_answer(real()), 0.1)
    before = clock.now()
    monkeypatch.setattr(time, "time", lambda: real() + jump_s)
    assert clock.now() - before == pytest.approx(0, abs=15)
    assert clock.ahead_s == pytest.approx(jump_s, abs=15)  # so that what is stamped here is written down right
    clock.note(an_answer(real()), 0.1)
    assert clock.now() - before == pytest.approx(0, abs=15)
    monkeypatch.setattr(time, "time", real)
    assert clock.ahead_s == 0.0


def test_an_answer_is_looked_at_at_once_after_the_clock_was_set(monkeypatch):
    clock, real = ServiceClock(), time.time
    clock.note(an_answer(real() - 200), 0.1)
    clock.note(an_answer(real()), 0.1)  # too soon to be looked at
    assert clock.now() == pytest.approx(real() - 200, abs=15)
    monkeypatch.setattr(time, "time", lambda: real() + 60)  # as of a machine that was put aside, and runs on elsewhere
    clock.note(an_answer(real()), 0.1)
    assert clock.now() == pytest.approx(real(), abs=15)


def test_what_is_appended_after_the_clock_was_set_back_follows_what_was_there(aws_stores, monkeypatch):
    job = a_job()
    aws_stores.log.put_job(job)
    aws_stores.log.append([finished(job.id, 0)])
    _, cursor = aws_stores.log.read_since(job.id)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 250)
    late = finished(job.id, 1)
    aws_stores.log.append([late])
    found = []
    for _ in range(3):
        events, cursor = aws_stores.log.read_since(job.id, cursor)
        found += events
    assert late.id in {event.id for event in found}
    items = aws_stores.table.query("pk = :pk", {":pk": {"S": cloud.event_partition(job.id, 0)}}).items
    assert late.id in items[-1][cloud.SORT_KEY]["S"]
