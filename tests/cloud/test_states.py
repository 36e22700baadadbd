"""State machines as AWS runs them: order, retries, catches, maps and limits; and what is refused instead of guessed."""

from __future__ import annotations

import json
import re
import threading
from contextlib import contextmanager

import pytest

from tests.cloud.refusals import NotEmulated
from tests.cloud.states.definition import INVOKE, SUBMIT_JOB, parse
from tests.cloud.states.interpreter import STATE_BYTES, Execution, Stopped, Surroundings
from tests.cloud.states.map_runs import CannotChange, MapRuns
from tests.cloud.states.values import StateFailed, evaluate, fill

INPUT = {"job": {"id": "j1", "expires_at": 7}, "run": {"index": 3}, "n": 2}
CONTEXT = {"Execution": {"Id": "arn:x"}, "Map": {"Item": {"Value": "v"}}}


def call(**more):
    return {"Type": "Task", "Resource": INVOKE, "Parameters": {"given.$": "$"}, "ResultPath": None, "End": True, **more}


def each(processor, **more):
    return {
        "Type": "Map",
        "ItemsPath": "$.Items",
        "ItemSelector": {"run.$": "$$.Map.Item.Value"},
        "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "Call", "States": processor},
        "ResultPath": None,
        "End": True,
        **more,
    }


def distributed(processor, **more):
    body = {"StartAt": "Each", "States": {"Each": each(processor)}}
    return {
        "Type": "Map",
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSONL"},
            "Parameters": {"Bucket": "b", "Key.$": "$.key"},
        },
        "ItemBatcher": {
            "MaxItemsPerBatchPath": "$.each",
            "MaxInputBytesPerBatch": 1000,
            "BatchInput": {"job.$": "$.job"},
        },
        "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}, **body},
        "MaxConcurrencyPath": "$.max",
        "ResultPath": None,
        "End": True,
        **more,
    }


def machine(*, kind="STANDARD", **states):
    return parse(json.dumps({"StartAt": next(iter(states)), "States": states}), kind)


class Service:
    """Stands in for what is called: remembers each call, and fails as often as it is told to."""

    def __init__(self, *errors, items=()):
        self.errors = list(errors)
        self.items = list(items)
        self.calls = []
        self._lock = threading.Lock()

    def __call__(self, resource, parameters, execution):
        with self._lock:
            self.calls.append(parameters.get("given"))
            error = self.errors.pop(0) if self.errors else None
        if error:
            raise StateFailed(error, "why")
        return {}

    def run(self, body, given, **limits):
        surroundings = Surroundings(self, lambda *_: self.items, wait_scale=0)
        self.execution = Execution("arn:aws:states:r:a:execution:m:e", surroundings, limits.get("timeout_s"))
        return self.execution.run(body, given)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$", INPUT),
        ("$.job.id", "j1"),
        ("$$.Execution.Id", "arn:x"),
        ("States.Format('job#{}#{}', $.job.id, $.run.index)", "job#j1#3"),
        ("States.Format('{}#{}', $.job.id, '0')", "j1#0"),
        ("States.JsonToString($.run)", '{"index":3}'),
        ("States.Format('<{}>', States.JsonToString($.run))", '<{"index":3}>'),
    ],
)
def test_paths_and_functions(text, expected):
    assert evaluate(text, INPUT, CONTEXT) == expected


def test_every_uuid_is_another():
    first, second = (evaluate("States.UUID()", {}, {}) for _ in range(2))
    assert first != second
    assert re.fullmatch(r"[0-9a-f-]{36}", first)


def test_a_template_keeps_what_is_no_path():
    template = {"a": {"N.$": "States.Format('{}', $.n)"}, "b": [{"c.$": "$.run.index"}], "d": "$.n"}
    assert fill(template, INPUT, CONTEXT) == {"a": {"N": "2"}, "b": [{"c": 3}], "d": "$.n"}


