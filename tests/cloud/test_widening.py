"""A wide stage of a ramp is one Map Run that begins narrow and widens while it goes on, whoever looks after the job.

A child has two invocations at once here, of twenty runs each (`batch_size=20`), and at most four children go on: so wide
a stage has 160 runs, and never more than eight at once.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import fanfold
from fanfold.core.models import EventKind, StageRecord, records
from fanfold.engines.aws.map_runs import MapRuns
from fanfold.engines.aws.paths.executions import Executions
from fanfold.engines.base import engine_for
from tests.cloud.test_shepherd import state_of, submit_and_die
from tests.cloud.udfs import begun, held, noted

WIDE = {"max_workers": 8, "batch_size": 20}
AT_ONCE, COUNT = 2, 162


@pytest.fixture
def alone(on_cloud):
    """The cloud, whose shepherd hears of what happens."""
    on_cloud.tell_events()
    return on_cloud


def widths(state):
    """How wide the wide stage was to be, and is; and of how many runs at most."""
    found = [one for one in records(state.job_events(EventKind.STAGE), StageRecord) if one.name != "ramp"]
    return [(one.children, one.most, one.runs_each) for one in found]


def wide_execution(cloud, state):
    """The execution of the wide stage: its ARN."""
    (width,) = (one for one in records(state.job_events(EventKind.STAGE), StageRecord) if one.name != "ramp")
    machine = cloud.client("ssm").get_parameter(Name="/fanfold/main")["Parameter"]["Value"]
    arn = fanfold.settings and engine_for("aws").context.descriptor["state_machines"]["distributed"]
    assert arn in machine
    return f"{arn.replace(':stateMachine:', ':execution:')}:{state.header.id}-{width.name}"


def spans(folder):
    """When each run began and ended, by the one clock of this machine."""
    return {int(path.name): tuple(map(float, path.read_text().split())) for path in Path(folder).iterdir()}


def held_to_the_bound(folder, judged):
    """Whether no run began before the first stage was over, nor more at once than were over (or one child has)."""
    told = spans(folder)
    first_over = max(ended for index, (_, ended) in told.items() if index < judged)
    later = {index: span for index, span in told.items() if index >= judged}
    assert min(began for began, _ in later.values()) > first_over
    for began, _ in later.values():
        running = sum(one <= began < other for one, other in told.values())
        over = sum(ended <= began for _, ended in told.values())
        assert running <= max(AT_ONCE, over)


def test_a_wide_stage_is_one_execution_which_widens_and_never_has_more_at_once_than_are_over(on_cloud, tmp_path):
    before = on_cloud.ended()
    job = fanfold.submit(noted, range(COUNT), folder=str(tmp_path), ramp=(2,), collect=False, **WIDE).wait(90)
    assert job.results() == list(range(COUNT))
    held_to_the_bound(tmp_path, judged=2)
    state = state_of(job.id)
    assert widths(state) == [(4, 4, 2)]
    (run,) = on_cloud.map_runs(wide_execution(on_cloud, state))
    assert [limit for limit, _ in run["most"]][0] == 1
    assert [limit for limit, _ in run["most"]][-1] == 4
    assert all(most <= limit for limit, most in run["most"])
    started = sum(on_cloud.ended().values()) - sum(before.values())
    assert started == 2, "one for each stage"


def test_a_client_that_was_killed_leaves_a_narrow_map_run_and_the_shepherd_widens_it(alone, eventually, tmp_path):
    job_id = submit_and_die("noted", range(COUNT), folder=str(tmp_path), ramp=[2], **WIDE)
    eventually(lambda: state_of(job_id).done, within_s=120)
    assert state_of(job_id).counts()[fanfold.core.models.RunStatus.SUCCEEDED] == COUNT
    held_to_the_bound(tmp_path, judged=2)
    assert widths(state_of(job_id)) == [(4, 4, 2)]
    asked, refused = alone.permissions()
    assert refused == []
    assert {("ShepherdRole", "states:ListMapRuns"), ("ShepherdRole", "states:UpdateMapRun")} <= asked
