"""A wide stage of a ramp is one Map Run that begins narrow and widens while it goes on, with or without its client.

A child has two invocations at once here, of twenty runs each (`batch_size=20`), and three children go on at most: so
wide a stage has 120 runs, and never more than six at once.
"""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import fanfold
from fanfold.core.models import EventKind, RunStatus, StageRecord, records, to_event
from fanfold.engines.aws.map_runs import MapRuns
from fanfold.engines.aws.paths.executions import Executions
from fanfold.engines.base import engine_for
from fanfold.engines.stages import next_width, width_of
from fanfold.engines.steward import Steward
from tests.cloud.test_shepherd import state_of, submit_and_die
from tests.cloud.udfs import noted

WIDE = {"max_workers": 6, "batch_size": 20}
AT_ONCE, COUNT = 2, 122


@pytest.fixture
def alone(on_cloud):
    """The cloud, whose shepherd hears of what happens."""
    on_cloud.tell_events()
    return on_cloud


def widths(state):
    """How wide the wide stage was to be, and is; and of how many runs at most."""
    found = [one for one in records(state.job_events(EventKind.STAGE), StageRecord) if one.name != "ramp"]
    return [(one.children, one.most, one.runs_each) for one in found]


def execution_of(state):
    """The ARN of the wide stage's execution."""
    (width,) = (one for one in records(state.job_events(EventKind.STAGE), StageRecord) if one.name != "ramp")
    machine = engine_for("aws").context.descriptor["state_machines"]["distributed"]
    return f"{machine.replace(':stateMachine:', ':execution:')}:{state.header.id}-{width.name}"


def spans(folder):
    """When each run began and ended, by the one clock of this machine."""
    return {
        int(path.name): tuple(map(float, path.read_text().split()))
        for path in Path(folder).iterdir()
        if path.name != "go"
    }


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


def test_a_wide_stage_is_one_execution_which_widens_without_its_client_and_never_has_more_at_once_than_are_over(
    alone, eventually, tmp_path
):
    before = alone.ended()
    job_id = submit_and_die("noted", range(COUNT), folder=str(tmp_path), ramp=[2], **WIDE)
    eventually(lambda: widths(state_of(job_id)) == [(3, 3, 2)], within_s=120)
    (tmp_path / "go").touch()
    state = eventually(lambda: (state := state_of(job_id)).done and state, within_s=120)
    assert state.counts()[RunStatus.SUCCEEDED] == COUNT
    held_to_the_bound(tmp_path, judged=2)
    assert widths(state) == [(3, 3, 2)]
    eventually(lambda: sum(alone.ended().values()) - sum(before.values()) == 2)  # one for each stage
    (run,) = alone.map_runs(execution_of(state))
    limits = [limit for limit, _ in run["most"]]
    assert (limits[0], limits[-1]) == (1, 3)
    assert all(most <= limit for limit, most in run["most"])
    asked, refused = alone.permissions()
    assert refused == []
    assert {("ShepherdRole", "states:ListMapRuns"), ("ShepherdRole", "states:UpdateMapRun")} <= asked


@pytest.mark.long
@pytest.mark.usefixtures("on_cloud")
def test_a_client_that_waits_widens_it_as_well(eventually, tmp_path):
    job = fanfold.submit(noted, range(COUNT), folder=str(tmp_path), ramp=(2,), collect=False, **WIDE)
    waiting = threading.Thread(target=job.wait, args=[120])
    waiting.start()
    eventually(lambda: widths(state_of(job.id)) == [(3, 3, 2)], within_s=90)
    (tmp_path / "go").touch()
    waiting.join()
    assert job.results() == list(range(COUNT))
    held_to_the_bound(tmp_path, judged=2)


@fanfold.udf
def fixed(x: int, first: int):
    return x


@fanfold.udf
def fails_from(x: int, first: int):
    import time

    time.sleep(100 if x >= first + 40 else 0)  # what follows the first child ends with the ramp, and not before
    if x >= first:
        raise ValueError(f"{x} is too much")
    return x


def test_where_a_tenth_fails_while_it_is_narrow_the_ramp_stops_and_keeps_what_is_done(on_cloud, eventually):
    with pytest.raises(fanfold.RampStopped, match=r"The ramp stopped after \d+ of 122 runs: \d+ of \d+ runs failed"):
        fanfold.submit(fails_from, range(COUNT), first=2, ramp=(2,), max_retry=0, **WIDE)
    (job,) = fanfold.get_jobs()
    counts = job.counts()
    assert counts["succeeded"] == 2
    assert counts["failed"] + counts["cancelled"] == COUNT - 2
    assert counts["cancelled"] > 40, "one child had begun, or one more"
    arn = execution_of(state_of(job.id))
    told = on_cloud.client("stepfunctions").describe_execution(executionArn=arn)
    assert told["status"] in ("ABORTED", "SUCCEEDED"), "it may end before it can be stopped: what is left sees the stop"
    eventually(lambda: [run["status"] for run in on_cloud.map_runs(arn)] == [told["status"]])
    assert job.retry(udf=fixed).wait(90).counts() == {"succeeded": COUNT}
    assert [state_of(job.id).attempt_of(index) for index in range(2)] == [0, 0]


