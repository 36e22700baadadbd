"""Running a definition: the states one after another, with retries, catches and the limits of Step Functions.

https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from tests.cloud.states.map_runs import MapRuns
from tests.cloud.states.values import StateFailed, as_json, evaluate, fill, put

#: Input and output of a state, and of an execution: 256 KiB as UTF-8.
STATE_BYTES = 262_144
#: An inline Map runs so many iterations at once.
INLINE_CONCURRENCY = 40

Context = dict[str, Any]


class Stopped(Exception):
    """The execution was stopped, or its time is over."""


@dataclass
class Surroundings:
    """What an execution runs in: the services it calls by resource, and how fast its clock goes for waits."""

    call: Callable[[str, Any, Execution], Any]
    read_items: Callable[[Any, Execution], list[Any]]
    wait_scale: float = 1.0
    #: Children of a Map Run side by side. AWS runs 10,000; these are threads.
    children: int = 8
    map_runs: MapRuns = field(default_factory=MapRuns)


@dataclass
class Execution:
    """One execution: of a state machine, or of a Map Run's child."""

    id: str
    surroundings: Surroundings
    timeout_s: float | None
    stop: threading.Event = field(default_factory=threading.Event)
    began: float = field(default_factory=time.monotonic)
    #: Executions that Map Runs of this one have started, with their states' outcome; None while they run.
    children: list[tuple[Execution, str | None]] = field(default_factory=list)
    #: The ARN of the state machine's role.
    role: str = ""

    def run(self, body: Mapping[str, Any], given: Any) -> Any:
        """The output of the states of `body`. Raises `StateFailed` and `Stopped`."""
        return self._walk(body, given, {})

    def check(self) -> None:
        """Raise `Stopped` once nothing more is to be done."""
        if self.stop.is_set():
            raise Stopped("ABORTED")
        if self.timeout_s is not None and time.monotonic() - self.began > self.timeout_s:
            raise Stopped("TIMED_OUT")

    def _walk(self, body: Mapping[str, Any], given: Any, item: Mapping[str, Any]) -> Any:
        name = body["StartAt"]
        while True:
            self.check()
            state = body["States"][name]
            limited(given)
            context = {"Execution": {"Id": self.id}, "State": {"Name": name, "EnteredTime": _now()}, **item}
            name, given = getattr(self, f"_{state['Type'].lower()}")(state, given, context)
            if name is None:
                return given

    def _pass(self, state: Mapping[str, Any], given: Any, context: Context) -> tuple[str | None, Any]:
        return state.get("Next"), put_out(state, given)

    def _fail(self, state: Mapping[str, Any], given: Any, context: Context) -> tuple[str | None, Any]:
        told = [
            evaluate(state[f"{field}Path"], given, context) if f"{field}Path" in state else state.get(field, "")
            for field in ("Error", "Cause")
        ]
        raise StateFailed(*map(str, told))

    def _choice(self, state: Mapping[str, Any], given: Any, context: Context) -> tuple[str | None, Any]:
        for rule in state["Choices"]:
            if evaluate(rule["Variable"], given, context) >= rule["NumericGreaterThanEquals"]:
                return rule["Next"], given
        if "Default" not in state:
            raise StateFailed("States.NoChoiceMatched")
        return state["Default"], given

    def _task(self, state: Mapping[str, Any], given: Any, context: Context) -> tuple[str | None, Any]:
        return self._try(state, given, lambda: self._call_once(state, given, context))

    def _try(self, state: Mapping[str, Any], given: Any, act: Callable[[], None]) -> tuple[str | None, Any]:
        """Do it as often as the state's retriers say; what then fails goes where its catchers say."""
        tries: dict[int, int] = {}
        while True:
            try:
                act()
                return state.get("Next"), put_out(state, given)
            except StateFailed as failed:
                pause_s = _pause_before_retry(state.get("Retry", []), failed, tries)
                if pause_s is None:
                    return _caught(state.get("Catch", []), failed, given)
            if self.stop.wait(pause_s * self.surroundings.wait_scale):
                self.check()

    def _call_once(self, state: Mapping[str, Any], given: Any, context: Context) -> None:
        """A time-out is looked at when the answer is there: the same error, only later."""
        self.check()
        parameters = limited(fill(state["Parameters"], given, context))
        began = time.monotonic()
        result = self.surroundings.call(state["Resource"], parameters, self)
        if time.monotonic() - began > state.get("TimeoutSeconds", float("inf")):
            raise StateFailed("States.Timeout")
        limited(result)

    def _map(self, state: Mapping[str, Any], given: Any, context: Context) -> tuple[str | None, Any]:
        if "ItemReader" in state:
            from tests.cloud.states.map_run import run_children

            return self._try(state, given, lambda: limited(run_children(self, state, given, context)))
        items = evaluate(state["ItemsPath"], given, context)

        def iterate(numbered: tuple[int, Any]) -> Any:
            item = {"Map": {"Item": {"Index": numbered[0], "Value": numbered[1]}}}
            selected = fill(state["ItemSelector"], given, {**context, **item})
            return self._walk(state["ItemProcessor"], selected, item)

        # What iterations put out is the Map's result, which must fit into a state even where ResultPath drops it.
        limited(side_by_side(iterate, list(enumerate(items)), state.get("MaxConcurrency") or INLINE_CONCURRENCY))
        return state.get("Next"), put_out(state, given)


