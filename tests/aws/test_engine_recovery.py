"""The AWS engine after something broke off: starts that were cut off, runs that are lost, clients that are gone."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from itertools import chain, repeat
from types import SimpleNamespace

import pytest

from fanfold.contract import cloud as contract
from fanfold.core.fold import fold
from fanfold.core.models import Event, EventKind, RunError, RunRef, RunStatus
from fanfold.core.options import Retry
from fanfold.engines.aws import AwsEngine, dispatch, reconcile
from fanfold.engines.aws.discovery import discover
from fanfold.engines.aws.work import Work
from fanfold.engines.base import note_submitted_here, submitted_here_marker
from fanfold.errors import ConfigurationError, DeploymentGone, StoreError, StoreUnavailable
from fanfold.job.waiting import Tracker, waiting_for
from fanfold.settings import configure
from tests.aws.an_engine import carry_out, cut_off_between_any_two_calls, double, execution_arns, new_dispatch, the_past
from tests.aws.emulated import Emulated
from tests.aws.faults import bad_day
from tests.aws.udfs import put_job
from tests.stores.samples import finished


@pytest.mark.parametrize("count", [1, 60, 1001])
def test_a_start_that_is_cut_off_between_any_two_calls_can_be_repeated(engine, in_process, account, fresh, count):
    header = put_job(engine.stores, double, list(range(count)), cache=False)
    runs = [RunRef(index) for index in range(count)]
    with Emulated(account, in_process) as emulated:
        assert cut_off_between_any_two_calls(account, lambda: engine.start(header, runs)) >= 2
        engine.paths[dispatch.DIRECT].wait()
        carry_out(engine, emulated)
    state = fresh(header)
    assert state.counts()[RunStatus.SUCCEEDED] == count


def test_a_start_of_machines_that_is_cut_off_lays_out_its_work_once(engine, account):
    header = put_job(engine.stores, double, list(range(5)), instance_type_name="small", max_workers=2)
    runs = [RunRef(index) for index in range(5)]
    with Emulated(account, lambda payload: None) as emulated:
        assert cut_off_between_any_two_calls(account, lambda: engine.start(header, runs)) >= 3
    [given] = emulated.executions.values()
    assert given["machines"] == 2
    work = Work(engine.stores, header.id)
    assert [run.index for run in work.take(10)] == list(range(5))
    assert work.take(10) == []


@pytest.mark.parametrize("count", [60, 1001])
def test_a_client_killed_within_start_leaves_a_job_that_another_client_goes_on_with(
    engine, in_process, account, fresh, monkeypatch, count
):
    header = put_job(engine.stores, double, list(range(count)), cache=False)
    runs = [RunRef(index) for index in range(count)]
    said = dispatch.to_event(header.id, new_dispatch(header, runs), "starting")
    engine.stores.log.append([said])  # and then it was killed
    assert engine.reconcile(header, fresh(header)) is False
    the_past(monkeypatch, 200)
    engine.looked_at.clear()
    with Emulated(account, in_process) as emulated:
        assert engine.reconcile(header, fresh(header))  # lost, every one
        assert engine.reconcile(header, fresh(header))  # and started again
        carry_out(engine, emulated)
    state = fresh(header)
    assert state.counts()[RunStatus.SUCCEEDED] == count
    assert state.attempt_of(0) == 1


def test_the_shepherd_starts_no_run_that_its_client_never_came_to_start(
    engine, in_process, account, fresh, monkeypatch
):
    """Its client may still be looking into the cache."""
    header = put_job(engine.stores, double, list(range(4)), cache=False)
    first_stage = new_dispatch(header, [RunRef(0), RunRef(1)])
    engine.stores.log.append([dispatch.to_event(header.id, first_stage, "starting")])
    engine.serve_everyone()
    the_past(monkeypatch, 2_000)
    with Emulated(account, in_process) as emulated:
        for _ in range(3):
            engine.looked_at.clear()
            engine.reconcile(header, fresh(header))
        carry_out(engine, emulated)
    state = fresh(header)
    assert [state.status_of(index).value for index in range(4)] == ["succeeded", "succeeded", "queued", "queued"]
    assert engine.inspector.wait_s(header, state) >= 60


@pytest.fixture(scope="module")
def a_process_that_has_ended():
    """As it has told of itself."""
    tell = "from fanfold.core.processes import this_process; print(this_process(), end='')"
    return subprocess.run([sys.executable, "-c", tell], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("path", ["none", contract.EXPRESS, contract.DISTRIBUTED, dispatch.DIRECT])
def test_a_submitter_of_this_machine_that_was_killed_is_not_waited_for(
    engine, in_process, account, fresh, monkeypatch, path, a_process_that_has_ended
):
    count = 1 if path == dispatch.DIRECT else 30
    header = put_job(engine.stores, double, list(range(count)), max_workers=3 if path == contract.DISTRIBUTED else None)
    runs = [RunRef(index) for index in range(count)]
    note_submitted_here(header.id)  # this process, which lives
    if path != "none":
        engine.stores.log.append([dispatch.to_event(header.id, new_dispatch(header, runs), "starting")])
    the_past(monkeypatch, 30)
    assert engine.reconcile(header, fresh(header)) is False
    engine.looked_at.clear()
    submitted_here_marker(header.id).write_text(a_process_that_has_ended)
    began = Event.new(header.id, 0, 0, EventKind.STARTED)
    engine.stores.log.append([began] if count > 1 else [])
    with Emulated(account, in_process) as emulated:
        assert engine.reconcile(header, fresh(header))  # lost, where they were about to be started
        engine.reconcile(header, fresh(header))
        engine.paths[dispatch.DIRECT].wait()
        carry_out(engine, emulated)
    state = fresh(header)
    assert state.counts()[RunStatus.SUCCEEDED] == count if path == "none" or count == 1 else count - 1
    assert state.attempt_of(0) == 0 or count == 1  # it had begun, and goes on


#: For so long after what an event tells, somebody may honestly still be at it.
STILL_AT_IT = {
    "who has said that it starts": ("starting", 15),
    "an execution that lives for 300 s": ("started", 300),
}


@pytest.mark.parametrize(("state", "age_s"), STILL_AT_IT.values(), ids=STILL_AT_IT)
def test_a_client_whose_clock_is_90_s_ahead_takes_nobody_for_dead(engine, fresh, monkeypatch, state, age_s):
    header = put_job(engine.stores, double, list(range(80)), max_retry=0)
    given = new_dispatch(header, [RunRef(index) for index in range(80)])
    engine.stores.log.append([dispatch.to_event(header.id, given, state)])
    the_past(monkeypatch, age_s + 90)
    assert engine.reconcile(header, fresh(header)) is False
    assert fresh(header).counts()[RunStatus.QUEUED] == 80


def test_a_run_that_uses_all_its_time_is_not_lost_to_a_client_whose_clock_is_90_s_ahead(engine, fresh, monkeypatch):
    header = put_job(engine.stores, double, [1, 2], max_retry=0)
    given = new_dispatch(header, [RunRef(0), RunRef(1)])
    started = [Event.new(header.id, index, 0, EventKind.STARTED) for index in range(2)]
    engine.stores.log.append([dispatch.to_event(header.id, given, "started"), *started])
    the_past(monkeypatch, 125 + 90)  # as long as the state machine waits for one call
    assert engine.reconcile(header, fresh(header)) is False


def test_runs_that_are_lost_again_and_again_are_lost_for_good_with_the_reason(engine, account, fresh, monkeypatch):
    header = put_job(engine.stores, double, [1, 2], max_retry=1)
    clock = 0
    with Emulated(account, lambda payload: None):
        engine.start(header, [RunRef(0), RunRef(1)])
        for _ in range(6):
            clock += 1000
            with monkeypatch.context() as patched:
                the_past(patched, clock)
                engine.looked_at.clear()
                if not engine.reconcile(header, fresh(header)):
                    break
    state = fresh(header)
    assert state.done
    assert [state.status_of(index) for index in range(2)] == [RunStatus.LOST] * 2
    assert state.attempt_of(0) == 1
    assert "ended without reporting this run" in state.error(0).message


def test_a_run_that_started_and_passed_its_lease_is_tried_again(engine, in_process, account, fresh, monkeypatch):
    header = put_job(engine.stores, double, [1, 2])
    with Emulated(account, in_process) as emulated:
        engine.start(header, [RunRef(0), RunRef(1)])
        long_ago = time.time() - 300
        engine.stores.log.append([Event.new(header.id, 0, 0, EventKind.STARTED, at=long_ago), finished(header.id, 1)])
        emulated.executions.clear()
        assert engine.reconcile(header, fresh(header))
        engine.reconcile(header, fresh(header))
        carry_out(engine, emulated)
    state = fresh(header)
    assert state.counts()[RunStatus.SUCCEEDED] == 2
    assert state.attempt_of(0) == 1


def test_a_failed_run_that_is_worth_another_try_is_started_again_at_once(engine, in_process, account, fresh):
    from fanfold.core.models import RunError

    header = put_job(engine.stores, double, [1, 2])
    with Emulated(account, in_process) as emulated:
        engine.start(header, [RunRef(0), RunRef(1)])
        emulated.executions.clear()
        throttled = RunError("Throttled", "", infrastructure=True)
        engine.stores.log.append(
            [
                finished(header.id, 0),
                Event.new(header.id, 1, 0, EventKind.FINISHED, status=RunStatus.FAILED, error=throttled),
            ]
        )
        assert engine.reconcile(header, fresh(header))
        [payload] = emulated.invocations
        assert (payload["run"]["index"], payload["run"]["attempt"]) == (1, 1)


def test_two_clients_do_not_both_start_what_is_due(engine, account, fresh, deployment, tmp_path, monkeypatch):
    header = put_job(engine.stores, double, [1, 2, 3])
    other = AwsEngine(account, discover(account, deployment.name), tmp_path / "other")
    engine.stores.log.job_headers.take_lease(header.id, 2000)
    the_past(monkeypatch, 1000)
    assert other.reconcile(header, fresh(header)) is False
    engine.stores.log.job_headers.release_lease(header.id)
    other.looked_at.clear()
    with Emulated(account, lambda payload: None) as emulated:
        assert other.reconcile(header, fresh(header))
        assert len(emulated.executions) == 1


def test_an_execution_that_ended_early_frees_its_runs(engine, account, fresh, monkeypatch):
    header = put_job(engine.stores, double, [1, 2], instance_type_name="small")
    engine.start(header, [RunRef(0), RunRef(1)])
    assert engine.reconcile(header, fresh(header)) is False
    [arn] = execution_arns(engine, header, fresh(header))
    account.client("stepfunctions").stop_execution(executionArn=arn)
    monkeypatch.setattr("fanfold.engines.aws.paths.executions._LOOK_S", 0.0)
    engine.looked_at.clear()
    assert engine.reconcile(header, fresh(header))
    state = fresh(header)
    assert state.error(0).type == "Lost"
    assert "aborted" in state.error(0).message
    engine.looked_at.clear()
    with Emulated(account, lambda payload: None) as emulated:
        assert engine.reconcile(header, state)
    [given] = emulated.executions.values()
    assert given["queue"].startswith("q-")


def test_what_a_submitter_is_about_to_start_stage_by_stage_is_left_to_it(engine, account, fresh, monkeypatch):
    header = put_job(engine.stores, double, [1, 2, 3])
    with Emulated(account, lambda payload: None) as emulated:
        engine.start(header, [RunRef(0)])
        engine.paths[dispatch.DIRECT].wait()
        engine.stores.log.append([finished(header.id, 0)])
        the_past(monkeypatch, 30)
        assert engine.reconcile(header, fresh(header)) is False
        the_past(monkeypatch, 1000)  # it is gone, most likely
        engine.looked_at.clear()
        assert engine.reconcile(header, fresh(header))
    [given] = emulated.executions.values()
    assert [item["index"] for item in given["Items"]] == [1, 2]


def test_a_job_that_was_written_down_a_moment_ago_is_not_started_by_onlookers(engine, fresh):
    header = put_job(engine.stores, double, [1, 2, 3])
    assert engine.reconcile(header, fresh(header)) is False


def test_looking_at_another_owner_s_job_starts_nothing(engine, account, fresh, monkeypatch):
    header = put_job(engine.stores, double, [1, 2, 3], instance_type_name="small")
    the_past(monkeypatch, 1000)  # its client was killed before anything was started
    configure(owner="somebody-else")
    with Emulated(account, lambda payload: None) as emulated:
        assert engine.reconcile(header, fresh(header)) is False
        assert emulated.executions == {}
        configure(owner=header.owner)
        engine.looked_at.clear()
        assert engine.reconcile(header, fresh(header))
    assert len(emulated.executions) == 1


def test_who_looks_at_another_owner_s_job_reads_anew_what_he_has_missed(engine, monkeypatch):
    header = put_job(engine.stores, double, [1, 2])
    engine.stores.log.append([finished(header.id, 0)])
    tracker = Tracker(header, engine)
    assert not tracker.look().done
    with monkeypatch.context() as patched:
        the_past(patched, -1000)  # it comes behind what has been read, further than a reader looks back
        engine.stores.log.append([finished(header.id, 1)])
    configure(owner="somebody-else")
    the_past(monkeypatch, 1000)
    engine.looked_at.clear()
    assert tracker.look().done


def test_who_looks_at_another_owner_s_job_learns_that_its_runs_wait_for_their_owner(engine, monkeypatch):
    header = put_job(engine.stores, double, [1, 2])
    configure(owner="somebody-else")
    the_past(monkeypatch, 1000)
    state = Tracker(header, engine).look()
    assert waiting_for(state).startswith(f"waiting for its owner, {header.owner}: nobody performs its runs")


def redeployed(account, deployment, functions):
    changed = {**deployment.descriptor, "functions": functions}
    name = contract.parameter_name(deployment.name)
    account.client("ssm").put_parameter(Name=name, Value=json.dumps(changed), Type="String", Overwrite=True)


def test_a_client_that_stays_up_during_a_deploy_calls_the_new_functions(engine, account, deployment, monkeypatch):
    header = put_job(engine.stores, double, [1, 2], cache=False)
    redeployed(account, deployment, ["renamed"])
    with Emulated(account, lambda payload: None) as emulated:
        engine.start(header, [RunRef(0), RunRef(1)])
        monkeypatch.setattr("fanfold.engines.aws.engine._RETRIED_S", 0.0)
        engine.start(header, [RunRef(0, 1), RunRef(1, 1)])  # the first attempt called functions that are gone
    first, second = emulated.executions.values()
    assert "renamed" not in {item["function"] for item in first["Items"]}
    assert {item["function"] for item in second["Items"]} == {"renamed"}


def test_a_client_that_stays_up_reads_the_descriptor_again_before_a_job(engine, account, deployment, monkeypatch):
    changed = {**deployment.descriptor, "image": {**deployment.descriptor["image"], "identity": "another"}}
    name = contract.parameter_name(deployment.name)
    account.client("ssm").put_parameter(Name=name, Value=json.dumps(changed), Type="String", Overwrite=True)
    assert engine.describe().image != "another"
    monkeypatch.setattr("fanfold.engines.aws.engine._REFRESH_S", 0.0)
    assert engine.describe().image == "another"


def test_a_start_that_meets_something_gone_reads_the_descriptor_and_starts_by_that(engine, account, deployment):
    header = put_job(engine.stores, double, [1, 2], cache=False)
    old = deployment.descriptor["state_machines"][contract.EXPRESS]
    account.client("stepfunctions").delete_state_machine(stateMachineArn=old)
    made = account.client("stepfunctions").create_state_machine(
        name=f"{deployment.name}-renamed",
        definition=json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}),
        roleArn="arn:aws:iam::123456789012:role/states",
    )["stateMachineArn"]
    with pytest.raises(DeploymentGone):
        engine.start(header, [RunRef(0), RunRef(1)])
    machines = {**deployment.descriptor["state_machines"], contract.EXPRESS: made}
    changed = {**deployment.descriptor, "state_machines": machines}
    name = contract.parameter_name(deployment.name)
    account.client("ssm").put_parameter(Name=name, Value=json.dumps(changed), Type="String", Overwrite=True)
    engine.start(header, [RunRef(0), RunRef(1)])


def test_a_run_is_started_again_only_when_its_pause_is_over(engine):
    header = put_job(engine.stores, double, [1, 2], retry=Retry(3, (ValueError,), (100, 400), jitter=False))
    inspector = reconcile.Inspector(engine.paths, engine.account.clock)
    error = RunError("ValueError", "busy", types=("builtins.ValueError",))

    def look(ago_s):
        at = time.time() - ago_s
        events = []
        for index in (0, 1):
            facts = {"status": RunStatus.FAILED, "error": error}
            events.append(Event.new(header.id, index, 0, EventKind.FINISHED, at=at, **facts))
        return inspector.look(header, fold(header, events))

    assert look(90).due == []
    assert [run[:2] for run in look(110).due] == [(0, 1), (1, 1)]


# --- starts that AWS refuses ------------------------------------------------------------------------------------------


@contextmanager
def start_answers(account, answers):
    """Step Functions answers so to the start of an execution of such a number, or of all, and begins none of these."""

    def answer(params, **_):
        number = json.loads(params["body"])["name"].rpartition("-")[2]
        found = answers.get(number) if isinstance(answers, dict) else answers
        if found is None:
            return None
        code, status = found
        parsed = {"Error": {"Code": code, "Message": "said no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
        return SimpleNamespace(status_code=status, headers={}), parsed

    events = account.client("stepfunctions").meta.events
    events.register_first("before-call.sfn.StartExecution", answer)
    try:
        yield
    finally:
        events.unregister("before-call.sfn.StartExecution", answer)


THROTTLED, UNKNOWN = ("ThrottlingException", 400), ("InternalServerError", 500)
DENIED, INVALID = ("AccessDeniedException", 400), ("ValidationException", 400)


def started(emulated, engine):
    """How often each run was handed to a function."""
    return Counter(payload["run"]["index"] for payload in emulated.payloads(engine.stores.objects))


@pytest.mark.parametrize(
    "answers",
    [{"1": THROTTLED}, {"0": THROTTLED, "2": THROTTLED}, {"1": DENIED}, {"0": INVALID, "2": DENIED}],
    ids=["one", "two", "one denied", "two denied"],
)
def test_of_executions_of_which_aws_refuses_some_these_alone_are_started_again_and_soon(
    engine, in_process, account, fresh, monkeypatch, answers
):
    header = put_job(engine.stores, double, list(range(100)), max_retry=0)
    with Emulated(account, in_process) as emulated:
        with start_answers(account, answers), pytest.raises((StoreError, ConfigurationError)):
            engine.start(header, [RunRef(index) for index in range(100)])
        emulated.executions = {
            name: given for name, given in emulated.executions.items() if name[-1] not in answers or name[-2] != "-"
        }
        assert engine.reconcile(header, fresh(header)) is False, "AWS is left in peace for a moment"
        the_past(monkeypatch, 11)
        for _ in range(2):
            engine.looked_at.clear()
            engine.reconcile(header, fresh(header))
        assert started(emulated, engine) == dict.fromkeys(range(100), 1)
        carry_out(engine, emulated)
    state = fresh(header)
    assert state.counts()[RunStatus.SUCCEEDED] == 100, "what was refused has cost no try"


@pytest.mark.parametrize(
    ("answer", "kind"), [(DENIED, ConfigurationError), (INVALID, StoreError)], ids=["denied", "invalid"]
)
@pytest.mark.parametrize("count", [80, 1_100], ids=["express", "distributed"])
def test_a_start_that_aws_refuses_is_told_at_once_to_all_who_look_and_made_again_soon(
    engine, account, fresh, monkeypatch, answer, kind, count
):
    header = put_job(engine.stores, double, list(range(count)), max_retry=0)
    runs = [RunRef(index) for index in range(count)]
    with Emulated(account, lambda payload: None) as emulated:
        with start_answers(account, answer), pytest.raises(kind) as refused:
            engine.start(header, runs)
        assert refused.value.refused
        assert waiting_for(fresh(header)) == refused.value.message
        assert engine.reconcile(header, fresh(header)) is False, "AWS is left in peace for a moment"
        emulated.executions.clear()
        the_past(monkeypatch, 11)
        for _ in range(2):
            engine.looked_at.clear()
            engine.reconcile(header, fresh(header))
        assert emulated.executions


def test_of_executions_of_which_nobody_knows_whether_they_began_none_is_started_again_soon(
    engine, in_process, account, fresh, monkeypatch
):
    header = put_job(engine.stores, double, list(range(100)))
    with Emulated(account, in_process) as emulated:
        with start_answers(account, {"0": UNKNOWN, "1": THROTTLED}), pytest.raises(StoreUnavailable):
            engine.start(header, [RunRef(index) for index in range(100)])
        emulated.executions.clear()
        the_past(monkeypatch, 11)
        for _ in range(2):
            engine.looked_at.clear()
            engine.reconcile(header, fresh(header))
        assert started(emulated, engine) == dict.fromkeys(range(40, 80), 1), "only what was refused"
        the_past(monkeypatch, 200)
        for _ in range(2):
            engine.looked_at.clear()
            engine.reconcile(header, fresh(header))
        assert set(started(emulated, engine)) == set(range(100))


def test_runs_that_cannot_be_told_apart_from_others_are_not_taken_for_refused():
    scattered = [RunRef(index) for index in range(0, 4_000, 2)]
    whole = dispatch.make_dispatch(contract.EXPRESS, scattered)
    assert dispatch.split(whole, scattered, {run[:2] for run in scattered[::2]}) == []
    begun, refused = dispatch.split(whole, scattered, {run[:2] for run in scattered[:1_000]})
    assert begun.name == whole.name != refused.name == dispatch.make_dispatch(contract.EXPRESS, scattered[:1_000]).name
    assert [(begun.covers(*run[:2]), refused.covers(*run[:2])) for run in (scattered[0], scattered[-1])] == [
        (False, True),
        (True, False),
    ]


@pytest.mark.parametrize("call", [("stepfunctions", "list_state_machines"), ("s3", "list_buckets")], ids=str)
@pytest.mark.parametrize(("first", "refused"), [("throttle", True), ("500 after", False)])
def test_a_call_is_refused_only_where_no_earlier_try_of_it_may_have_arrived(account, call, first, refused):
    account.client(call[0])
    moods = chain([first], repeat("throttle"))
    with bad_day(account, lambda _: next(moods)), account.within(0.3), pytest.raises(StoreUnavailable) as told:
        account.call(*call, on="all")
    assert told.value.refused is refused
