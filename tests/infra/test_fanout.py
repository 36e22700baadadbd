"""The three state machines: what they take, what they try again, and that one lost run never fails its siblings."""

from __future__ import annotations

import re
from typing import Any

import pytest

from fanfold.contract import cloud, payloads
from fanfold.contract.invocation import Answer, names
from fanfold.contract.layout import REALTIME_TIMEOUT_S
from fanfold.stores.aws import account
from tests.cloud.aws_errors import SUBMIT_THROTTLES
from tests.infra.templates import Templates, listed


def inline_map(templates: Templates, path: str) -> dict[str, Any]:
    states = templates.definition(path)["States"]
    found: dict[str, Any] = states["EachRun"] if path == "express" else _children(templates)["States"]["EachRun"]
    return found


def _children(templates: Templates) -> dict[str, Any]:
    processor: dict[str, Any] = templates.definition("distributed")["States"]["Children"]["ItemProcessor"]
    return processor


def _calls(templates: Templates) -> dict[str, Any]:
    states: dict[str, Any] = inline_map(templates, "express")["ItemProcessor"]["States"]
    return states


def _kind(templates: Templates, path: str) -> str:
    machines = templates.properties("AWS::StepFunctions::StateMachine")
    return next(m["StateMachineType"] for m in machines if m["StateMachineName"].endswith(path))


def test_the_express_machine_alone_is_express(templates: Templates) -> None:
    kinds = {path: _kind(templates, path) for path in ("express", "distributed", "dedicated")}
    assert kinds == {"express": "EXPRESS", "distributed": "STANDARD", "dedicated": "STANDARD"}