def side_by_side(work: Callable[[Any], Any], things: list[Any], concurrency: int) -> list[Any]:
    """What the work gives on all things; the first failure is raised once all have ended."""
    if not things:
        return []
    with ThreadPoolExecutor(min(len(things), concurrency), thread_name_prefix="state") as threads:
        return list(threads.map(work, things))


def put_out(state: Mapping[str, Any], given: Any) -> Any:
    """A state's output. Its result is dropped, so that is its input; and an OutputPath of null drops that as well.

    https://docs.aws.amazon.com/step-functions/latest/dg/input-output-example.html
    """
    return {} if "OutputPath" in state else given


def limited(value: Any) -> Any:
    """The value, which a state can hold. Fails with States.DataLimitExceeded."""
    if len(as_json(value).encode()) > STATE_BYTES:
        raise StateFailed("States.DataLimitExceeded", "The state/task returned a result with a size exceeding 262144")
    return value


def _matches(rule: Mapping[str, Any], failed: StateFailed) -> bool:
    """States.ALL stands for every error but two that nothing retries or catches unless named."""
    names = rule["ErrorEquals"]
    by_all = "States.ALL" in names and failed.error not in ("States.DataLimitExceeded", "States.Runtime")
    return by_all or failed.error in names


def _pause_before_retry(rules: list[dict[str, Any]], failed: StateFailed, tries: dict[int, int]) -> float | None:
    """Seconds until the next try, or None where there is none. Each retrier counts for itself."""
    for number, rule in enumerate(rules):
        if not _matches(rule, failed):
            continue
        done = tries.get(number, 0)
        if done >= rule.get("MaxAttempts", 3):
            return None
        tries[number] = done + 1
        pause_s = rule.get("IntervalSeconds", 1) * rule.get("BackoffRate", 2.0) ** done
        pause_s = min(pause_s, rule.get("MaxDelaySeconds", float("inf")))
        return random.uniform(0, pause_s) if rule.get("JitterStrategy") == "FULL" else pause_s
    return None


def _caught(rules: list[dict[str, Any]], failed: StateFailed, given: Any) -> tuple[str, Any]:
    for rule in rules:
        if _matches(rule, failed):
            told = {"Error": failed.error, "Cause": failed.cause}
            return rule["Next"], put(given, rule.get("ResultPath", "$"), told)
    raise failed


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
