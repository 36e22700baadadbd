"""Which state machine definitions this cloud runs: those that use only what the interpreter implements."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from tests.cloud.refusals import NotEmulated
from tests.cloud.states.values import check_template

INVOKE, PUT_ITEM, SUBMIT_JOB, GET_OBJECT = (
    "arn:aws:states:::lambda:invoke",
    "arn:aws:states:::dynamodb:putItem",
    "arn:aws:states:::batch:submitJob.sync",
    "arn:aws:states:::s3:getObject",
)

_MACHINE = {"StartAt", "States", "TimeoutSeconds", "Comment"}
_ANY = {"Type", "Comment"}
_GOES_ON = {"Next", "End"}
_FIELDS: dict[str, set[str]] = {
    "Task": _GOES_ON | {"Resource", "Parameters", "ResultPath", "OutputPath", "TimeoutSeconds", "Retry", "Catch"},
    "Map": _GOES_ON | {"ItemsPath", "ItemSelector", "ItemProcessor", "MaxConcurrency", "ResultPath", "OutputPath"},
    "Choice": {"Choices", "Default"},
    "Pass": _GOES_ON | {"OutputPath"},
    "Fail": {"Error", "Cause", "ErrorPath", "CausePath"},
}
_DISTRIBUTED = {
    *("ItemProcessor", "ItemReader", "ItemBatcher", "MaxConcurrencyPath", "ToleratedFailurePercentage"),
    *("Label", "ResultPath", "OutputPath", "Retry"),
}
_RETRIER = {"ErrorEquals", "IntervalSeconds", "MaxAttempts", "BackoffRate", "JitterStrategy", "MaxDelaySeconds"}
_CATCHER = {"ErrorEquals", "ResultPath", "Next"}
#: States.TaskFailed, States.Permissions and others stand for groups of errors that the interpreter does not know.
_ERROR = re.compile(r"(?!States\.)[A-Za-z0-9]+\.[A-Za-z0-9]+|States\.(ALL|DataLimitExceeded|Timeout|ItemReaderFailed)")


def parse(text: str, kind: str) -> dict[str, Any]:
    """The definition of a machine of that kind (STANDARD, EXPRESS). Raises `NotEmulated` for any field not known."""
    definition: dict[str, Any] = json.loads(text)
    _only(definition, _MACHINE, "a state machine")
    _check_states(definition, kind)
    return definition


def _check_states(body: Mapping[str, Any], kind: str) -> None:
    states = body["States"]
    _reachable(body["StartAt"], states)
    for name, state in states.items():
        distributed = _mode(state) == "DISTRIBUTED"
        known = _DISTRIBUTED | _GOES_ON if distributed else _FIELDS.get(state["Type"])
        if known is None:
            raise NotEmulated(f"state {name}: the type {state['Type']}")
        _only(state, known | _ANY, f"state {name}")
        if state["Type"] in ("Task", "Map") and state.get("ResultPath", "$") is not None:
            raise NotEmulated(f"state {name}: a ResultPath other than null")
        if state.get("OutputPath") is not None:
            raise NotEmulated(f"state {name}: an OutputPath other than null")
        for target in _targets(state):
            _reachable(target, states)
        _CHECKS.get(state["Type"], lambda *_: None)(name, state, kind)


def _check_task(name: str, state: Mapping[str, Any], kind: str) -> None:
    resource = state["Resource"]
    if resource not in (INVOKE, PUT_ITEM, SUBMIT_JOB):
        raise NotEmulated(f"state {name}: the resource {resource}")
    if resource.endswith(".sync") and kind == "EXPRESS":
        # https://docs.aws.amazon.com/step-functions/latest/dg/choosing-workflow-type.html
        raise NotEmulated(f"state {name}: Express workflows cannot wait for a job (.sync), on AWS neither")
    check_template(state["Parameters"])
    _check_retriers(name, state)
    for catcher in state.get("Catch", []):
        _only(catcher, _CATCHER, f"a catcher of {name}")
        _check_errors(name, catcher)


def _check_retriers(name: str, state: Mapping[str, Any]) -> None:
    for retrier in state.get("Retry", []):
        _only(retrier, _RETRIER, f"a retrier of {name}")
        _check_errors(name, retrier)
        if retrier.get("JitterStrategy", "NONE") not in ("NONE", "FULL"):
            raise NotEmulated(f"state {name}: the jitter {retrier['JitterStrategy']}")


def _check_errors(name: str, rule: Mapping[str, Any]) -> None:
    strange = [error for error in rule["ErrorEquals"] if not _ERROR.fullmatch(error)]
    if strange:
        raise NotEmulated(f"state {name}: the errors {strange}")


def _check_map(name: str, state: Mapping[str, Any], kind: str) -> None:
    processor = state["ItemProcessor"]
    _only(processor, {"ProcessorConfig", "StartAt", "States"}, f"the processor of {name}")
    if _mode(state) != "DISTRIBUTED":
        _only(processor["ProcessorConfig"], {"Mode"}, f"the processor of {name}")
        check_template(state["ItemSelector"])
        _check_states(processor, kind)
        return
    if kind == "EXPRESS":
        raise NotEmulated(f"state {name}: Express workflows cannot hold a Distributed Map, on AWS neither")
    if processor["ProcessorConfig"] != {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}:
        raise NotEmulated(f"state {name}: children of the configuration {processor['ProcessorConfig']}")
    reader, batcher = state["ItemReader"], state["ItemBatcher"]
    _only(reader, {"Resource", "ReaderConfig", "Parameters"}, f"the reader of {name}")
    if reader["Resource"] != GET_OBJECT or reader["ReaderConfig"] != {"InputType": "JSONL"}:
        raise NotEmulated(f"state {name}: reading with {reader}")
    _only(batcher, {"MaxItemsPerBatchPath", "MaxInputBytesPerBatch", "BatchInput"}, f"the batcher of {name}")
    _check_retriers(name, state)
    check_template(reader["Parameters"])
    check_template(batcher["BatchInput"])
    _check_states(processor, "EXPRESS")


def _check_choice(name: str, state: Mapping[str, Any], kind: str) -> None:
    for rule in state["Choices"]:
        _only(rule, {"Variable", "NumericGreaterThanEquals", "Next"}, f"a rule of {name}")


_CHECKS = {"Task": _check_task, "Map": _check_map, "Choice": _check_choice}


def _mode(state: Mapping[str, Any]) -> str:
    return str(state.get("ItemProcessor", {}).get("ProcessorConfig", {}).get("Mode", ""))


def _targets(state: Mapping[str, Any]) -> list[str]:
    rules = [*state.get("Catch", []), *state.get("Choices", [])]
    named = [state[field] for field in ("Next", "Default") if field in state]
    return named + [rule["Next"] for rule in rules]


def _reachable(target: str, states: Mapping[str, Any]) -> None:
    if target not in states:
        raise NotEmulated(f"a state {target}, which is not there")


def _only(given: Mapping[str, Any], known: set[str], where: str) -> None:
    strange = sorted(given.keys() - known)
    if strange:
        raise NotEmulated(f"{where}: the fields {', '.join(strange)}")
