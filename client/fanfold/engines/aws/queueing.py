"""Why a dedicated job's machines are not up yet: what Batch itself says of the job in its queue."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from fanfold.contract.cloud import Lane
from fanfold.core.fold import JobState
from fanfold.core.models import Event, EventKind, JobHeader, QueueRecord, RunStatus, records, to_event
from fanfold.errors import FanfoldError
from fanfold.stores.aws.account import Account

#: Whose queue it is, in the records of why a job waits.
QUEUE = "AWS Batch"
#: Seconds between two questions, for machines take half a minute to come up; and while Batch has not got the job yet.
_ASK_S, _SOON_S = 15.0, 2.0
#: After so long in RUNNABLE it is not a machine's start any more; Batch often gives no reason for want of capacity.
_LONG_S = 300.0
_LONG = (
    "no {host} has come for more than {minutes} minutes, and Batch says not why: AWS has none free, or the account's"
    " quota of EC2 vCPUs is used up"
)
#: What a reason means, by how it begins
#: (https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable.html).
_MEANS = {
    "CAPACITY:": "AWS has no {host} free now",
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE": "the deployment's setting max_vcpus allows no {host}",
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT": "no {host} has what the job asks for",
    "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS": "Batch's role may not start a {host}",
}


class Queueing:
    """Asks Batch, now and then, about the jobs that wait."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._due: dict[str, float] = {}

    def news(self, header: JobHeader, state: JobState, lane: Lane) -> list[Event]:
        """The event that tells why nothing runs yet, where that has changed since it was last told."""
        counts, now = state.counts(), time.monotonic()
        if counts[RunStatus.RUNNING] or not counts[RunStatus.QUEUED]:
            return []
        if now < self._due.get(header.id, now):
            return []
        self._due[header.id] = now + _ASK_S
        try:
            reason = self._reason(header.id, lane)
        except FanfoldError:  # a caller who may not ask, or is throttled, does without: the job itself is well
            return []
        if not reason:
            self._due[header.id] = now + min(_SOON_S, _ASK_S)
        record = QueueRecord(QUEUE, reason)
        if not reason or record in records(state.job_events(EventKind.QUEUE), QueueRecord):
            return []
        return [to_event(header.id, record)]

    def _reason(self, job_id: str, lane: Lane) -> str:
        """Why the job's machines are not up, or nothing where Batch has not got it yet, or one is up."""
        by_name = [{"name": "JOB_NAME", "values": [f"fanfold-{job_id}"]}]
        job = _unfinished(self._list(lane, jobQueue=lane["queue"], filters=by_name))
        if job.get("status") == "PENDING" and job.get("arrayProperties"):  # the parent of several machines
            job = {**job, **_unfinished(self._list(lane, arrayJobId=job["jobId"], jobStatus="RUNNABLE", maxResults=1))}
        if job.get("status") == "STARTING":
            return f"a {lane['host']} is up and gets ready"
        if job.get("status") != "RUNNABLE":
            return ""
        said = str(job.get("statusReason") or "") or self._trouble(lane)
        return _in_words(said, lane["host"], waited_s=self._account.clock.now() - _created(job))

    def _trouble(self, lane: Lane) -> str:
        """What is wrong with the machines of a queue as such, in Batch's words; nothing where all is well."""
        on = f"queue {lane['queue']}"
        queues = self._account.call("batch", "describe_job_queues", on=on, jobQueues=[lane["queue"]])["jobQueues"]
        names = [one["computeEnvironment"] for queue in queues for one in queue["computeEnvironmentOrder"]]
        on = f"the machines of {on}"
        found = self._account.call("batch", "describe_compute_environments", on=on, computeEnvironments=names)
        bad = (one for one in found["computeEnvironments"] if one.get("status") == "INVALID")
        return next((str(one.get("statusReason", "")) for one in bad), "")

    def _list(self, lane: Lane, **what: Any) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self._account.call("batch", "list_jobs", on=f"queue {lane['queue']}", **what)[
            "jobSummaryList"
        ]
        return listed


def _unfinished(jobs: list[dict[str, Any]]) -> Mapping[str, Any]:
    """The latest of these jobs that has not ended; empty where there is none."""
    alive = (job for job in jobs if job.get("status") not in ("SUCCEEDED", "FAILED"))
    return max(alive, key=_created, default={})


def _created(job: Mapping[str, Any]) -> float:
    """When Batch took the job (seconds since 1970); Batch need not tell."""
    return float(job.get("createdAt", time.time() * 1000)) / 1000


def _in_words(said: str, host: str, *, waited_s: float) -> str:
    if said:
        means = next((text for begins, text in _MEANS.items() if said.startswith(begins)), "")
        return f"{means.format(host=host)}: {said}" if means else f"Batch keeps it waiting: {said}"
    if waited_s >= _LONG_S:  # told at 5, 10, 20, 40 ... minutes, for each telling is written down
        doubled = int(waited_s / _LONG_S).bit_length() - 1
        return _LONG.format(host=host, minutes=round(_LONG_S / 60) << doubled)
    return f"waiting for a {host} to start"
