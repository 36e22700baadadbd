"""What a job has cost: what AWS bills, as far as its events tell it, and what they do not tell is said."""

from __future__ import annotations

import itertools
import random

import pytest

from fanfold.contract.instances import INSTANCE_TYPES
from fanfold.core.cost import cost
from fanfold.core.fold import fold
from fanfold.core.models import (
    DispatchRecord,
    Event,
    EventKind,
    JobHeader,
    MachineRecord,
    RunError,
    RunStatus,
    Usage,
    to_event,
)
from fanfold.core.pricing import machine_cost, realtime_cost
from fanfold.job.summary import summarise
from tests.job.conftest import BEGAN

HOUR = INSTANCE_TYPES["medium"].host.usd_per_hour


def a_job(count=1, **facts):
    asked = {"engine": "aws", "owner": "me", "bundle_sha256": "", "code_hash": "", **facts}
    return JobHeader(id="job-1", name="told", count=count, created_at=BEGAN, **asked)


def began(index, attempt, at):
    return Event.new("job-1", index, attempt, EventKind.STARTED, at=BEGAN + at)


def ended(index, attempt, at, status, took_s=None):
    facts = {} if took_s is None else {"usage": Usage(took_s)}
    if not status.good:
        facts["error"] = RunError("Lost", "it went away", infrastructure=True)
    return Event.new("job-1", index, attempt, EventKind.FINISHED, at=BEGAN + at, status=status, **facts)


def machine(name, state, at, attempt=1):
    record = MachineRecord(f"{name}.{attempt}", state, name, attempt)
    return to_event("job-1", record, at=BEGAN + at)


def of_functions(seconds, attempts):
    return pytest.approx(float(realtime_cost(seconds, attempts)))


def test_what_a_cancelled_run_took_is_paid_for():
    header = a_job(2).cancelled(BEGAN + 12)
    told = cost(fold(header, [ended(0, 0, 12, RunStatus.CANCELLED, 12.0)]))
    assert told == of_functions(12.0, 1)


def test_so_is_every_earlier_attempt_in_whatever_order_and_however_often_its_events_come():
    events = [
        began(0, 0, 0),
        ended(0, 0, 6, RunStatus.FAILED, 6.0),
        began(0, 1, 7),
        ended(0, 1, 14, RunStatus.SUCCEEDED, 7.0),
        ended(0, 1, 15, RunStatus.SUCCEEDED, 8.0),  # the same attempt on another function: both were billed
    ]
    for some in itertools.permutations(events):
        told = cost(fold(a_job(), [*some, *random.sample(events, 3)]))
        assert told == of_functions(21.0, 3)
    assert summarise(fold(a_job(), events)).busy_s == 21.0


def test_what_a_cancel_has_cut_off_counts_as_work_though_its_machine_gave_it_back_without_a_word_of_it():
    header = a_job(3, instance_type="medium").cancelled(BEGAN + 12)
    events = [began(0, 0, 2), began(1, 0, 4), machine("m", "up", 0), machine("m", "done", 14)]
    assert summarise(fold(header, events)).busy_s == 18.0


def test_an_attempt_that_was_lost_is_counted_to_when_that_was_noticed_within_its_limit_and_said():
    events = [
        began(0, 0, 0),
        ended(0, 0, 300, RunStatus.LOST),
        began(0, 1, 301),
        ended(0, 1, 310, RunStatus.FAILED, 9.0),
    ]
    for some in itertools.permutations(events):
        told = cost(fold(a_job(), some))
        assert told == of_functions(120.0 + 9.0, 2)
        assert "1 attempt that did not tell its end is counted to when that was noticed, 2 min" in told.describe()


def test_a_result_from_the_cache_costs_nothing():
    cached = ended(0, 0, 1, RunStatus.CACHED, 50.0)
    assert cost(fold(a_job(), [cached])) == 0.0


def test_a_machine_is_paid_for_while_it_is_up_whatever_becomes_of_its_runs():
    header = a_job(2, instance_type="medium").cancelled(BEGAN + 3700)
    events = [machine("one", "up", 100), machine("one", "stopped", 3700)]
    for some in itertools.permutations(events):
        told = cost(fold(header, some))
        assert told == pytest.approx(HOUR)
        assert "did not tell" not in told.describe()
        assert "come up and go down" in told.describe()


def test_a_machine_that_was_lost_is_paid_for_until_another_came_in_its_place():
    events = [
        machine("one", "up", 0),
        machine("one", "up", 1800, attempt=2),
        machine("one", "done", 3600, attempt=2),
        ended(0, 0, 3590, RunStatus.SUCCEEDED, 1790.0),
    ]
    told = cost(fold(a_job(instance_type="medium"), events))
    assert told == pytest.approx(HOUR)
    assert "1 machine did not tell when it ended: an estimate" in told.describe()


def test_a_machine_that_was_lost_costs_nothing_between_the_job_and_its_retry_days_later():
    later = to_event("job-1", DispatchRecord("again", "dedicated"), at=BEGAN + 60)
    events = [machine("one", "up", 0), later, machine("two", "up", 5 * 86_400), machine("two", "done", 5 * 86_400 + 60)]
    assert cost(fold(a_job(instance_type="medium"), events)) == pytest.approx(float(machine_cost(HOUR, 120.0)))


def test_the_summary_says_what_is_not_known():
    told = str(summarise(fold(a_job(), [ended(0, 0, 6, RunStatus.SUCCEEDED, 6.0)])))
    assert "without the start-up of functions" in " ".join(told.split())
