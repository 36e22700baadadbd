"""What events tell of a job as a whole: each kind has its fields, and what older stores wrote is still understood."""

from __future__ import annotations

import pytest

from fanfold.core.models import (
    DispatchRecord,
    Event,
    EventKind,
    ExecutionFailureRecord,
    MachineRecord,
    ProcessRecord,
    QueueRecord,
    RunnerRecord,
    ThrottleRecord,
    from_event,
    to_event,
)
from fanfold.stores.packing import pack, unpack
from tests.fold.stories import event
from tests.stores.event_log_contract import RECORDS

#: What a job's `machine` events held before each record had a kind of its own, and what they mean.
OLDER = [
    ({"machine": "7-ab", "state": "up", "pid": 7, "host": "here"}, ProcessRecord("7-ab", "here", 7)),
    (
        {"machine": "starting-cd", "state": "starting", "since": 5.5, "host": "here"},
        RunnerRecord("starting-cd", "here", "starting", 5.5),
    ),
    ({"machine": "starting-cd", "state": "started", "host": "here"}, RunnerRecord("starting-cd", "here", "started")),
    (
        {"machine": "wide-1", "state": "starting", "path": "wide", "runs": "0:0-9", "reason": "refused"},
        DispatchRecord("wide-1", "wide", "starting", "0:0-9", "refused"),
    ),
    ({"machine": "AWS Batch", "state": "waiting", "reason": "no room"}, QueueRecord("AWS Batch", "no room")),
    ({"machine": "AWS Lambda", "state": "throttled", "reason": "many"}, ThrottleRecord("AWS Lambda", "many")),
    (
        {"machine": "arn:aws:states:1", "state": "failed", "reason": "no queue"},
        ExecutionFailureRecord("arn:aws:states:1", "no queue"),
    ),
    (
        {"machine": "4f-1:3.2", "state": "up", "instance_type": "small", "vcpus": 2},
        MachineRecord("4f-1:3.2", "up", "4f-1:3", 2, "small", 2),
    ),
    (
        {"machine": "4f-1.1", "state": "failed", "reason": "a bug"},
        MachineRecord("4f-1.1", "failed", "4f-1", 1, reason="a bug"),
    ),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_each_record_has_a_kind_of_its_own_and_comes_back_whole(record):
    [told] = unpack("job-1", pack([to_event("job-1", record)]))
    assert from_event(told) == record
    assert sum(to_event("job-1", other).kind is told.kind for other in RECORDS) == 1


@pytest.mark.parametrize(("facts", "record"), OLDER, ids=lambda value: str(getattr(value, "name", "")))
def test_what_an_older_store_wrote_is_read_as_the_record_that_it_means(facts, record):
    [told] = unpack("job-1", pack([Event.new("job-1", -1, 0, EventKind.MACHINE, data=facts)]))
    assert from_event(told) == record


def test_an_event_of_a_run_is_no_record():
    assert from_event(event("started", 0)) is None