def test_a_path_that_leads_nowhere_fails_the_state():
    with pytest.raises(StateFailed, match=r"States\.Runtime: The JSONPath '\$\.nobody'"):
        evaluate("$.nobody", INPUT, CONTEXT)


def test_a_task_is_tried_again_as_often_as_its_retrier_says():
    retry = [{"ErrorEquals": ["Lambda.Throttled"], "MaxAttempts": 2}]
    service = Service("Lambda.Throttled", "Lambda.Throttled")
    assert service.run(machine(Call=call(Retry=retry)), {"x": 1}) == {"x": 1}
    assert len(service.calls) == 3
    with pytest.raises(StateFailed, match=r"Lambda\.Throttled: why"):
        Service(*["Lambda.Throttled"] * 3).run(machine(Call=call(Retry=retry)), {})


def test_each_retrier_counts_for_itself():
    rules = [{"ErrorEquals": [error], "MaxAttempts": 1} for error in ("Lambda.A", "Lambda.B")]
    service = Service("Lambda.A", "Lambda.B")
    service.run(machine(Call=call(Retry=rules)), {})
    for error in ("Lambda.A", "Lambda.B"):
        with pytest.raises(StateFailed, match=error):
            Service("Lambda.A", "Lambda.B", error).run(machine(Call=call(Retry=rules)), {})


def test_a_caught_error_goes_on_with_what_happened():
    catch = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.failure", "Next": "Tell"}]
    body = machine(Call=call(Catch=catch), Tell={"Type": "Pass", "End": True})
    assert Service("Lambda.X").run(body, {"x": 1}) == {"x": 1, "failure": {"Error": "Lambda.X", "Cause": "why"}}


def test_all_errors_are_all_but_too_much_data():
    catch = [{"ErrorEquals": ["States.ALL"], "ResultPath": None, "Next": "Tell"}]
    body = machine(Call=call(Catch=catch), Tell={"Type": "Pass", "End": True})
    with pytest.raises(StateFailed, match=r"States\.DataLimitExceeded"):
        Service("States.DataLimitExceeded").run(body, {})


