"""The shepherd: looks after jobs that nobody may wait for, by the code by which a client that waits does.

It is woken (see `infra.shepherd`) by items of the table, by executions that end and by its own alarms, and passes each
job on to an invocation of its own: one job's work must not keep others waiting. That one stays up for as long as there
is something to do soon, and then has itself woken at the job's next deadline: it never polls.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from functools import cache
from typing import Any, Protocol

import boto3  # noqa: F401 - here, while an environment starts with more CPU than it has later

from fanfold.contract import layout
from fanfold.contract.cloud import DEDICATED, DISTRIBUTED, ENV_ALARM_ROLE, PARTITION_KEY, deadlines_group, resource_name
from fanfold.core.cost import cost
from fanfold.core.fold import JobState
from fanfold.engines.aws.discovery import discover
from fanfold.engines.aws.engine import AwsEngine
from fanfold.engines.notice import Notice, end_mark, notice_of, place_of, post, record_untold
from fanfold.engines.steward import has_more
from fanfold.errors import FanfoldError, JobNotFound
from fanfold.job.waiting import Tracker
from fanfold.stores.aws.account import Account
from fanfold_runtime.context import enter_own_folder
from fanfold_runtime.firing import fire
from fanfold_runtime.telemetry import logger
from fanfold_runtime.turn import SOONEST_S, Alarm, Turn

#: What is due within this time is waited for: schedules are kept to the minute.
_STAYS_UP_S = 60.0
#: Pause between two looks at a job that has news all the time: seconds, and in terms of what a look takes.
_PAUSE_S, _PAUSE_SHARE = 1.0, 4.0
#: When to try again what could not be done.
_AFTER_ERROR_S = 900.0
#: When to tell of a job's end again that could not be told.
_TOLD_AGAIN_S = (5.0, 60.0, 300.0, 1800.0)
#: Time that is left for the alarm, when the function's is about to be over.
_MARGIN_S = 20.0
#: The name of an execution of ours is a job's id, then that of a dispatch.
_EXECUTION = re.compile(rf"(.+)-(?:{DISTRIBUTED}|{DEDICATED})-[0-9a-f]{{12}}")
#: As `cloud.job_partition` and `cloud.event_partition` make them.
_PARTITION = re.compile(r"job#([^#]+)(?:#.*)?")


class Invocation(Protocol):
    """What Lambda tells of an invocation."""

    function_name: str
    invoked_function_arn: str

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends the environment."""


def handler(event: dict[str, Any], context: Invocation) -> None:
    """Look after one job, start that of a schedule, or give each job that an event names an invocation of its own."""
    if "schedule" in event:
        fire(_shepherd(context.invoked_function_arn).engine, str(event["schedule"]), str(event.get("at", "")))
        return
    if "job" in event:
        until = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - _MARGIN_S
        _shepherd(context.invoked_function_arn).look_after(str(event["job"]), until=until)
        return
    for job_id in sorted(set(jobs_of(event))):
        wake(_account(), context.function_name, job_id)


def wake(account: Account, function: str, job_id: str) -> None:
    """Give a job an invocation of the shepherd's of its own."""
    payload = json.dumps({"job": job_id}).encode()
    on = f"function {function}"
    account.call("lambda", "invoke", on=on, FunctionName=function, InvocationType="Event", Payload=payload)


def jobs_of(event: dict[str, Any]) -> Iterator[str]:
    """The jobs that an event tells of: records of the table's stream, or an execution that has ended."""
    for record in event.get("Records", ()):
        if told := _PARTITION.fullmatch(record["dynamodb"]["Keys"][PARTITION_KEY]["S"]):
            yield told[1]
    name = str(event.get("detail", {}).get("name", ""))
    if told := _EXECUTION.fullmatch(name):
        yield told[1]