def test_a_child_of_the_distributed_machine_is_the_express_machine(templates: Templates) -> None:
    assert inline_map(templates, "distributed") == inline_map(templates, "express")
    assert _children(templates)["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}


def test_the_wide_machine_reads_a_manifest_and_batches_it_as_its_input_says(templates: Templates) -> None:
    children = templates.definition("distributed")["States"]["Children"]
    assert children["ItemReader"]["ReaderConfig"]["InputType"] == "JSONL"
    assert children["ItemReader"]["Parameters"]["Key.$"] == "$.manifest_key"
    batcher = children["ItemBatcher"]
    assert (batcher["MaxItemsPerBatchPath"], batcher["BatchInput"]) == ("$.runs_per_child", {"job.$": "$.job"})
    assert batcher["MaxInputBytesPerBatch"] <= 256 * 1024
    assert children["MaxConcurrencyPath"] == "$.max_children"
    assert [retry["ErrorEquals"] for retry in children["Retry"]] == [["States.ItemReaderFailed"]]


def test_the_wide_machine_tolerates_every_lost_child(templates: Templates) -> None:
    assert templates.definition("distributed")["States"]["Children"]["ToleratedFailurePercentage"] == 100


def test_each_run_is_one_call_with_its_job_and_itself(templates: Templates) -> None:
    body = inline_map(templates, "express")
    assert (body["ItemsPath"], body["MaxConcurrency"]) == ("$.Items", payloads.RUNS_PER_CHILD)
    assert body["ItemSelector"] == {"job.$": "$.BatchInput.job", "run.$": "$$.Map.Item.Value"}
    call = _calls(templates)["Call"]
    assert call["Parameters"] == {"FunctionName.$": "$.run.function", "Payload.$": "$"}
    assert call["ResultPath"] is None  # 40 answers with their metadata would eat the state's 256 KiB


def test_throttles_are_tried_again_with_jitter_and_a_user_s_errors_are_not(templates: Templates) -> None:
    retries = _calls(templates)["Call"]["Retry"]
    assert {retry["JitterStrategy"] for retry in retries} == {"FULL"}
    named = {error for retry in retries for error in retry["ErrorEquals"]}
    assert "Lambda.TooManyRequestsException" in named
    assert not named & {"States.ALL", "States.TaskFailed", "Lambda.Unknown", "Sandbox.Timedout", "Runtime.ExitError"}


def test_every_error_of_invoke_is_waited_for_or_tried_again_as_the_contract_says(templates: Templates) -> None:
    retries = _calls(templates)["Call"]["Retry"]
    waited = next(set(retry["ErrorEquals"]) for retry in retries if retry["MaxAttempts"] > 1)
    again = next(set(retry["ErrorEquals"]) for retry in retries if retry["MaxAttempts"] == 1)
    assert waited == {f"Lambda.{name}" for name in names(Answer.THROTTLED, Answer.NOT_READY)}
    assert again == {f"Lambda.{name}" for name in names(Answer.RETRY)}


@pytest.mark.parametrize("name", SUBMIT_THROTTLES)
@pytest.mark.parametrize("state", ["OneMachine", "ManyMachines"])
def test_a_throttled_submit_job_is_tried_again_under_each_name_that_was_seen(
    templates: Templates, state: str, name: str
) -> None:
    retries = templates.definition("dedicated")["States"][state]["Retry"]
    assert any(name in retry["ErrorEquals"] for retry in retries)


def test_an_execution_of_machines_fails_with_what_batch_says(templates: Templates) -> None:
    states = templates.definition("dedicated")["States"]
    assert (states["MachinesFailed"]["ErrorPath"], states["MachinesFailed"]["CausePath"]) == (
        "$.failure.Error",
        "$.failure.Cause",
    )
    assert "OutputPath" not in states["RecordMachines"]


def test_a_call_has_time_for_a_cold_start_and_who_waits_for_it_has_more(templates: Templates) -> None:
    [limit_s] = {
        function["Timeout"]
        for function in templates.properties("AWS::Lambda::Function")
        if "-run-" in str(function.get("FunctionName"))
    }
    assert limit_s + 15 <= _calls(templates)["Call"]["TimeoutSeconds"] <= account._READ_TIMEOUT_S["lambda"] - 10


def worst_case_s(states: dict[str, Any]) -> float:
    """Seconds a run may take: every wait for a throttle or for its death's record at its longest, and a full call."""
    call, record = states["Call"], states["RecordFailure"]
    waits = sum(_longest_waits_s(retry) for retry in [_for_throttles(call), *record["Retry"]])
    return waits + float(call["TimeoutSeconds"])


def _for_throttles(call: dict[str, Any]) -> dict[str, Any]:
    return next(r for r in call["Retry"] if "Lambda.TooManyRequestsException" in r["ErrorEquals"])


def _longest_waits_s(retry: dict[str, Any]) -> float:
    most, first, rate = retry.get("MaxDelaySeconds", float("inf")), retry["IntervalSeconds"], retry["BackoffRate"]
    return float(sum(min(most, first * rate**n) for n in range(retry["MaxAttempts"])))


def test_the_worst_case_fits_the_300_s_of_an_express_execution(templates: Templates) -> None:
    assert worst_case_s(_calls(templates)) <= 295


def test_a_throttled_run_waits_for_longer_than_any_run_may_take(templates: Templates) -> None:
    assert _longest_waits_s(_for_throttles(_calls(templates)["Call"])) > REALTIME_TIMEOUT_S


def test_an_error_of_lambda_s_own_is_worth_one_more_call(templates: Templates) -> None:
    call = _calls(templates)["Call"]
    assert [retry["MaxAttempts"] for retry in call["Retry"] if retry is not _for_throttles(call)] == [1]


def test_a_death_is_caught_and_written_as_the_run_s_finished_event(templates: Templates) -> None:
    states = _calls(templates)
    assert {tuple(catch["ErrorEquals"]) for catch in states["Call"]["Catch"]} == {
        ("States.ALL",),
        ("States.DataLimitExceeded",),
    }
    assert {(catch["Next"], catch["ResultPath"]) for catch in states["Call"]["Catch"]} == {
        ("RecordFailure", "$.failure")
    }
    item = states["RecordFailure"]["Parameters"]["Item"]
    assert set(item) == set(payloads.FAILED_EXECUTION_ATTRIBUTES)
    assert (item["kind"], item["status"]) == ({"S": "finished"}, {"S": payloads.FAILED_EXECUTION})
    assert item["failure"] == {"S.$": "States.JsonToString($.failure)"}


def test_the_keys_of_a_death_are_those_of_the_contract(templates: Templates) -> None:
    item = _calls(templates)["RecordFailure"]["Parameters"]["Item"]
    assert _rendered(item["pk"]["S.$"], "J", "7") == cloud.event_partition("J", 7)
    assert _rendered(item["sk"]["S.$"], "2026-01-31T14:15:02.123Z", "U") == cloud.event_sort_key(
        "2026-01-31T14:15:02.123Z", "U"
    )


def _rendered(intrinsic: str, *values: str) -> str:
    """What `States.Format` makes of these values."""
    (pattern,) = re.findall(r"^States\.Format\('([^']*)'", intrinsic)
    return str(pattern).format(*values)


@pytest.mark.parametrize("path", ["express", "distributed"])
def test_neither_a_run_nor_a_child_puts_anything_out(templates: Templates, path: str) -> None:
    """A Map that gathers more than 256 KiB from them fails with all its runs done, whatever it does with it."""
    body = inline_map(templates, path)
    for state in (body, *body["ItemProcessor"]["States"].values()):
        assert state["OutputPath"] is None


@pytest.mark.parametrize("path", ["express", "distributed"])
def test_no_lost_run_can_fail_its_siblings(templates: Templates, path: str) -> None:
    states = inline_map(templates, path)["ItemProcessor"]["States"]
    assert [name for name, state in states.items() if state["Type"] == "Fail"] == []
    for state in states.values():
        assert state["Type"] == "Pass" or any("States.ALL" in catch["ErrorEquals"] for catch in state["Catch"])


def test_machines_are_an_array_job_and_one_machine_is_not(templates: Templates) -> None:
    states = templates.definition("dedicated")["States"]
    (choice,) = states["HowMany"]["Choices"]
    assert (choice["Variable"], choice["NumericGreaterThanEquals"]) == ("$.machines", 2)
    many, one = states[choice["Next"]], states[states["HowMany"]["Default"]]
    assert many["Parameters"]["ArrayProperties"] == {"Size.$": "$.machines"}
    assert "ArrayProperties" not in one["Parameters"]
    assert many["Resource"] == one["Resource"] == "arn:aws:states:::batch:submitJob.sync"


def test_a_machine_learns_its_job_from_its_environment(templates: Templates) -> None:
    parameters = templates.definition("dedicated")["States"]["OneMachine"]["Parameters"]
    assert parameters["ContainerOverrides"]["Environment"] == [{"Name": cloud.ENV_JOB, "Value.$": "$.job.id"}]
    assert parameters["Tags"]["fanfold:deployment"] == "main"


def test_machines_that_fail_leave_an_event_that_says_why(templates: Templates) -> None:
    states = templates.definition("dedicated")["States"]
    item = states["RecordMachines"]["Parameters"]["Item"]
    assert set(item) == set(payloads.FAILED_EXECUTION_ATTRIBUTES)
    assert (item["kind"], item["index"]) == ({"S": "execution_failure"}, {"N": "-1"})
    assert states["RecordMachines"]["Next"] == states["RecordMachinesFailed"]["Next"] == "MachinesFailed"


def test_tracing_is_one_setting_of_function_and_machines(tuned: Templates, full: Templates) -> None:
    traced = full.run_functions()
    assert [function["TracingConfig"] for function in traced] == [{"Mode": "Active"}] * len(traced)
    assert "xray:PutTraceSegments" in {a for s in full.statements_of("RealtimeRole") for a in listed(s["Action"])}
    assert tuned.run_function().get("TracingConfig", {}).get("Mode") != "Active"
    machines = tuned.properties("AWS::StepFunctions::StateMachine")
    assert [machine["TracingConfiguration"] for machine in machines] == [{"Enabled": False}] * 3
    assert "xray:" not in str([s["Action"] for _, s in tuned.statements()])


def test_logging_and_tracing_are_on_without_the_users_data(templates: Templates) -> None:
    for machine in templates.properties("AWS::StepFunctions::StateMachine"):
        assert machine["TracingConfiguration"] == {"Enabled": True}
        assert machine["LoggingConfiguration"]["Level"] == "ALL"
        assert machine["LoggingConfiguration"]["IncludeExecutionData"] is False
