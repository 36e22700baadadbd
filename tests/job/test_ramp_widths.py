"""How wide a stage of a ramp may be that widens while it goes on: never wider than what is over."""

from __future__ import annotations

import pytest

from fanfold.contract.layout import PROVEN_RUNS
from fanfold.core.fold import fold
from fanfold.core.models import Event, EventKind, JobHeader, RunStatus, StageRecord, StopRecord, to_event
from fanfold.engines.aws.capacity import portions, with_spare
from fanfold.engines.stages import (
    children_allowed,
    is_narrow,
    next_width,
    reasons_to_end,
    released,
    width_of,
)
from fanfold.stores.aws.log import _wakes

JOB = "20261129-120000-heron-00000001"
FULL = portions(with_spare(1_000))
ALL = 5_000


def header(**facts):
    given = {"max_retry": 0, "stages": (1, 5, 50), **facts}
    return JobHeader(JOB, "f", given.pop("count", ALL), "aws", "ada", 0.0, "", "", **given)


def ended(good, bad=0, start=0):
    """The ends of so many runs."""
    statuses = [RunStatus.SUCCEEDED] * good + [RunStatus.FAILED] * bad
    return [Event.new(JOB, start + n, 0, EventKind.FINISHED, status=status) for n, status in enumerate(statuses)]


def stage(children=1, most=FULL.children, judged=50, stop=ALL):
    records = [StageRecord("ramp", stop, judged)]
    if children:
        records.append(StageRecord("distributed-1", stop, 0, children, most, FULL.runs_per_child))
    return [to_event(JOB, record) for record in records]


def state_of(*events, **facts):
    return fold(header(**facts), [event for some in events for event in some])


@pytest.mark.parametrize(
    ("over", "children"),
    [(1, 1), (50, 1), (79, 1), (80, 2), (200, 5), (999, 24), (PROVEN_RUNS, 30), (50_000, 30)],
)
def test_no_more_runs_than_are_over_go_on_at_once_but_those_of_one_child_and_from_a_thousand_on_all(over, children):
    assert FULL == (30, 40)
    assert children_allowed(over, FULL.runs_per_child, FULL.children) == children
    assert children == 30 or children == 1 or children * 40 <= over


def test_it_doubles_at_least_so_that_a_job_takes_few_changes():
    changes, state = [], state_of(ended(50), stage())
    for over in range(60, 1_200, 10):
        state.apply(ended(10, start=over - 10))
        assert state.runs_over == over
        if wider := next_width(state, width_of(state)):
            state.apply(stage(wider)[1:])
            changes.append((over, wider))
    assert changes == [(80, 2), (160, 4), (320, 8), (640, 16), (1_000, 30)]


def test_a_stage_that_has_begun_narrow_lets_all_its_runs_begin_nonetheless():
    state = state_of(ended(50), stage())
    assert released(state) == ALL
    assert is_narrow(state)
    assert not is_narrow(state_of(ended(50), stage(children=30)))


@pytest.mark.parametrize(
    "events",
    [
        [],
        [to_event(JOB, StageRecord("ramp", 50, 5))],
        stage(children=0),
        stage(judged=0),
        [*stage(stop=2_000), to_event(JOB, StageRecord("ramp", ALL, 2_000))],
        [*stage(), to_event(JOB, StopRecord("ramp", "why"))],
    ],
    ids=["new", "small stage", "not narrow", "all at once by a retry", "the stage after it", "stopped"],
)
def test_nothing_is_widened_of_what_did_not_begin_narrow(events):
    assert width_of(state_of(ended(60), events)) is None


@pytest.mark.parametrize(
    ("good", "bad", "says"),
    [
        (50, 4, []),
        (46, 5, []),
        (45, 5, ["5 of 50 runs failed"]),
        (900, 99, []),
        (891, 99, ["99 of 990 runs failed"]),
    ],
)
def test_five_failures_that_are_a_tenth_of_what_is_over_speak_against_going_on(good, bad, says):
    assert reasons_to_end(state_of(ended(good, bad), stage())) == says


def test_once_it_is_as_wide_as_it_may_be_nothing_is_judged_any_more():
    assert reasons_to_end(state_of(ended(1, 99), stage(children=30))) == []


@pytest.mark.parametrize(
    ("index", "facts", "wakes"),
    [
        (49, {}, True),
        (50, {}, True),
        (PROVEN_RUNS - 1, {}, True),
        (PROVEN_RUNS, {}, False),
        (999, {"stages": ()}, False),
        (999, {"instance_type": "small"}, False),
        (60, {"count": 900}, False),
        (60, {"count": 900, "max_workers": 400}, True),
    ],
)
def test_the_shepherd_is_told_of_those_runs_whose_end_may_widen_a_stage_and_of_no_others(index, facts, wakes):
    (end,) = ended(1, start=index)
    assert _wakes(end, header(**facts)) is wakes
