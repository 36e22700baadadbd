"""Where moto executes nothing: functions that are invoked here, and executions that this process carries out.

The state machines' own definitions are run by the end-to-end emulation; here they are stood in for by what they do:
call the function once for each item, and write down a death.
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

from botocore.response import StreamingBody

from fanfold.contract import cloud as contract
from fanfold.stores.aws.account import Account
from tests.aws.cloud import Deployment


def make_state_machines(account: Account, deployment: Deployment) -> None:
    """Machines of the descriptor names, with a definition that is never executed."""
    states = account.client("stepfunctions")
    definition = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    for path in (contract.EXPRESS, contract.DISTRIBUTED, contract.DEDICATED):
        states.create_state_machine(
            name=contract.resource_name(deployment.name, path),
            definition=definition,
            roleArn="arn:aws:iam::123456789012:role/states",
        )


class Emulated:
    """Answers `Invoke` and `StartExecution` of an account in this process, while it is entered.

    `invoke` is called with each payload and returns what the function says of an error, or None; an execution is
    remembered, and `payloads` tells what it would call the function with.
    """

    def __init__(self, account: Account, invoke: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
        self._account = account
        self._invoke = invoke
        #: Name and input of every execution that was started.
        self.executions: dict[str, dict[str, Any]] = {}
        self.invocations: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Emulated:
        self._events("register")
        return self

    def __exit__(self, *_: object) -> None:
        self._events("unregister")

    def payloads(self, objects: Any) -> Iterator[dict[str, Any]]:
        """What the state machines would call the function with, of all that was started."""
        for given in list(self.executions.values()):
            items = given.get("Items")
            job = given["BatchInput"]["job"] if items is not None else given["job"]
            if items is None:
                lines = objects.get(given["manifest_key"]).splitlines()
                items = [json.loads(line) for line in lines]
            yield from ({"job": job, "run": item} for item in items)

    def _events(self, action: str) -> None:
        functions = self._account.client("lambda").meta.events
        getattr(functions, action)("before-call.lambda.Invoke", self._answer_invoke)
        states = self._account.client("stepfunctions").meta.events
        getattr(states, action)("before-call.sfn.StartExecution", self._note_execution)

    def _answer_invoke(self, params: dict[str, Any], **_: Any) -> Any:
        payload = json.loads(params["body"])
        with self._lock:
            self.invocations.append(payload)
        said = self._invoke(payload)
        body = json.dumps(said or {}).encode()
        answer: dict[str, Any] = {"StatusCode": 200, "Payload": StreamingBody(io.BytesIO(body), len(body))}
        if said and "errorType" in said:
            answer["FunctionError"] = "Unhandled"
        return _Ok(), answer

    def _note_execution(self, params: dict[str, Any], **_: Any) -> None:
        given = json.loads(params["body"])
        with self._lock:
            self.executions[given["name"]] = json.loads(given["input"])


class _Ok:
    status_code = 200
    headers: dict[str, str] = {}  # noqa: RUF012
