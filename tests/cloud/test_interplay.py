"""What a job does by itself, together: ramps, larger machines, steps, budgets, tries; through outages and cancels."""

from __future__ import annotations

import threading
from array import array

import pytest

import fanfold
from fanfold.core.models import EventKind, LargerRecord, RunRef, RunStatus, StageRecord, new_job_id, records, to_event
from fanfold.engines.aws.dispatch import REFUSED, make_dispatch
from fanfold.engines.base import engine_for
from fanfold.engines.larger import Larger, larger_jobs
from fanfold.job import Job
from fanfold.stores.keys import work_key
from fanfold.stores.state import read_state
from fanfold.submission.prepare import prepare, resolve_call
from tests.cloud.udfs import begun, held, slow_once


@fanfold.udf(timeout_s=1, cache_max_age=0)
def too_long_for_a_function(x: int, folder: str):
    """Goes on until it is let go; tells in the folder each time that it has begun."""
    import os
    import time
    from pathlib import Path

    (Path(folder) / f"{x} in {os.getpid()}").touch()
    while not (Path(folder) / "go").exists():
        time.sleep(0.02)
    return x


@fanfold.udf(cache_max_age=0)
def two_steps(x: int, folder: str):
    """Notes each time that its first step is computed; waits before the second."""
    import time
    from pathlib import Path

    def noted():
        with (Path(folder) / "computed").open("a") as file:
            file.write(f"{x} ")
        return x + 1

    first = fanfold.step("first", noted)
    while not (Path(folder) / "go").exists():
        time.sleep(0.02)
    return fanfold.step("second", lambda: first + 1)


@fanfold.udf(retry_on=[OSError], cache_max_age=0)
def paid_and_refused_once(x: int, folder: str):
    """Fails at the first try of each input, and takes half a second."""
    import time
    from pathlib import Path

    time.sleep(0.5)
    place = Path(folder) / str(x)
    if not place.exists():
        place.touch()
        raise OSError("the first try")
    return x


def asked_for(udf, inputs, engine="aws", constants=(), **wanted):
    """A job with what `submit` would refuse: a budget that its plan says to be too small."""
    resolved, request = resolve_call(udf, engine=engine, instance_type=None)
    submission = prepare(udf, inputs, resolved, request._replace(**wanted), dict(constants))
    return submission, Job(submission.header, resolved)


def stages_of(job):
    state = read_state(job.tracker.engine.stores.log, job.header, consistent=True)
    return [one.stop for one in records(state.job_events(EventKind.STAGE), StageRecord)]


@pytest.mark.usefixtures("engine")
def test_a_cancel_in_a_ramp_s_stage_begins_no_other_and_a_retry_runs_all(eventually, tmp_path):
    job = fanfold.submit(held, range(6), folder=str(tmp_path), ramp=[1, 3], collect=False)
    eventually(lambda: job.counts().get("running") and len(begun(tmp_path)) == 1)
    job.cancel()
    assert job.wait(60).counts() == {"cancelled": 6}
    assert len(begun(tmp_path)) == 1
    (tmp_path / "go").touch()
    assert job.retry().results() == list(range(6))


@pytest.mark.usefixtures("engine")
@pytest.mark.long
def test_a_cancel_ends_what_has_gone_on_to_a_larger_machine(eventually, tmp_path):
    job = fanfold.submit(too_long_for_a_function, [1], folder=str(tmp_path), escalate="medium", collect=False)
    eventually(lambda: job.counts() and len(begun(tmp_path)) == 2, within_s=60)
    (larger,) = larger_jobs(job.state)
    job.cancel()
    assert job.wait(60).counts() == {"cancelled": 1}
    assert fanfold.get_job(larger.name).wait(60).status == "Cancelled"
    (tmp_path / "go").touch()
    assert job.retry().wait(60).results() == [1]


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("where", [{}, pytest.param({"instance_type": "small"}, marks=pytest.mark.long)])
def test_a_cancel_between_two_steps_loses_none(eventually, tmp_path, where):
    job = fanfold.submit(two_steps, range(2), folder=str(tmp_path), collect=False, **where)
    computed = tmp_path / "computed"
    eventually(lambda: job.counts().get("running") and computed.exists() and computed.read_text().strip())
    job.cancel()
    job.wait(60)
    before = sorted(computed.read_text().split())
    (tmp_path / "go").touch()
    assert job.retry().wait(60).results() == [2, 3]
    again = sorted(computed.read_text().split())
    assert again == sorted({*before, "0", "1"}), "what had been kept is not computed again"


