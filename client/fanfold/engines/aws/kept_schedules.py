"""The schedules of a deployment: EventBridge Scheduler has the times, the bucket what is run."""

from __future__ import annotations

import json
from typing import Any

from fanfold.contract.cloud import SchedulerFacts, schedules_group
from fanfold.engines.schedule import Definition, Scheduled, aws_cron, check_name, no_such
from fanfold.errors import InputError, ResultDamaged
from fanfold.stores.aws import AwsStores
from fanfold.stores.aws.account import Refused
from fanfold.stores.keys import definition_key, inputs_index_key, inputs_key, schedule_prefix, scheduled_key

_NOT_THERE = ("ResourceNotFoundException",)
#: Inputs are copied for each job, through the shepherd's memory.
_INPUTS_BYTES = 100 << 20
#: What EventBridge puts there: the moment that was meant, however late it calls.
_AT = "<aws.scheduler.scheduled-time>"


class DeploymentSchedules:
    """Keeps schedules in a deployment, whose shepherd starts their jobs."""

    def __init__(self, stores: AwsStores, deployment: str, facts: SchedulerFacts) -> None:
        self._stores = stores
        self._group = schedules_group(deployment)
        self._facts = facts

    def put(self, definition: Definition) -> None:
        """Keep a schedule, in place of one of that name; what it runs is there before it is due for the first time."""
        objects, job_id, name = self._stores.objects, definition.header.id, definition.name
        for key in (inputs_key(job_id), inputs_index_key(job_id)):
            data = objects.get(key)
            if len(data) > _INPUTS_BYTES:
                raise InputError(
                    f"The inputs of schedule {name} take {len(data) >> 20:,} MiB, and {_INPUTS_BYTES >> 20} are kept.",
                    next_step="give large inputs by reference, such as s3:// paths.",
                )
            objects.put(scheduled_key(name, key), data)
        objects.put(definition_key(name), definition.to_text().encode())
        given: dict[str, Any] = {
            "ScheduleExpression": aws_cron(definition.cron),
            "ScheduleExpressionTimezone": definition.timezone,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {
                "Arn": self._facts["function"],
                "RoleArn": self._facts["role"],
                "Input": json.dumps({"schedule": name, "at": _AT, "owner": definition.header.owner}),
            },
            "State": "ENABLED",
        }
        try:
            self._call("create_schedule", name, expected=("ConflictException",), **given)
        except Refused:
            self._call("update_schedule", name, **given)

    def all(self) -> list[Scheduled]:
        """All schedules, by name."""
        found = self._states()
        return [Scheduled(self._definition(name), found[name]) for name in sorted(found)]

    def owner_of(self, name: str) -> str:
        """Whose schedule has that name; "" where there is none. One call."""
        try:
            found = self._call("get_schedule", check_name(name), expected=_NOT_THERE)
        except Refused:
            return ""
        told = json.loads(found["Target"]["Input"])
        return str(told["owner"]) if "owner" in told else self._definition(name).header.owner

    def _states(self) -> dict[str, bool]:
        """Of each schedule there is whether it is paused."""
        account, on = self._stores.account, f"schedule group {self._group}"
        found: dict[str, bool] = {}
        more: dict[str, Any] = {}
        while True:
            answer = account.call("scheduler", "list_schedules", on=on, GroupName=self._group, **more)
            found |= {one["Name"]: one["State"] == "DISABLED" for one in answer["Schedules"]}
            if not answer.get("NextToken"):
                break
            more = {"NextToken": answer["NextToken"]}
        return found

    def get(self, name: str) -> Scheduled:
        """The schedule of that name. Raises `InputError` where there is none."""
        is_paused = self._schedule(name)["State"] == "DISABLED"
        return Scheduled(self._definition(name), is_paused)

    def pause(self, name: str, paused: bool) -> None:
        """Have it start no job until it is resumed, or resume it. Raises `InputError` where there is none."""
        now, kept = self._schedule(name), ("ScheduleExpression", "ScheduleExpressionTimezone", "FlexibleTimeWindow")
        given = {one: now[one] for one in (*kept, "Target")}
        self._call("update_schedule", name, **given, State="DISABLED" if paused else "ENABLED")

    def remove(self, name: str) -> None:
        """Have it start no job any more; those that it has started stay. Raises `InputError` where there is none."""
        try:
            self._call("delete_schedule", check_name(name), expected=_NOT_THERE)
        except Refused:
            raise no_such(name, self._states()) from None
        objects = self._stores.objects
        objects.delete(list(objects.keys(schedule_prefix(name))))

    def _schedule(self, name: str) -> dict[str, Any]:
        try:
            return self._call("get_schedule", check_name(name), expected=_NOT_THERE)
        except Refused:
            raise no_such(name, self._states()) from None

    def _definition(self, name: str) -> Definition:
        try:
            return Definition.from_text(self._stores.objects.get(definition_key(name)))
        except ResultDamaged as error:
            raise InputError(
                f"What schedule {name!r} runs is not in the bucket any more.",
                next_step=f"make it anew with udf.schedule(..., name={name!r}), or `fanfold schedule remove {name}`.",
            ) from error

    def _call(self, operation: str, name: str, *, expected: tuple[str, ...] = (), **given: Any) -> dict[str, Any]:
        on = f"schedule {self._group}/{name}"
        return self._stores.account.call(
            "scheduler", operation, on=on, expected=expected, GroupName=self._group, Name=name, **given
        )
