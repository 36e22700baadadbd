"""One run, called directly: the function is invoked, and a thread waits for it while the caller goes on."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Sequence
from typing import Any

from fanfold.contract.limits import REALTIME_TIMEOUT_S
from fanfold.contract.payloads import RunPayload
from fanfold.core.job_records import ThrottleRecord, to_event
from fanfold.core.models import Event, EventKind, JobHeader, RunError, RunRef, RunStatus
from fanfold.engines.aws.dispatch import Dispatch, run_items
from fanfold.engines.aws.paths.base import CLOCKS_S, Surroundings
from fanfold.errors import ConfigurationError, FanfoldError
from fanfold.stores.aws.account import Refused
from fanfold.stores.aws.failed_executions import classified

#: Too many run already: tried again for as long as the state machines would.
_THROTTLED = ("TooManyRequestsException", "EC2ThrottledException")
_PATIENCE_S = 30.0
#: After so many refusals it is told; one by itself is over before anybody has read of it.
_TOLD_AFTER = 2
#: A called function ends at its time limit, after half a minute of throttles at most.
_LIVES_S = REALTIME_TIMEOUT_S + 60.0 + CLOCKS_S


class DirectPath:
    """Calls the function for one run. Threads of this process wait for it, and the process ends when they have."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._stores = surroundings.stores
        self._waiting: dict[tuple[str, int, int], threading.Thread] = {}

    def start(self, header: JobHeader, dispatch: Dispatch, runs: Sequence[RunRef]) -> None:  # noqa: ARG002
        """Call the function for each of these runs, and see to it that each ends in an event, whatever happens."""
        functions, job = self._surroundings.descriptor["functions"], self._surroundings.job(header)
        for item in run_items(header, runs, objects=self._stores.objects, functions=functions):
            self._start_one({"job": job, "run": item})

    def stop(self, header: JobHeader, dispatch: Dispatch) -> None:
        """Nothing: its runs see the job's flag within seconds."""

    def fate(self, header: JobHeader, dispatch: Dispatch, age_s: float) -> str | None:
        """Why nothing more comes of it, or None while something may."""
        waited_for = any(self.waits_for(header.id, first, attempt) for attempt, first, _ in dispatch.ranges)
        return None if waited_for or age_s < _LIVES_S else "the function that was called never reported its end"

    def wait(self) -> None:
        """Wait until no thread of this process waits for a run any more."""
        for thread in list(self._waiting.values()):
            thread.join()

    def _start_one(self, payload: RunPayload) -> None:
        place = payload["job"]["id"], payload["run"]["index"], payload["run"]["attempt"]
        if self.waits_for(*place):
            return
        # No daemon: the interpreter waits for it, so that a script that ends here has started its run.
        thread = threading.Thread(target=self._see_through, args=(place, payload), name="fanfold-direct")
        self._waiting[place] = thread
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending, and starts no thread any more: whoever asks waits here
            self._see_through(place, payload)

    def waits_for(self, job_id: str, index: int, attempt: int) -> bool:
        """Whether this process waits for that attempt."""
        thread = self._waiting.get((job_id, index, attempt))
        return thread is not None and thread.is_alive()

    def _see_through(self, place: tuple[str, int, int], payload: RunPayload) -> None:
        try:
            died = self._invoke(payload)
            if died is not None:
                self._stores.log.append([_event(place, *died)])
        except FanfoldError as error:
            worth_another_try = not isinstance(error, ConfigurationError)  # a permission, a credential: not by itself
            told = RunError(
                type(error).__name__, error.message, infrastructure=worth_another_try, next_step=error.next_step
            )
            self._record_at_last(_event(place, RunStatus.FAILED, told))
        finally:
            self._waiting.pop(place, None)
            self._stores.log.announce([place[0]])

    def _invoke(self, payload: RunPayload) -> tuple[RunStatus, RunError] | None:
        """Call the function; what it died of, or None where it has told of its run itself."""
        name, body = payload["run"]["function"], json.dumps(payload).encode()
        deadline, pause_s, refusals = time.monotonic() + _PATIENCE_S, 0.5, 0
        while True:
            try:
                answer = self._stores.account.call(
                    "lambda", "invoke", on=f"function {name}", expected=_THROTTLED, FunctionName=name, Payload=body
                )
            except Refused as refused:
                refusals += 1
                if refusals == _TOLD_AFTER:
                    self._tell_throttled(payload["job"]["id"], refused.code)
                if time.monotonic() > deadline:
                    return classified(f"Lambda.{refused.code}", "too many runs at once, for half a minute")
                time.sleep(random.uniform(0, pause_s))  # noqa: S311 - jitter
                pause_s = min(2 * pause_s, 8.0)
                continue
            said = answer["Payload"].read()
            return _died(said) if answer.get("FunctionError") else None

    def _tell_throttled(self, job_id: str, code: str) -> None:
        reason = f"AWS Lambda throttles: as many runs run as the account allows ({code})"
        self._stores.log.append([to_event(job_id, ThrottleRecord("AWS Lambda", reason))])

    def _record_at_last(self, event: Event) -> None:
        try:
            self._stores.log.append([event])
        except FanfoldError:
            return  # nothing can be told from here: `reconcile` finds the run lost when its time is over


def _died(said: bytes) -> tuple[RunStatus, RunError]:
    told: Any = json.loads(said or b"{}")
    if not isinstance(told, dict):
        told = {}
    return classified(str(told.get("errorType", "")), str(told.get("errorMessage", "")))


def _event(place: tuple[str, int, int], status: RunStatus, error: RunError) -> Event:
    return Event.new(*place, EventKind.FINISHED, status=status, error=error)
