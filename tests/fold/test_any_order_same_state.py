"""The same events, in any order, any number of times and in any portions, give the same state."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fanfold.core.fold import JobState, fold
from fanfold.core.models import THROTTLED, Event, EventKind, RunStatus
from tests.fold.stories import JOB, a_job, an_error, event, snapshot

RUNS = 2
ERRORS = [
    None,
    an_error(),
    an_error("Died", infrastructure=True),
    an_error("Refused", "builtins.ConnectionError"),
    an_error(THROTTLED, infrastructure=True),
]
RUN_EVENTS = st.tuples(
    st.sampled_from(
        ["queued", "started", "succeeded", "cached", "failed", "timed_out", "out_of_memory", "cancelled", "lost"]
    ),
    st.integers(0, RUNS - 1),
    st.integers(0, 2),
    st.integers(0, 3).map(float),
    st.sampled_from(ERRORS),
)
JOB_EVENTS = st.tuples(st.sampled_from([EventKind.MACHINE, EventKind.PROCESS]), st.sampled_from(["m1", "m2"]))
HEADERS = st.builds(
    a_job,
    count=st.just(RUNS),
    max_retry=st.integers(0, 2),
    retry_on=st.sampled_from([(), ("ConnectionError",), ("Exception", "TimeoutError")]),
    cancelled_at=st.sampled_from([None, 1.0, 5.0]),
    hedge=st.booleans(),
)


@st.composite
def stories(draw) -> list[Event]:
    events = []
    for number, facts in enumerate(draw(st.lists(RUN_EVENTS | JOB_EVENTS, max_size=14))):
        if len(facts) == 2:
            kind, name = facts
            events.append(Event(JOB, -1, 0, kind, 0.0, f"{number:028x}", data={"name": name}))
        else:
            what, index, attempt, at, error = facts
            error = error if what in ("failed", "lost") else None
            events.append(event(what, index, attempt, id=number, at=at, error=error))
    return events


@settings(max_examples=400, deadline=None)
@given(HEADERS, stories(), st.data())
def test_order_repetition_and_portions_do_not_matter(header, events, data):
    told_again = events + data.draw(st.lists(st.sampled_from(events), max_size=6) if events else st.just([]))
    shuffled = data.draw(st.permutations(told_again))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(shuffled)), max_size=3)))
    state = JobState(header)
    for start, stop in zip([0, *cuts], [*cuts, len(shuffled)], strict=True):
        state.apply(shuffled[start:stop])
    assert snapshot(state) == snapshot(fold(header, events))


@settings(max_examples=100, deadline=None)
@given(HEADERS, stories())
def test_a_cancel_may_come_before_or_after_the_events(header, events):
    state = fold(header._replace(cancelled_at=None), events)
    state.header = header
    assert snapshot(state) == snapshot(fold(header, events))


@settings(max_examples=150, deadline=None)
@given(HEADERS, stories(), stories())
def test_a_good_run_is_never_unfinished_by_later_events(header, events, more):
    state = fold(header, events)
    good = set(state.indexes(RunStatus.SUCCEEDED, RunStatus.CACHED))
    state.apply(event._replace(id=f"f{event.id[1:]}") for event in more)
    assert good <= set(state.indexes(RunStatus.SUCCEEDED, RunStatus.CACHED))


@settings(max_examples=150, deadline=None)
@given(HEADERS, stories())
def test_the_counts_are_those_of_the_runs(header, events):
    state = fold(header, events)
    statuses = [state.status_of(index) for index in range(RUNS)]
    assert state.counts() == {status: statuses.count(status) for status in RunStatus}
    assert state.done == all(status.final for status in statuses)
    assert {status: list(state.indexes(status)) for status in RunStatus} == {
        status: [index for index in range(RUNS) if statuses[index] is status] for status in RunStatus
    }
