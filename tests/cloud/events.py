"""What tells functions that something has happened: the table's stream, EventBridge's rules, schedules, async calls.

https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

from moto.dynamodb.models.table import StreamRecord, StreamShard
from moto.events.models import events_backends
from moto.scheduler.models import EventBridgeSchedulerBackend, Schedule, scheduler_backends

from tests.cloud.functions import Functions, Inactive, Throttled
from tests.cloud.refusals import NotEmulated

#: A stream's reader waits so long for more; the window of the mapping is at least a second on AWS.
_WINDOW_S = 0.05
#: How often an asynchronous invocation is made again that has failed; after one and two minutes on AWS.
_AGAIN_AFTER_S = (0.5, 1.0)
#: And one that was throttled: at first after a second on AWS.
_THROTTLED_S = 0.05


class Events:
    """Delivers while it is on; what happens while it is off tells nobody, as most tests want it."""

    def __init__(self, account: str, region: str, functions: Functions, refuses: Callable[..., str]) -> None:
        self._account, self._region = account, region
        self._functions, self._refuses = functions, refuses
        self._lock = threading.Condition()
        self._records: list[tuple[Any, dict[str, Any]]] = []
        self._under_way = 0
        self.on = False

    def install(self) -> None:
        """Stand in for moto's streams, which call functions within a write, and for its scheduler, which calls none."""
        events = self

        def add(self: StreamShard, old: Any, new: Any) -> None:
            if events.on and new is not None:
                kind, view = "INSERT" if old is None else "MODIFY", self.table.stream_specification["StreamViewType"]
                record = StreamRecord(self.table, view, kind, old, new, 0).to_json()
                del record["dynamodb"]["ApproximateCreationDateTime"]  # no JSON
                events._tell_stream(self.table, record)

        create, update = EventBridgeSchedulerBackend.create_schedule, EventBridgeSchedulerBackend.update_schedule

        def created(self: EventBridgeSchedulerBackend, *args: Any, **named: Any) -> Any:
            made = create(self, *args, **named)
            events._note()
            return made

        def updated(self: EventBridgeSchedulerBackend, *args: Any, **named: Any) -> Any:
            made = update(self, *args, **named)
            events._note()
            return made

        StreamShard.add = add
        EventBridgeSchedulerBackend.create_schedule, EventBridgeSchedulerBackend.update_schedule = created, updated
        for loop in (self._deliver_records, self._ring):
            threading.Thread(target=loop, daemon=True).start()

    def invoke(self, name: str, body: bytes) -> None:
        """An asynchronous invocation: made in its own time, and again where it fails."""
        with self._lock:
            self._under_way += 1
        threading.Thread(target=self._invoke, args=(name, body), daemon=True).start()

    def execution_ended(self, execution_arn: str, machine_arn: str, status: str) -> None:
        """Step Functions tells of a Standard execution that has ended; of an Express one it tells nothing."""
        if not self.on:
            return
        detail = {
            "executionArn": execution_arn,
            "stateMachineArn": machine_arn,
            "name": execution_arn.rpartition(":")[2],
            "status": status,
        }
        told = {"source": "aws.states", "detail-type": "Step Functions Execution Status Change", "detail": detail}
        event: Any = {"id": str(uuid.uuid4()), "account": self._account, "region": self._region, **told}
        for rule in events_backends[self._account][self._region].event_buses["default"].rules.values():
            if rule.event_pattern.matches_event(event):
                for target in rule.targets:
                    self.invoke(_function_of(target["Arn"]), json.dumps(event).encode())

    def forget(self) -> None:
        """Drop what has not been delivered, and every schedule."""
        with self._lock:
            self._records.clear()
        for schedule in list(self._schedules()):
            self._remove(schedule)

    def fire(self, name: str, at: str = "") -> None:
        """Let the time of a schedule that repeats have come, now or `at`, if it is not paused."""
        found = next((one for one in self._schedules() if one.name == name and _time_of(one) is None), None)
        if found is None or found.state != "ENABLED":
            return
        at = at or datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._call(found, found.target["Input"].replace("<aws.scheduler.scheduled-time>", at))

    def alarms(self) -> dict[str, float]:
        """When each one-time schedule is due, in seconds since 1970, by its name."""
        due = ((schedule.name, _time_of(schedule)) for schedule in self._schedules())
        return {name: at for name, at in due if at is not None}

    @property
    def are_delivered(self) -> bool:
        """Whether nothing is on its way."""
        with self._lock:
            return not self._records and not self._under_way

    def _invoke(self, name: str, body: bytes) -> None:
        try:
            self._see_through(name, body)
        finally:
            with self._lock:
                self._under_way -= 1

    def _see_through(self, name: str, body: bytes) -> None:
        """Invoke it until it has not failed, or has so three times; a throttle does not count."""
        pauses = iter(_AGAIN_AFTER_S)
        while self.on:
            try:
                if self._functions.invoke(name, body).error is None:
                    return
                pause_s = next(pauses, None)
            except (Throttled, Inactive):
                pause_s = _THROTTLED_S
            if pause_s is None:
                return
            time.sleep(pause_s)

    def _note(self) -> None:
        with self._lock:
            self._lock.notify_all()

    def _tell_stream(self, table: Any, record: dict[str, Any]) -> None:
        with self._lock:
            self._records.append((table, record))
            self._lock.notify_all()

    def _deliver_records(self) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._records)
            time.sleep(_WINDOW_S)
            with self._lock:
                records, self._records = self._records, []
                self._under_way += 1
            try:
                self._deliver(records)
            finally:
                with self._lock:
                    self._under_way -= 1

    def _deliver(self, records: list[tuple[Any, dict[str, Any]]]) -> None:
        for table in {id(table): table for table, _ in records}.values():
            for mapping in table.lambda_event_source_mappings.values():
                patterns = [json.loads(one["Pattern"]) for one in mapping.filter_criteria["Filters"]]
                of_table = [record for other, record in records if other is table]
                matching = [record for record in of_table if any(_matches(record, pattern) for pattern in patterns)]
                if matching:
                    event = {"Records": [{**record, "eventSourceARN": mapping.event_source_arn} for record in matching]}
                    self._see_through(_function_of(mapping.function_arn), json.dumps(event, default=_base64).encode())

    def _ring(self) -> None:
        """Call what schedules are for, when they are due."""
        while True:
            due = {schedule.name: (schedule, _time_of(schedule)) for schedule in self._schedules()}
            waits = [(at - time.time(), schedule) for schedule, at in due.values() if at is not None]
            for wait_s, schedule in waits:
                if wait_s <= 0 and self.on:
                    self._fire(schedule)
            later = [wait_s for wait_s, _ in waits if wait_s > 0]
            with self._lock:
                self._lock.wait(timeout=min(later, default=None))

    def _fire(self, schedule: Schedule) -> None:
        self._remove(schedule)
        self._call(schedule, schedule.target["Input"])

    def _call(self, schedule: Schedule, given: str) -> None:
        target = schedule.target
        if not self._refuses(target["RoleArn"], "lambda:InvokeFunction", target["Arn"]):
            self.invoke(_function_of(target["Arn"]), given.encode())

    def _schedules(self) -> Iterator[Schedule]:
        for group in list(scheduler_backends[self._account][self._region].schedule_groups.values()):
            yield from list(group.schedules.values())

    def _remove(self, schedule: Schedule) -> None:
        groups = scheduler_backends[self._account][self._region].schedule_groups
        groups[schedule.group_name].schedules.pop(schedule.name, None)


def _base64(value: Any) -> str:
    return b64encode(value).decode()


def _function_of(arn: str) -> str:
    if ":function:" not in arn:
        raise NotEmulated(f"the target {arn}")
    return arn.rpartition(":function:")[2]


def _time_of(schedule: Schedule) -> float | None:
    """When a one-time schedule is due (seconds since 1970); None for one that repeats."""
    expression = schedule.schedule_expression
    if not expression.startswith("at("):
        return None
    return datetime.fromisoformat(expression[3:-1]).replace(tzinfo=timezone.utc).timestamp()


def _matches(value: Any, pattern: Any) -> bool:
    """A filter pattern, as far as ours go: a list names the values, or whether there is one."""
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(_matches(value.get(name), one) for name, one in pattern.items())
    return any((value is not None) is one["exists"] if isinstance(one, dict) else value == one for one in pattern)
