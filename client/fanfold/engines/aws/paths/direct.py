"""One run, called directly: the function is invoked, and a thread waits for it while the caller goes on."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from fanfold.contract.invocation import PREFIX, Answer, answer_to, names
from fanfold.contract.layout import REALTIME_TIMEOUT_S
from fanfold.contract.payloads import RunPayload
from fanfold.core.models import Event, EventKind, JobHeader, RunError, RunRef, RunStatus, ThrottleRecord, to_event
from fanfold.engines.aws.dispatch import Dispatch, run_items
from fanfold.engines.aws.paths.base import CLOCKS_S, Fate, LaunchContext
from fanfold.errors import ConfigurationError, DeploymentGone, FanfoldError, StoreUnavailable
from fanfold.stores.aws.account import Refused
from fanfold.stores.aws.failed_executions import classified

#: Seconds for which a call is made again that was refused before the run began: of throttles as long as the state
#: machines would, of a function that wakes up (40 to 106 s) as long as that takes.
_PATIENCE_S = {Answer.THROTTLED: 30.0, Answer.NOT_READY: 180.0, Answer.RETRY: 15.0}
#: And a call without an answer, as where this machine has no network: its run's attempt is this process's to make.
_UNANSWERED_S = 180.0
#: After so many refusals it is told; one by itself is over before anybody has read of it.
_TOLD_AFTER = 2
#: A called function ends at its time limit, after it has become active.
_LIVES_S = REALTIME_TIMEOUT_S + max(*_PATIENCE_S.values(), _UNANSWERED_S) + 30.0 + CLOCKS_S
_EXPECTED = names(*_PATIENCE_S)
_TOLD = {
    Answer.THROTTLED: "AWS Lambda throttles: as many runs run as the account allows ({code})",
    Answer.NOT_READY: "waiting for the function to become active, which takes up to 2 minutes after weeks of rest or"
    " after a deploy ({code})",
}


class DirectPath:
    """Calls the function for one run. Threads of this process wait for it, and the process ends when they have."""

    def __init__(self, context: LaunchContext) -> None:
        self._context = context
        self._stores = context.stores
        self._waiting: dict[tuple[str, int, int], threading.Thread] = {}
        #: Makes the thread that waits for a run.
        self.new_thread: Callable[[Callable[[], None]], threading.Thread] = _new_thread

    def start(self, header: JobHeader, dispatch: Dispatch, runs: Sequence[RunRef]) -> None:  # noqa: ARG002
        """Call the function for each of these runs, and see to it that each ends in an event, whatever happens."""
        functions, job = self._context.functions(header), self._context.job(header)
        for item in run_items(header, runs, objects=self._stores.objects, functions=functions):
            token = f"{header.id}/{item['index']}/{item['attempt']}"
            self._start_one({"job": job, "run": item, "token": token})

    def stop(self, header: JobHeader, dispatch: Dispatch) -> None:
        """Nothing: its runs see the job's flag within seconds."""

    def fate(self, header: JobHeader, dispatch: Dispatch, age_s: float) -> Fate | None:
        """Why nothing more comes of it, or None while something may."""
        waited_for = any(self.waits_for(header.id, first, attempt) for attempt, first, _ in dispatch.ranges)
        return None if waited_for or age_s < _LIVES_S else Fate("the function that was called never reported its end")

    def lasts_s(self, dispatch: Dispatch) -> float:  # noqa: ARG002
        """Until the function that was called has ended, wherever its caller is."""
        return _LIVES_S

    def wait(self) -> None:
        """Wait until no thread of this process waits for a run any more."""
        for thread in list(self._waiting.values()):
            thread.join()

    def _start_one(self, payload: RunPayload) -> None:
        place = payload["job"]["id"], payload["run"]["index"], payload["run"]["attempt"]
        if self.waits_for(*place):
            return
        thread = self._waiting[place] = self.new_thread(lambda: self._see_through(place, payload))
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending and starts no thread any more: the caller waits here
            self._see_through(place, payload)

    def waits_for(self, job_id: str, index: int, attempt: int) -> bool:
        """Whether this process waits for that attempt."""
        thread = self._waiting.get((job_id, index, attempt))
        return thread is not None and thread.is_alive()

    def _see_through(self, place: tuple[str, int, int], payload: RunPayload) -> None:
        try:
            failure = self._invoke(payload)
            if failure is not None:
                self._stores.log.append([_event(place, *failure)])
        except FanfoldError as error:
            # A permission or a credential does not come back by itself; a function that is gone may have a new name.
            worth_another_try = not isinstance(error, ConfigurationError) or isinstance(error, DeploymentGone)
            told = RunError(
                type(error).__name__, error.message, infrastructure=worth_another_try, next_step=error.next_step
            )
            self._record_at_last(_event(place, RunStatus.FAILED, told))
        except BaseException as error:
            said = f"what called the function has ended by an error of its own: {type(error).__name__}: {error}"
            self._record_at_last(_event(place, RunStatus.FAILED, RunError("Lost", said, infrastructure=True)))
            raise
        finally:
            self._waiting.pop(place, None)
            self._stores.log.announce([place[0]])

    def _invoke(self, payload: RunPayload) -> tuple[RunStatus, RunError] | None:
        """Call the function; how it failed, or None where it has told of its run itself."""
        name, body = payload["run"]["function"], json.dumps(payload).encode()
        began, pauses, refusals = time.monotonic(), _pauses(), 0
        while True:
            try:
                return self._invoke_once(name, body)
            except Refused as refused:
                refusals += 1
                answer, failed = answer_to(refused.code) or Answer.FINAL, classified(f"{PREFIX}{refused.code}", "")
                if refusals == _TOLD_AFTER and answer in _TOLD:
                    self._tell(payload["job"]["id"], _TOLD[answer].format(code=refused.code))
                if time.monotonic() - began > _PATIENCE_S.get(answer, 0.0):
                    return failed
            except StoreUnavailable:
                # The answer may have been lost alone: the function performs a token once, however often it is called.
                if time.monotonic() - began > _UNANSWERED_S:
                    raise
            time.sleep(next(pauses))

    def _invoke_once(self, name: str, body: bytes) -> tuple[RunStatus, RunError] | None:
        account, on = self._stores.account, f"function {name}"
        answer = account.call("lambda", "invoke", on=on, expected=_EXPECTED, FunctionName=name, Payload=body)
        said = account.read(answer["Payload"], service="lambda", operation="invoke", on=on)
        return _failure(said) if answer.get("FunctionError") else None

    def _tell(self, job_id: str, reason: str) -> None:
        with suppress(FanfoldError):  # it is only for the words
            self._stores.log.append([to_event(job_id, ThrottleRecord("AWS Lambda", reason))])

    def _record_at_last(self, event: Event) -> None:
        try:
            self._stores.log.append([event])
        except FanfoldError:
            return  # nothing can be told from here: `reconcile` finds the run lost when its time is over


def _new_thread(act: Callable[[], None]) -> threading.Thread:
    """No daemon: the interpreter waits for it, so that a script that ends here has started its run."""
    return threading.Thread(target=act, name="fanfold-direct")


def _pauses() -> Iterator[float]:
    longest_s = 0.5
    while True:
        yield random.uniform(0, longest_s)  # noqa: S311 - jitter
        longest_s = min(2 * longest_s, 8.0)


def _failure(said: bytes) -> tuple[RunStatus, RunError]:
    told: Any = json.loads(said or b"{}")
    if not isinstance(told, dict):
        told = {}
    return classified(str(told.get("errorType", "")), str(told.get("errorMessage", "")))


def _event(place: tuple[str, int, int], status: RunStatus, error: RunError) -> Event:
    return Event.new(*place, EventKind.FINISHED, status=status, error=error)