@pytest.mark.parametrize("lasts_s", [4, pytest.param(60, marks=pytest.mark.long)])
def test_a_ramp_goes_on_after_nothing_has_answered_for_a_while(on_cloud, tmp_path, lasts_s, eventually):
    job = fanfold.submit(held, range(6), folder=str(tmp_path), ramp=[1, 3], collect=False)
    eventually(lambda: len(begun(tmp_path)) == 1)
    (tmp_path / "go").touch()  # the first stage ends while nobody can be told so
    outage = threading.Thread(target=on_cloud.freeze, args=(lasts_s,))
    outage.start()
    assert job.wait(lasts_s + 90).results() == list(range(6))
    outage.join()
    assert stages_of(job) == [6]
    assert all(job[index].attempt == 0 or job[index].status is RunStatus.SUCCEEDED for index in range(6))


@pytest.mark.long
def test_a_ramp_goes_on_where_step_functions_refuses_its_starts_for_now(on_cloud, tmp_path, eventually):
    job = fanfold.submit(held, range(6), folder=str(tmp_path), ramp=[1, 3], max_retry=0, collect=False)
    eventually(lambda: len(begun(tmp_path)) == 1)
    on_cloud.refuse("throttle", "states", "StartExecution", times=12)
    (tmp_path / "go").touch()
    assert job.wait(90).results() == list(range(6)), "a start that was refused costs no try"
    assert on_cloud.end_faults() < 12, "it was refused"


@pytest.mark.parametrize("path", ["express", "distributed", "dedicated"])
def test_what_was_refused_as_a_whole_is_started_again_soon_and_costs_no_try(on_cloud, path):
    engine = engine_for("aws")
    header = fanfold.submit(slow_once, [0], collect=False).wait(60).header
    runs = [RunRef(0, 7)]
    refused = make_dispatch(path, runs)._replace(state=REFUSED)
    started = engine.paths[path]
    machine = header._replace(instance_type="small")
    assert started.fate(machine, refused, 1.0) is None, "AWS is left in peace for a moment"
    assert started.fate(machine, refused, 11.0).throttled
    assert started.fate(machine, refused._replace(state="starting"), 11.0) is None, "it may be under way"
    assert started.lasts_s(refused) < 60 < started.lasts_s(refused._replace(state="starting"))


@pytest.mark.usefixtures("on_cloud")
def test_a_ramp_whose_budget_is_spent_goes_on_with_a_higher_one_and_all_its_tries(eventually, tmp_path):
    wanted = {"stages": (1, 4), "budget_usd": 0.0001, "max_retry": 2, "retry_on": ("OSError",)}
    constants = {"folder": str(tmp_path)}
    submission, job = asked_for(paid_and_refused_once, range(8), constants=constants, **wanted)
    submission.start()
    eventually(lambda: job.tracker.look().done, within_s=60)
    assert "its budget" in job.state.stop_reason
    assert job.counts()["cancelled"] >= 4, "the last stage has not begun"
    assert job.retry(budget_usd=1).wait(60).results() == list(range(8))
    assert job.cost() > 0.0001


@pytest.mark.usefixtures("on_cloud")
def test_a_budget_that_is_spent_leaves_nothing_for_a_larger_machine(eventually):
    submission, job = asked_for(slow_once, range(3), ladder=("medium",), budget_usd=0.00001)
    submission.start()
    eventually(lambda: job.tracker.look().done, within_s=60)
    larger = job.wait().state.job_events(EventKind.LARGER)
    assert records(larger, LargerRecord) == [], "nothing was started on a machine"
    assert job.status == "Failed"
    told = job.state.stop_reason or job[1].error.message
    assert "budget" in told


def test_a_larger_job_that_was_noted_is_not_made_when_the_budget_has_been_spent_since(monkeypatch):
    submission, job = asked_for(slow_once, range(2), engine="local", ladder=("medium",), budget_usd=1.0)
    stores, engine = job.tracker.engine.stores, job.tracker.engine
    facts = {"status": RunStatus.TIMED_OUT}
    ended = fanfold.core.models.Event.new(job.id, 1, 0, EventKind.FINISHED, **facts)
    noted = LargerRecord(new_job_id(), 1, "medium", 1)
    stores.objects.put_if_absent(work_key(noted.name, "larger"), array("q", [1]).tobytes())
    stores.log.append([ended, to_event(job.id, noted)])
    monkeypatch.setattr("fanfold.engines.larger.cost", lambda _: 1.5)
    larger = Larger(engine, engine.reconcile)
    larger.adopt(read_state(stores.log, submission.header))
    state = read_state(stores.log, submission.header)
    assert state.status_of(1) is RunStatus.TIMED_OUT
    assert state.error(1).message.endswith("the budget of $1.00 leaves nothing for medium")
    with pytest.raises(fanfold.errors.JobNotFound):
        stores.log.get_job(noted.name)
