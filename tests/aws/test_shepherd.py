"""The shepherd of a deployment: one at a time looks after a job, no word is lost, and what wakes it names the job."""

from __future__ import annotations

import pytest

from fanfold_runtime.shepherd import jobs_of
from fanfold_runtime.turn import Turn
from tests.stores.samples import a_job


@pytest.fixture
def job(aws_stores):
    job = a_job()
    aws_stores.log.put_job(job)
    return job


def test_one_at_a_time_has_the_turn(aws_stores, job):
    turn = Turn(aws_stores, job.id)
    turn.ask()
    assert turn.take()
    assert not Turn(aws_stores, job.id).take()
    assert turn.end(turn.renew())
    assert Turn(aws_stores, job.id).take()


def test_who_is_asked_during_its_look_looks_once_more(aws_stores, job):
    turn = Turn(aws_stores, job.id)
    turn.ask()
    assert turn.take()
    asked = turn.renew()
    Turn(aws_stores, job.id).ask()
    assert not turn.end(asked)
    assert not Turn(aws_stores, job.id).take()
    assert turn.end(turn.renew())


def test_the_turn_of_one_that_is_gone_is_taken_by_another(aws_stores, job, monkeypatch):
    assert Turn(aws_stores, job.id).take()
    now = aws_stores.account.clock.now()
    monkeypatch.setattr(aws_stores.account.clock, "now", lambda: now + 91)
    assert Turn(aws_stores, job.id).take()


def test_what_wakes_it_names_the_jobs():
    def record(partition):
        return {"dynamodb": {"Keys": {"pk": {"S": partition}, "sk": {"S": "x"}}}}

    job_id = "20260131-141502-river-7f3a"
    assert list(jobs_of({"Records": [record(f"job#{job_id}"), record(f"job#{job_id}#3"), record("cache#1")]})) == [
        job_id,
        job_id,
    ]
    assert list(jobs_of({"detail": {"name": f"{job_id}-distributed-0123456789ab"}})) == [job_id]
    assert list(jobs_of({"detail": {"name": "somebody-elses"}})) == []