@pytest.fixture
def narrow(on_cloud, eventually, tmp_path):
    """How a job stands whose wide stage goes on with one child of three until there is a file `go`.

    It would have more if anybody looked after it. `noted` lets the first child end.
    """
    engine = engine_for("aws")
    job = fanfold.submit(noted, range(COUNT), folder=str(tmp_path), ramp=(2,), collect=False, **WIDE)
    engine._stewards[job.id] = Steward(engine, engine._turn)  # which begins stages, and widens none

    def may_widen():
        state = state_of(job.id)
        engine.reconcile(job.header, state)
        width = width_of(state)
        return state if width is not None and next_width(state, width) else None

    state = eventually(may_widen, within_s=90)
    del engine._stewards[job.id]
    return state


@pytest.mark.long
@pytest.mark.parametrize(("kind", "times"), [("throttle", 4), ("answer lost", 2), ("closed", 2), ("unavailable", 2)])
def test_a_change_that_is_throttled_or_whose_answer_is_lost_is_made_again(
    on_cloud, narrow, eventually, tmp_path, kind, times
):
    for operation in ("ListMapRuns", "UpdateMapRun"):
        on_cloud.refuse(kind, "states", operation, times=times)
    engine, job = engine_for("aws"), fanfold.get_job(narrow.header.id)

    def is_wide():
        engine.reconcile(job.header, state_of(job.id))
        return widths(state_of(job.id)) == [(3, 3, 2)]

    eventually(is_wide, within_s=60)
    assert on_cloud.end_faults() == 0
    (tmp_path / "go").touch()
    assert job.wait(60).results() == list(range(COUNT))
    held_to_the_bound(tmp_path, judged=2)


class EndsMeanwhile(Executions):
    """Those of a deployment, whose Map Run ends between the answer that it goes on and the change of it."""

    def __init__(self, context, wait_for_end):
        super().__init__(context)
        self._wait_for_end = wait_for_end

    def map_run(self, path, name):
        found = super().map_run(path, name)
        self._wait_for_end()
        return found


def test_a_map_run_that_ends_between_the_look_and_the_change_is_left_alone(on_cloud, narrow, eventually, tmp_path):
    state, context, arn = narrow, engine_for("aws").context, execution_of(narrow)

    def wait_for_end():
        (tmp_path / "go").touch()
        eventually(lambda: [run["status"] for run in on_cloud.map_runs(arn)] == ["SUCCEEDED"])

    maps = MapRuns(context, EndsMeanwhile(context, wait_for_end))
    assert maps.is_due(state)
    assert maps.widen(state), "there is nothing more to widen, which is recorded"
    assert widths(state_of(state.header.id)) == [(3, 3, 2)]
    (run,) = on_cloud.map_runs(arn)
    assert [limit for limit, _ in run["most"]] == [1]
    assert fanfold.get_job(state.header.id).wait(60).results() == list(range(COUNT))


@pytest.mark.long
def test_a_map_run_that_step_functions_has_begun_anew_is_widened_too(on_cloud, narrow, monkeypatch):
    """It does so where it could not read the manifest, with the limit of the beginning."""
    monkeypatch.setattr("fanfold.engines.aws.map_runs._ANEW_S", 0.0)
    state, context = narrow, engine_for("aws").context
    another = width_of(state)._replace(children=3, map_run="the one before")
    context.stores.log.append([to_event(state.header.id, another)])
    state, maps = state_of(state.header.id), MapRuns(context, Executions(context))
    assert maps.is_due(state)
    assert maps.widen(state)
    (run,) = on_cloud.map_runs(execution_of(state))
    assert on_cloud.client("stepfunctions").describe_map_run(mapRunArn=run["arn"])["maxConcurrency"] == 3
    assert not maps.is_due(state_of(state.header.id))


def as_before_there_were_narrow_ones(cloud, engine, monkeypatch):
    """A deployment of an older Fanfold, whose shepherd widens nothing."""
    older = dict(engine.context.descriptor)
    del older["widens_map_runs"]
    monkeypatch.setattr(engine.context, "deployment", engine.context.deployment._replace(descriptor=older))


def without_the_permission(cloud, engine, monkeypatch):
    """A user whose own policy lacks it."""
    cloud.forbid("PeopleOperator", "states:UpdateMapRun")


@pytest.mark.long
@pytest.mark.parametrize("bring_about", [as_before_there_were_narrow_ones, without_the_permission])
def test_where_nobody_could_widen_it_a_stage_begins_as_wide_as_it_may_be(on_cloud, tmp_path, monkeypatch, bring_about):
    bring_about(on_cloud, engine_for("aws"), monkeypatch)
    (tmp_path / "go").touch()
    job = fanfold.submit(noted, range(COUNT), folder=str(tmp_path), ramp=(2,), collect=False, **WIDE).wait(90)
    assert job.results() == list(range(COUNT))
    assert widths(state_of(job.id)) == []
    told = spans(tmp_path)
    assert min(told[index][0] for index in range(2, COUNT)) > max(told[0][1], told[1][1])