class Shepherd:
    """Looks after the jobs of a deployment, of all who submit."""

    def __init__(self, engine: AwsEngine, alarm: Alarm) -> None:
        self.engine = engine
        self._alarm = alarm

    def look_after(self, job_id: str, *, until: float) -> None:
        """Look after a job until `until` (of `time.monotonic()`), and set an alarm for what is due later."""
        turn = Turn(self.engine.stores, job_id)
        try:
            turn.ask()
            if not turn.take():
                return  # who has the turn looks once more before it ends it
            tracker = Tracker(self.engine.stores.log.get_job(job_id), self.engine)
        except JobNotFound:
            logger.info("job is gone", job=job_id)
            return
        try:
            self._stay_with(tracker, turn, until)
        except FanfoldError as error:  # a store that does not answer, a machine that the deployment has no more
            logger.error("job not looked after", job=job_id, error=type(error).__name__, reason=error.message)
            self._alarm.set(job_id, _AFTER_ERROR_S)
            turn.end(turn.renew())

    def _stay_with(self, tracker: Tracker, turn: Turn, until: float) -> None:
        """Look, until there is nothing more to do soon."""
        job_id = tracker.header.id
        while True:
            asked, began = turn.renew(), time.monotonic()
            wait_s = self._look(tracker, turn)
            pause_s = _PAUSE_S + _PAUSE_SHARE * (time.monotonic() - began)
            stays_up = wait_s is not None and wait_s < _STAYS_UP_S and began + wait_s < until
            if wait_s is not None and not stays_up:
                self._alarm.set(job_id, wait_s)
            if not stays_up and turn.end(asked):
                return
            if time.monotonic() + pause_s > until:  # somebody has asked all the time
                self._alarm.set(job_id, SOONEST_S)
                turn.end(turn.renew())
                return
            time.sleep(max(pause_s, wait_s) if stays_up and wait_s is not None else pause_s)

    def _tell_end(self, state: JobState, turn: Turn) -> float | None:
        """Tell who asked for it that the job has ended; in how many seconds to try that again, None for never.

        Told twice where this ends between the two steps, rather than not at all.
        """
        header, end = state.header, end_mark(state)
        told, tries = turn.told()
        if not header.notify or told == end:
            return None
        failure = self._send(header.notify, notice_of(state, cost(state)))
        if failure and tries < len(_TOLD_AGAIN_S):
            turn.note_not_told()
            logger.warning("end of job not told", job=header.id, to=place_of(header), reason=failure)
            return _TOLD_AGAIN_S[tries]
        if failure:
            logger.error("nobody could be told of the end", job=header.id, to=place_of(header), reason=failure)
            record_untold(self.engine.stores.log, header, failure)
        turn.note_told(end)
        return None

    def _send(self, target: str, notice: Notice) -> str:
        """Send a notice; why it has not arrived, or ""."""
        if not target.startswith("arn:"):
            return post(target, notice)
        try:
            self.engine.account.call(
                "sns", "publish", on=f"topic {target}", TopicArn=target, Subject=notice.subject, Message=notice.text
            )
        except FanfoldError as error:
            return error.message
        return ""

    def _look(self, tracker: Tracker, turn: Turn) -> float | None:
        """Look once; in how many seconds there will be something to do without a word from anybody, None for never."""
        engine = self.engine
        # It is here since something has changed, a cancel flag perhaps.
        engine.stores.log.job_headers.forget(tracker.header.id)
        state = tracker.refresh()
        header = tracker.header
        engine.looked_at.pop(header.id, None)
        if engine.reconcile(header, state):
            state = tracker.refresh()
        if state.done:
            if header.parent:
                self._wake(header.parent)
            return self._tell_end(state, turn)
        waits_s = [engine.inspector.wait_s(tracker.header, state)]
        if has_more(header) and (gathered_s := engine.steward_of(header).wait_s(state)) is not None:
            waits_s.append(gathered_s)
        return min(waits_s)

    def _wake(self, job_id: str) -> None:
        """Have a job looked after whose runs a larger one has run: what came of them is to be taken over."""
        wake(self.engine.account, resource_name(self.engine.context.deployment.name, "shepherd"), job_id)


@cache
def _account() -> Account:
    return Account()


@cache
def _shepherd(function: str) -> Shepherd:
    """The one of this environment; `function` is its own ARN."""
    deployment = os.environ[layout.ENV_DEPLOYMENT]
    engine = AwsEngine(_account(), discover(_account(), deployment), enter_own_folder() / "scratch")
    engine.serve_everyone()
    alarm = Alarm(_account(), deadlines_group(deployment), function, os.environ[ENV_ALARM_ROLE])
    return Shepherd(engine, alarm)
