"""Whose turn it is to look after a job, and the alarm by which it is somebody's again."""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone
from typing import Any, NamedTuple

from fanfold.contract.cloud import EXPIRES_AT, SHEPHERD, job_partition
from fanfold.stores.aws import AwsStores
from fanfold.stores.aws.account import Account, Refused
from fanfold.stores.aws.table import key

#: One that has not renewed its turn for so long is gone.
_TURN_S = 90.0
#: A schedule may not lie in the past when it arrives.
SOONEST_S = 30.0


class Turn:
    """One item of a job: until when somebody looks after it, and how often that has been asked for.

    Who finds somebody at it only leaves word. The one that is at it ends its turn on the condition that nobody has
    since its last look, so that no word is lost.
    """

    def __init__(self, stores: AwsStores, job_id: str) -> None:
        self._stores = stores
        self._job_id = job_id
        self._key = key(job_partition(job_id), SHEPHERD)

    def ask(self) -> None:
        """Leave word that there may be something to do. Raises `JobNotFound`."""
        expires_at = self._stores.log.job_headers.known(self._job_id).expires_at
        values = {":one": {"N": "1"}, ":expires": {"N": str(expires_at)}}
        self._stores.table.update(
            self._key, f"ADD asked :one SET {EXPIRES_AT} = :expires", ExpressionAttributeValues=values
        )

    def take(self) -> bool:
        """Be the one that looks after it from now on; False where another is."""
        now = self._stores.account.clock.now()
        values = {":now": {"N": repr(now)}, ":until": {"N": repr(now + _TURN_S)}}
        free = "attribute_not_exists(#until) OR #until < :now"
        return self._stores.table.update_if(self._key, "SET #until = :until", free, **_named(values))

    def renew(self) -> int:
        """Keep the turn; how often a look has been asked for by now."""
        until = {":until": {"N": repr(self._stores.account.clock.now() + _TURN_S)}}
        before = self._stores.table.update(self._key, "SET #until = :until", **_named(until))
        return int(before.get("asked", {"N": "0"})["N"])

    def end(self, asked: int) -> bool:
        """Let another have the turn; False where somebody has asked since it was so often."""
        same = {":asked": {"N": str(asked)}}
        return self._stores.table.update_if(self._key, "REMOVE #until", "asked = :asked", **_named(same))

    def told(self) -> tuple[str, int]:
        """Which of the job's ends has been told of, and how often that was tried in vain for the one after it."""
        item = self._stores.table.get(self._key) or {}
        return item.get("told", {"S": ""})["S"], int(item.get("tellings", {"N": "0"})["N"])

    def note_told(self, end: str) -> None:
        """That end has been told of, or nobody can be told of it."""
        values = {":end": {"S": end}}
        self._stores.table.update(self._key, "SET told = :end REMOVE tellings", ExpressionAttributeValues=values)

    def note_not_told(self) -> None:
        """One more try has been in vain."""
        self._stores.table.update(self._key, "ADD tellings :one", ExpressionAttributeValues={":one": {"N": "1"}})


def _named(values: dict[str, Any]) -> dict[str, Any]:
    return {"ExpressionAttributeNames": {"#until": "looked_after_until"}, "ExpressionAttributeValues": values}


class Alarm(NamedTuple):
    """Has the shepherd woken at a time, by a schedule of EventBridge that is gone afterwards."""

    account: Account
    group: str
    #: ARN of the shepherd, and who EventBridge Scheduler is when it calls it.
    function: str
    role: str

    def set(self, job_id: str, in_s: float) -> None:
        """Wake it for a job in so many seconds, give or take one minute, instead of when it was to be woken."""
        at = datetime.fromtimestamp(time.time() + max(in_s, SOONEST_S), timezone.utc)
        given: dict[str, Any] = {
            "GroupName": self.group,
            "Name": job_id,
            "ScheduleExpression": f"at({at:%Y-%m-%dT%H:%M:%S})",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "ActionAfterCompletion": "DELETE",
            "Target": {"Arn": self.function, "RoleArn": self.role, "Input": json.dumps({"job": job_id})},
        }
        on = f"schedule {self.group}/{job_id}"
        try:
            self.account.call("scheduler", "create_schedule", on=on, expected=("ConflictException",), **given)
        except Refused:
            self.account.call("scheduler", "update_schedule", on=on, **given)