def test_a_state_holds_256_kib():
    body = machine(Call=call())
    Service().run(body, {"x": "a" * (STATE_BYTES - 100)})
    with pytest.raises(StateFailed, match=r"States\.DataLimitExceeded"):
        Service().run(body, {"x": "ä" * (STATE_BYTES // 2)})


def test_a_choice_takes_the_first_rule_that_holds():
    rule = {"Variable": "$.n", "NumericGreaterThanEquals": 2, "Next": "Many"}
    choice = {"Type": "Choice", "Choices": [rule], "Default": "One"}
    body = machine(Choice=choice, One={"Type": "Pass", "End": True}, Many={"Type": "Fail", "Error": "E", "Cause": "C"})
    assert Service().run(body, {"n": 1}) == {"n": 1}
    with pytest.raises(StateFailed, match="E: C"):
        Service().run(body, {"n": 2})


def test_an_inline_map_calls_for_each_item():
    service = Service()
    service.run(machine(Each=each({"Call": call()})), {"Items": [1, 2, 3]})
    assert sorted(call["run"] for call in service.calls) == [1, 2, 3]


def test_a_map_run_starts_a_child_for_every_batch():
    service = Service(items=[{"i": i} for i in range(100)])
    service.run(machine(Children=distributed({"Call": call()})), {"key": "k", "job": {"id": "j"}, "max": 0, "each": 40})
    assert sorted(call["run"]["i"] for call in service.calls) == list(range(100))
    assert [outcome for _, outcome in service.execution.children] == ["SUCCEEDED"] * 3


@pytest.mark.parametrize("dropped", [{}, {"OutputPath": None}])
def test_what_children_put_out_must_fit_into_a_state_though_the_map_drops_it(dropped):
    """Each child's output is its input, unless its last state puts nothing out."""
    service = Service(items=[{"text": "x" * 900} for _ in range(STATE_BYTES // 900)])
    body = machine(Children=distributed({"Call": call()}))
    body["States"]["Children"]["ItemProcessor"]["States"]["Each"].update(dropped)
    given = {"key": "k", "job": {}, "max": 0, "each": 40}
    if dropped:
        assert service.run(body, given) == given
    else:
        with pytest.raises(StateFailed, match=r"States\.DataLimitExceeded"):
            service.run(body, given)


@pytest.mark.parametrize("dropped", [{}, {"OutputPath": None}])
def test_what_iterations_put_out_must_fit_into_a_state(dropped):
    body = machine(Each=each({"Call": call(**dropped)}, ItemSelector={"all.$": "$", "run.$": "$$.Map.Item.Value"}))
    given = {"Items": [1, 2, 3], "job": "j" * (STATE_BYTES // 3)}
    if dropped:
        assert Service().run(body, given) == given
    else:
        with pytest.raises(StateFailed, match=r"States\.DataLimitExceeded"):
            Service().run(body, given)


def test_a_batch_is_cut_where_its_bytes_are_too_many():
    service = Service(items=[{"text": "x" * 300} for _ in range(6)])
    service.run(machine(Children=distributed({"Call": call()})), {"key": "k", "job": {}, "max": 0, "each": 40})
    assert len(service.execution.children) == 2


@pytest.mark.parametrize(("tolerated", "fails"), [(100, False), (49, True), (0, True)])
def test_a_map_run_fails_when_more_children_fail_than_it_tolerates(tolerated, fails):
    service = Service("Lambda.X", items=[{"text": "x" * 300} for _ in range(6)])
    body = machine(Children=distributed({"Call": call()}, ToleratedFailurePercentage=tolerated))
    given = {"key": "k", "job": {}, "max": 1, "each": 40}
    if fails:
        with pytest.raises(StateFailed, match="1 of 2 children failed"):
            service.run(body, given)
    else:
        service.run(body, given)


class Gate:
    """A service whose calls last until they are let go, each by one."""

    def __init__(self, count):
        self.items = [{"i": i} for i in range(count)]
        self.surroundings = Surroundings(self, lambda *_: self.items, wait_scale=0)
        self.begun, self._open = 0, threading.Semaphore(0)
        self._lock = threading.Lock()

    def __call__(self, *_):
        with self._lock:
            self.begun += 1
        assert self._open.acquire(timeout=120)
        return {}

    def let_go(self, count):
        self._open.release(count)


@contextmanager
def map_run_of(gate, at_once):
    """A Map Run over the gate's items, one a child, while it goes on."""
    execution = Execution("arn:aws:states:r:a:execution:m:e", gate.surroundings, None)
    body, given = machine(Children=distributed({"Call": call()})), {"key": "k", "job": {}, "max": at_once, "each": 1}
    thread = threading.Thread(target=execution.run, args=[body, given])
    thread.start()
    try:
        yield lambda: gate.surroundings.map_runs.of(execution.id)[0]
    finally:
        gate.let_go(1_000)
        thread.join()


def changed(run, **what):
    run.change(**{"max_concurrency": None, "percentage": None, "count": None, **what})


def test_a_map_run_takes_a_higher_limit_while_it_goes_on_some_time_after_it_was_told(eventually):
    gate = Gate(9)
    with map_run_of(gate, at_once=2) as of:
        eventually(lambda: gate.begun == 2)
        run = of()
        assert run.arn.startswith("arn:aws:states:r:a:mapRun:m/map:")
        changed(run, max_concurrency=5)
        assert (run.described()["maxConcurrency"], gate.begun) == (5, 2)
        eventually(lambda: gate.begun == 5)
        assert run.most == {2: 2, 5: 5}
    assert (run.status, run.described()["executionCounts"]["succeeded"]) == ("SUCCEEDED", 9)


def test_a_lower_limit_ends_no_child_and_as_soon_as_a_child_ends_another_begins(eventually):
    """So no limit makes a Map Run wait for a judgement: docs/decisions/0026."""
    gate = Gate(9)
    with map_run_of(gate, at_once=3) as of:
        eventually(lambda: gate.begun == 3)
        changed(of(), max_concurrency=1)
        eventually(lambda: of().limit == 1)
        assert (of().running, gate.begun) == (3, 3)
        gate.let_go(3)
        eventually(lambda: gate.begun == 4)
        assert of().listed().get("stopDate") is None


def test_a_map_run_that_has_ended_is_listed_and_cannot_be_changed():
    gate = Gate(2)
    with map_run_of(gate, at_once=0) as of:
        gate.let_go(2)
    assert of().listed()["stopDate"] >= of().listed()["startDate"]
    with pytest.raises(CannotChange, match="is SUCCEEDED"):
        changed(of(), max_concurrency=5)


@pytest.mark.parametrize("what", [{}, {"max_concurrency": -1}, {"percentage": 101.0}])
def test_a_change_that_is_none_is_refused(what):
    run = MapRuns().begin("arn:aws:states:r:a:execution:m:e", "runs", max_concurrency=1, here=1)
    with pytest.raises(CannotChange):
        changed(run, **what)


@pytest.mark.parametrize(("what", "status"), [({"percentage": 100.0}, "SUCCEEDED"), ({"count": 0}, "FAILED")])
def test_how_many_failures_are_tolerated_can_be_changed_too(what, status):
    run = MapRuns().begin("arn:aws:states:r:a:execution:m:e", "runs", max_concurrency=1, here=1, total=4)
    run.tolerated_percentage = 50.0
    changed(run, **what)
    run.note("SUCCEEDED")
    run.note("FAILED Lambda.X: why")
    assert run.has_too_many_failures is (status == "FAILED")


def test_an_execution_ends_at_its_time_limit():
    with pytest.raises(Stopped, match="TIMED_OUT"):
        Service().run(machine(Call=call()), {}, timeout_s=-1)


@pytest.mark.parametrize(
    ("states", "kind", "says"),
    [
        ({"W": {"Type": "Wait", "Seconds": 1, "End": True}}, "STANDARD", "the type Wait"),
        ({"T": call(ResultSelector={})}, "STANDARD", "ResultSelector"),
        ({"T": call(ResultPath="$.x")}, "STANDARD", "ResultPath"),
        ({"T": call(OutputPath="$.x")}, "STANDARD", "OutputPath"),
        ({"T": call(Resource="arn:aws:states:::sqs:sendMessage")}, "STANDARD", "sqs:sendMessage"),
        ({"T": call(Resource=SUBMIT_JOB)}, "EXPRESS", "cannot wait for a job"),
        ({"T": call(Parameters={"a.$": "$.x[0]"})}, "STANDARD", r"the path \$\.x\[0\]"),
        ({"T": call(Parameters={"a.$": "States.Hash($.x, 'MD5')"})}, "STANDARD", r"States\.Hash"),
        ({"T": call(Retry=[{"ErrorEquals": ["States.TaskFailed"]}])}, "STANDARD", r"States\.TaskFailed"),
        ({"T": call(Next="Nowhere")}, "STANDARD", "Nowhere"),
        ({"D": distributed({"Call": call()}, ResultWriter={})}, "STANDARD", "ResultWriter"),
        ({"D": distributed({"Call": call()})}, "EXPRESS", "cannot hold a Distributed Map"),
        ({"D": distributed({"Call": call(Resource=SUBMIT_JOB)})}, "STANDARD", "cannot wait for a job"),
    ],
)
def test_what_is_not_implemented_is_refused(states, kind, says):
    with pytest.raises(NotEmulated, match=says):
        machine(kind=kind, **states)
