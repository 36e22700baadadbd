"""Short runs that share an invocation go on record many at a time; what would be lost with more goes at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from fanfold.core.models import Event, EventKind, Output, RunError, RunRef, RunStatus, Usage
from fanfold.engines.aws.dispatch import run_items
from fanfold.execution.calls import Call, Report, log, started
from fanfold.stores.state import read_state
from fanfold_runtime import short_results
from fanfold_runtime.short_results import WAITS_S, ShortResults
from tests.aws.udfs import FUNCTIONS, put_job
from tests.cloud.udfs import squared
from tests.stores.event_log_contract import read_all

RUNS = 40


@pytest.fixture
def header(aws_stores):
    return put_job(aws_stores, squared, list(range(RUNS)), batch_size=RUNS)


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    """The time as the results see it, which stands still."""
    time = SimpleNamespace(now=0.0)
    time.monotonic = lambda: time.now
    monkeypatch.setattr(short_results, "time", time)
    return time


@pytest.fixture
def results(aws_stores, header, clock) -> ShortResults:
    """Those of one invocation, of which more follow."""
    [item] = run_items(header, map(RunRef, range(RUNS), [0] * RUNS), objects=aws_stores.objects, functions=FUNCTIONS)
    made = ShortResults(header, [item, *item["more"]], aws_stores)
    made.more_follow = True
    return made


@pytest.fixture
def requests(account) -> Iterator[Counter[str]]:
    """How often DynamoDB is asked for what."""
    seen: Counter[str] = Counter()
    events = account.client("dynamodb").meta.events

    def note(model: Any, **_: Any) -> None:
        seen[model.name] += 1

    events.register("before-call", note, unique_id="test-requests")
    yield seen
    events.unregister("before-call", unique_id="test-requests")


def end(header, index, *, took_s=0.001, **facts) -> list[Report]:
    """What a pool tells of a run from its beginning to its end."""
    call = Call(index, 0, "")
    facts = {"status": RunStatus.SUCCEEDED, "output": Output("json/1", "00" * 32, 1, b"7"), **facts}
    event = Event.new(header.id, index, 0, EventKind.FINISHED, **facts, usage=Usage(took_s, took_s, 20.0))
    return [started(header.id, call, event.at, 1), log(header.id, call, f"{index}\n"), Report(event)]


def on_record(stores, header) -> list[int]:
    return sorted(event.index for event in read_all(stores.log, header.id) if event.kind is EventKind.FINISHED)


def test_forty_results_are_two_requests(aws_stores, header, results, requests):
    """An entry of the cache each, one item with all that happened, one with what was printed: 25 items a request."""
    requests.clear()
    for index in range(RUNS):
        results.more_follow = index < RUNS - 1
        [event] = results.record(end(header, index))
        assert (event.index, event.status) == (index, RunStatus.SUCCEEDED)
    assert requests == {"BatchWriteItem": 2}
    assert on_record(aws_stores, header) == list(range(RUNS))
    again = put_job(aws_stores, squared, list(range(RUNS)))
    assert read_state(aws_stores.log, again).counts()[RunStatus.CACHED] == RUNS
    assert len(read_all(aws_stores.log, header.id, "telemetry")) == RUNS


def test_a_result_waits_for_a_moment_at_most(aws_stores, header, results, clock):
    results.record(end(header, 0))
    clock.now = WAITS_S / 2
    results.flush()
    assert on_record(aws_stores, header) == []
    clock.now = WAITS_S
    results.flush()
    assert on_record(aws_stores, header) == [0]


def test_those_that_come_in_time_do_not_put_it_off(aws_stores, header, results, clock):
    for index in range(4):
        clock.now = index * WAITS_S / 3
        results.record(end(header, index))
    assert on_record(aws_stores, header) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "facts",
    [
        {"took_s": WAITS_S},
        {"status": RunStatus.FAILED, "output": None, "error": RunError("ValueError", "odd")},
        {"output": Output("json/1", "00" * 32, 9_000)},
    ],
    ids=["it took longer", "it failed", "it is an object of its own"],
)
def test_what_is_worth_more_goes_on_record_at_once_with_those_that_wait(aws_stores, header, results, facts):
    results.record(end(header, 0))
    [event] = results.record(end(header, 1, **facts))
    assert event.index == 1
    assert on_record(aws_stores, header) == [0, 1]


def test_that_a_run_has_begun_is_told_at_once(aws_stores, header, results):
    """It takes long enough for its pool to tell of it."""
    results.record(end(header, 0))
    assert results.record(end(header, 1)[:1]) == []
    assert on_record(aws_stores, header) == [0]


def test_the_last_of_an_invocation_waits_for_nothing(aws_stores, header, results):
    results.more_follow = False
    results.record(end(header, 0))
    assert on_record(aws_stores, header) == [0]
