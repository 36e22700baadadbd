"""Runs on machines of their own: one Standard execution that submits an array job, whose children take the work."""

from __future__ import annotations

import json
from collections.abc import Sequence

from fanfold.contract.cloud import DEDICATED, Lane
from fanfold.contract.payloads import DedicatedInput
from fanfold.core.models import JobHeader, RunRef
from fanfold.engines.aws.dispatch import Dispatch
from fanfold.engines.aws.paths.base import (
    STANDARD_LOOK_S,
    Fate,
    LaunchContext,
    execution_name,
    start_is_known_within_s,
)
from fanfold.engines.aws.paths.executions import Executions
from fanfold.engines.aws.work import Work
from fanfold.errors import FanfoldError, UnknownInstanceType
from fanfold.stores.aws.failed_executions import describe_job, job_id_of, machine_failure, was_refused_for_now

#: As many as an array job may have.
_MACHINES = 10_000
#: TerminateJobs takes so many at once.
_TERMINATED = 50
#: What Batch says of an array of which a child has failed.
_OF_A_CHILD = "Array Child Job failed"


class DedicatedPath:
    """Lays the work out, and has machines started for it."""

    def __init__(self, context: LaunchContext, executions: Executions) -> None:
        self._context = context
        self._executions = executions

    def start(self, header: JobHeader, dispatch: Dispatch, runs: Sequence[RunRef]) -> None:
        """Lay out the work, then start the execution. Raises `UnknownInstanceType`."""
        lane, job = self._lane(header), self._context.job(header)
        Work(self._context.stores, header.id).put(dispatch.name, runs)
        given: DedicatedInput = {
            "job": job,
            "queue": lane["queue"],
            "definition": lane["definition"],
            "machines": max(1, min(header.max_workers or 1, len(runs), _MACHINES)),
        }
        self._executions.start(DEDICATED, execution_name(header, dispatch), json.dumps(given, separators=(",", ":")))

    def stop(self, header: JobHeader, dispatch: Dispatch) -> None:
        """Stop the execution and end its machines.

        Stopping the execution ends the machines too, some time later; they are paid for meanwhile.
        """
        try:
            self._executions.stop(DEDICATED, execution_name(header, dispatch), "The job was cancelled.")
        finally:  # whatever keeps the execution from being stopped: its machines are what costs
            self._end_machines(header)

    def _end_machines(self, header: JobHeader) -> None:
        account, queue = self._context.account, self._lane(header)["queue"]
        name = [{"name": "JOB_NAME", "values": [f"fanfold-{header.id}"]}]
        on = f"queue {queue}"
        jobs = account.call("batch", "list_jobs", on=on, jobQueue=queue, filters=name)["jobSummaryList"]
        alive = [job["jobId"] for job in jobs if job.get("status") not in ("SUCCEEDED", "FAILED")]
        why = {"on": on, "reason": "The job was cancelled."}
        for some in (alive[start : start + _TERMINATED] for start in range(0, len(alive), _TERMINATED)):
            if not self._terminate_together(some, **why):
                for job_id in some:
                    account.call("batch", "terminate_job", jobId=job_id, **why)

    def _terminate_together(self, job_ids: list[str], **why: str) -> bool:
        """End several jobs in one call, where this botocore and these credentials can; False where they cannot."""
        account = self._context.account
        if len(job_ids) < 2 or not hasattr(account.client("batch"), "terminate_jobs"):
            return False
        try:
            account.call("batch", "terminate_jobs", jobs=job_ids, **why)
        except FanfoldError:  # a region or a policy that does not know it: one by one is as good
            return False
        return True

    def fate(self, header: JobHeader, dispatch: Dispatch, age_s: float) -> Fate | None:
        """Why nothing more comes of it, or None while something may; in AWS Batch's words where it failed."""
        name = execution_name(header, dispatch)
        ending, sight = (
            self._executions.fate(DEDICATED, name, age_s, dispatch),
            self._executions.look(DEDICATED, name),
        )
        if ending is None or sight.status != "FAILED" or not (sight.error or sight.cause):
            return ending
        why = machine_failure(sight.error, sight.cause)
        if _OF_A_CHILD in why:
            why = self._why_a_child_failed(header, job_id_of(sight.cause)) or why
        return Fate(f"its machines ended: {why}", throttled=was_refused_for_now(sight.error, sight.cause))

    def lasts_s(self, dispatch: Dispatch) -> float:
        """Until its client has long been gone; else its execution tells of its end."""
        return start_is_known_within_s(dispatch) or STANDARD_LOOK_S

    def _why_a_child_failed(self, header: JobHeader, array_id: str) -> str:
        """Batch tells of an array that a child failed, and of the child why."""
        lane = self._lane(header)
        try:
            listed = self._context.account.call(
                "batch", "list_jobs", on=f"queue {lane['queue']}", arrayJobId=array_id, jobStatus="FAILED", maxResults=1
            )["jobSummaryList"]
        except FanfoldError:  # it is only for the words
            return ""
        return describe_job(listed[0]) if listed else ""

    def _lane(self, header: JobHeader) -> Lane:
        return lane_of(self._context, header)


def lane_of(context: LaunchContext, header: JobHeader) -> Lane:
    """The queue and the definition of a job's machines. Raises `UnknownInstanceType`."""
    deployment, instance_type = context.deployment, str(header.instance_type)
    lane = deployment.lane(instance_type, header.image_name)
    if lane is None:
        names = deployment.image(header.image_name)["instance_types"]
        of_image = f" for the image {header.image_name!r}" if header.image_name else ""
        raise UnknownInstanceType(
            f"The deployment {deployment.name!r} has no machine {instance_type!r}{of_image}.",
            next_step=f"choose one of {', '.join(names)}, or add it to the deployment's settings.",
        )
    return lane
