"""Executions of the deployment's state machines: start, look at, stop."""

from __future__ import annotations

import time
from typing import Any

from fanfold.contract.cloud import MAP_RUN_LABEL
from fanfold.contract.records import NamedTuple
from fanfold.engines.aws.dispatch import Dispatch
from fanfold.engines.aws.paths.base import CUT_OFF, STARTING_S, Fate, LaunchContext, refusal
from fanfold.stores.aws.account import Refused

#: An execution is looked at this rarely: the account may do so 15 times a second, for all its users together.
_LOOK_S = 15.0
#: By the shepherd as soon as it is told of an end.
_LOOK_WHEN_TOLD_S = 0.5
_THERE_ALREADY = "ExecutionAlreadyExists"
_NOT_THERE = ("ExecutionDoesNotExist",)
#: Which of these a Map Run that has ended gets, no document says.
_CANNOT_CHANGE = ("ResourceNotFound", "ValidationException")


class Sight(NamedTuple):
    """What was seen of an execution: `RUNNING`, how it ended, or "" where there is none; and with which error."""

    status: str
    error: str = ""
    cause: str = ""


class Executions:
    """The executions of one deployment."""

    def __init__(self, context: LaunchContext) -> None:
        self._context = context
        self._seen: dict[str, tuple[Sight, float]] = {}

    def start(self, path: str, name: str, given: str) -> None:
        """Start an execution; one of that name that is there already is the same."""
        machine = self._machine(path)
        parameters = {"stateMachineArn": machine, "name": name, "input": given}
        try:
            self._call("start_execution", machine, expected=(_THERE_ALREADY,), **parameters)
        except Refused:
            return
        self._seen.pop(self._arn(path, name), None)

    def look(self, path: str, name: str) -> Sight:
        """What an execution is doing, as of some seconds ago."""
        arn = self._arn(path, name)
        seen = self._seen.get(arn)
        look_s = _LOOK_WHEN_TOLD_S if self._context.is_shepherd else _LOOK_S
        if seen is not None and (seen[0].status not in ("RUNNING", "") or time.monotonic() - seen[1] < look_s):
            return seen[0]
        sight = self._look(arn)
        self._seen[arn] = sight, time.monotonic()
        return sight

    def stop(self, path: str, name: str, cause: str) -> None:
        """Stop an execution, if there is one; machines that it has submitted are terminated with it."""
        arn = self._arn(path, name)
        try:
            self._call("stop_execution", arn, expected=_NOT_THERE, executionArn=arn, error="Cancelled", cause=cause)
        except Refused:
            return

    def map_run(self, path: str, name: str) -> str | None:
        """The ARN of the Map Run that an execution goes on with; None where it has not begun one, or none goes on."""
        arn = self._arn(path, name)
        try:
            answer = self._call("list_map_runs", arn, expected=_NOT_THERE, executionArn=arn)
        except Refused:
            return None
        return next((str(one["mapRunArn"]) for one in answer["mapRuns"] if not one.get("stopDate")), None)

    def limit_map_run(self, arn: str, children: int) -> bool:
        """Have a Map Run go on with at most so many children at once; False where it has ended, or there is none.

        Where that is fewer than before, those that run go on.
        """
        change = {"mapRunArn": arn, "maxConcurrency": children}
        try:
            self._call("update_map_run", arn, expected=_CANNOT_CHANGE, **change)
        except Refused:
            return False
        return True

    def map_runs_arn(self, path: str) -> str:
        """What the ARNs of a state machine's Map Runs begin with."""
        return f"{self._machine(path).replace(':stateMachine:', ':mapRun:')}/{MAP_RUN_LABEL}"

    def fate(self, path: str, name: str, age_s: float, dispatch: Dispatch | None = None) -> Fate | None:
        """Why nothing more comes of a Standard execution, or None while something may."""
        sight = self.look(path, name)
        if sight.status == "RUNNING":
            return None
        if not sight.status:  # nor is one seen, for a moment, that has been started
            refused = None if dispatch is None else refusal(dispatch, age_s)
            return refused or (None if age_s < STARTING_S else CUT_OFF)
        why = ": ".join(filter(None, (sight.error, sight.cause)))
        return Fate(f"its execution has ended ({sight.status.lower()}{f', {why}' if why else ''})")

    def _look(self, arn: str) -> Sight:
        try:
            answer = self._call("describe_execution", arn, expected=_NOT_THERE, executionArn=arn)
        except Refused:
            return Sight("")
        return Sight(str(answer["status"]), str(answer.get("error") or ""), str(answer.get("cause") or ""))

    def _machine(self, path: str) -> str:
        return self._context.descriptor["state_machines"][path]

    def _arn(self, path: str, name: str) -> str:
        return f"{self._machine(path).replace(':stateMachine:', ':execution:')}:{name}"

    def _call(self, operation: str, on: str, *, expected: tuple[str, ...], **parameters: Any) -> dict[str, Any]:
        return self._context.account.call("stepfunctions", operation, on=on, expected=expected, **parameters)
