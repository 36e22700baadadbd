"""Executions of state machines: each interpreted in a thread of its own.

https://docs.aws.amazon.com/step-functions/latest/dg/choosing-workflow-type.html
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from typing import Any

from moto.core.utils import utcnow

from tests.cloud.states.definition import parse
from tests.cloud.states.interpreter import Execution, Stopped, Surroundings
from tests.cloud.states.map_run import EXPRESS_S
from tests.cloud.states.map_runs import MapRuns
from tests.cloud.states.values import StateFailed, as_json


class Executions:
    """What runs, and what came of it."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._standard: dict[str, Execution] = {}
        self._under_way: list[Execution] = []
        self._lock = threading.Lock()
        #: How many have ended in each way, by kind; nothing else tells of an Express execution.
        self.ended: dict[str, int] = {}
        #: Told of a Standard execution that has ended: its ARN, its state machine's, its status.
        self.tell: Callable[[str, str, str], None] = lambda *_: None
        self._twice = 0

    @property
    def map_runs(self) -> MapRuns:
        """Those of all executions."""
        return self._surroundings.map_runs

    def start_express(self, machine: Any, name: str, given: str) -> str:
        """Start one that can be neither looked at nor stopped; its ARN. Two of one name are two."""
        arn = f"{machine.arn.replace(':stateMachine:', ':express:')}:{name}:{uuid.uuid4()}"
        body = parse(machine.definition, "EXPRESS")
        limit_s = min(EXPRESS_S, body.get("TimeoutSeconds", EXPRESS_S))

        for _ in range(1 + self._taken_twice()):
            execution = Execution(arn, self._surroundings, limit_s, role=machine.roleArn)
            self._in_thread(execution, lambda one=execution: self._count("EXPRESS", _outcome(one, body, given)[0]))
        return arn

    def deliver_twice(self, times: int) -> None:
        """Run so many of the coming Express executions twice."""
        with self._lock:
            self._twice = times

    def _taken_twice(self) -> bool:
        with self._lock:
            twice, self._twice = self._twice > 0, max(0, self._twice - 1)
        return twice

    def start_standard(self, listed: Any, machine: Any) -> None:
        """Start one of a state machine of moto's; the status of `listed`, moto's entry of it, is kept true."""
        body = parse(machine.definition, "STANDARD")
        limit_s = body.get("TimeoutSeconds")
        execution = Execution(listed.execution_arn, self._surroundings, limit_s, role=machine.roleArn)
        self._standard[listed.execution_arn] = execution

        def run() -> None:
            status, error, cause, output = _outcome(execution, body, listed.execution_input)
            with self._lock:
                if listed.status == "RUNNING":  # one that was stopped is so at once
                    listed.error, listed.cause, listed.output = error, cause, output
                    listed.stop_date, listed.status = utcnow(), status
            self._count("STANDARD", status)
            self.tell(listed.execution_arn, machine.arn, listed.status)

        self._in_thread(execution, run)

    def stop_all(self) -> None:
        """Have every execution come to its end, also those that nobody can stop on AWS."""
        with self._lock:
            for execution in self._under_way:
                execution.stop.set()

    @property
    def are_over(self) -> bool:
        """Whether none is under way."""
        with self._lock:
            return not self._under_way

    def stop(self, listed: Any) -> None:
        """Abort one. What its tasks have started ends by itself, but for jobs that it waits for."""
        with self._lock:
            if listed.status != "RUNNING":
                return
            listed.stop_date, listed.status = utcnow(), "ABORTED"
        self._standard[listed.execution_arn].stop.set()

    def _count(self, kind: str, status: str) -> None:
        with self._lock:
            key = f"{kind} {status}"
            self.ended[key] = self.ended.get(key, 0) + 1

    def _in_thread(self, execution: Execution, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            finally:
                with self._lock:
                    self._under_way = [one for one in self._under_way if one is not execution]

        with self._lock:
            self._under_way.append(execution)
        threading.Thread(target=run, daemon=True).start()


def _outcome(execution: Execution, body: Any, given: str) -> tuple[str, str | None, str | None, str | None]:
    """Status, error, cause and output of an execution that is run to its end."""
    try:
        output = execution.run(body, json.loads(given))
    except StateFailed as failed:
        return "FAILED", failed.error, failed.cause, None
    except Stopped as stopped:
        return str(stopped), None, None, None
    return "SUCCEEDED", None, None, as_json(output)
