"""Why a machine of a dedicated job is gone that has not said so itself: AWS Batch is asked, and its words written down.

A machine that the kernel or EC2 ends says nothing. The job goes on, for others take its runs over. People who look
at the job learn why, before the same happens to the next machine.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from fanfold.contract.cloud import EXIT_GIVEN_BACK
from fanfold.core.fold import JobState
from fanfold.core.models import Event, EventKind, JobHeader, MachineRecord, from_event, to_event
from fanfold.errors import FanfoldError
from fanfold.stores.aws.account import Account
from fanfold.stores.aws.failed_executions import describe_attempt

#: Batch is asked this often about a job's machines. DescribeJobs takes 100; beyond `_MOST` none are asked for.
_ASK_S = 20.0
_AT_ONCE, _MOST = 100, 1_000


class LostMachines:
    """Asks Batch, now and then, about machines that were up when they were last heard of."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._due: dict[str, float] = {}

    def news(self, header: JobHeader, state: JobState, *, at_once: bool = False) -> list[Event]:
        """The events that tell of machines that are gone, and why. `at_once`: also where it has just asked."""
        if header.instance_type is None:
            return []
        now = time.monotonic()
        if now < self._due.setdefault(header.id, now + _ASK_S) and not at_once:
            return []
        self._due[header.id] = now + _ASK_S
        told = ((event, from_event(event)) for event in state.job_events(EventKind.MACHINE))
        up = [(event.at, it) for event, it in told if isinstance(it, MachineRecord) and it.state == "up"][:_MOST]
        try:
            return [event for some in _parts(up) for event in self._gone(header.id, some)]
        except FanfoldError:  # a caller who may not ask, or is throttled, does without: the job itself is well
            return []

    def _gone(self, job_id: str, machines: list[tuple[float, MachineRecord]]) -> Iterator[Event]:
        ids = sorted({machine.batch_job for _, machine in machines})
        told = self._account.call("batch", "describe_jobs", on=f"the machines of job {job_id}", jobs=ids)["jobs"]
        attempts = {job["jobId"]: job.get("attempts") or [] for job in told}
        for up_at, machine in machines:
            ended = attempts.get(machine.batch_job, [])[machine.attempt - 1 : machine.attempt]
            if ended and (reason := _reason(ended[0])):
                stopped_at = float(ended[0].get("stoppedAt") or 0) / 1000
                # The store takes what is written for this machine's time, and Batch tells AWS's.
                at = stopped_at + self._account.clock.ahead_s if stopped_at > up_at else None
                yield to_event(job_id, machine._replace(state="lost", reason=reason), at=at)


def _reason(attempt: Mapping[str, Any]) -> str:
    """Why an attempt ended that has ended by no doing of its own; nothing where it goes on, or has told by itself."""
    code = (attempt.get("container") or {}).get("exitCode")
    if (code is None and attempt.get("stoppedAt") is None) or code in (0, EXIT_GIVEN_BACK):
        return ""
    return describe_attempt(attempt) or "AWS Batch does not say why"


def _parts(machines: list[tuple[float, MachineRecord]]) -> Iterator[list[tuple[float, MachineRecord]]]:
    return (machines[start : start + _AT_ONCE] for start in range(0, len(machines), _AT_ONCE))
