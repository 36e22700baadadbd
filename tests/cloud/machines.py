"""Batch: a process for every job, and for every child of an array, with the command and environment it is to have.

https://docs.aws.amazon.com/batch/latest/userguide/job_env_vars.html
https://docs.aws.amazon.com/batch/latest/userguide/job_retries.html
https://docs.aws.amazon.com/batch/latest/APIReference/API_EvaluateOnExit.html
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from moto.batch.models import Job
from moto.batch.utils import JobStatus

from tests.aws.processes import Starter, start_process
from tests.cloud.containers import DEFAULT_SHARED_MIB, Contain, as_it_is
from tests.cloud.images import Images

#: TerminateJob has ECS send SIGTERM, and half a minute later SIGKILL: ECS_CONTAINER_STOP_TIMEOUT of
#: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-agent-config.html
GRACE_S = 30.0
_LOOK_S = 0.02
#: What ECS says of a container that the kernel ended with 137 for its memory.
_OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
#: What Batch says of a job whose host is gone, as after a Spot interruption
#: (https://aws.amazon.com/blogs/compute/introducing-retry-strategies-for-aws-batch/).
_HOST_LOST = "Host EC2 (instance i-0123456789abcdef0) terminated."


class _End(NamedTuple):
    """How an attempt ended: its exit code, what Batch says of the job, and what ECS says of the container."""

    exit_code: int
    status_reason: str
    reason: str


def _container_end(end: _End) -> dict[str, Any]:
    """https://docs.aws.amazon.com/batch/latest/APIReference/API_ContainerSummary.html"""
    return {"exitCode": end.exit_code, **({"reason": end.reason} if end.reason else {})}


class Machines:
    """Hosts for jobs: so many at once, each for one job."""

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        *,
        count: int = 3,
        start: Starter = start_process,
        contain: Contain = as_it_is,
        images: Images | None = None,
    ) -> None:
        self._folder = folder
        self._start, self._contain, self._images = start, contain, images
        self._closed = False
        self._environment = environment
        self._count = count
        self._limit, self._limited_for = count, ""
        self._taken = 0
        self._jobs: list[Job] = []
        self._lock = threading.Lock()
        self._running: dict[str, _Container] = {}

    def run(self, job: Job) -> None:
        """See a job through all of its attempts."""
        with self._lock:
            self._jobs.append(job)
        try:
            self._see_through(job)
        finally:
            with self._lock:
                self._jobs.remove(job)

    def _see_through(self, job: Job) -> None:
        job.status = JobStatus.RUNNABLE
        while not self._take():
            job.job_stopped_reason = self._limited_for or None
            time.sleep(_LOOK_S)
            if job.stop:
                job._mark_stopped(success=False)
                return
        job.job_stopped_reason = None
        try:
            job._mark_stopped(success=self._attempts(job) and not job.stop)
        finally:
            with self._lock:
                self._taken -= 1

    def limit(self, count: int | None, reason: str) -> None:
        """Have no more than so many at once, for a reason as Batch tells it; None for as many as there were.

        https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable.html
        """
        self._limit, self._limited_for = self._count if count is None else count, reason

    def _take(self) -> bool:
        with self._lock:
            free = self._taken < self._limit
            self._taken += free
        return free

    def lose(self) -> int:
        """Every machine that runs something is gone at once, as a host that fails; how many."""
        return self._strike(signal.SIGKILL)

    def interrupt(self) -> int:
        """Every running container is told to stop, as two minutes before a Spot interruption; how many."""
        return self._strike(signal.SIGTERM)

    def end_all(self) -> None:
        """Every job is terminated, and its machine gone at once."""
        with self._lock:
            for job in self._jobs:
                job.stop = True
        self.lose()

    @property
    def are_idle(self) -> bool:
        """Whether there is no job that has not ended."""
        with self._lock:
            return not self._jobs

    def close(self) -> None:
        """Nothing of what was started goes on, and no other attempt is made."""
        with self._lock:
            self._closed = True
            running = list(self._running.values())
        for container in running:
            container.strike(signal.SIGKILL)
            container.process.wait()

    def _strike(self, how: signal.Signals) -> int:
        with self._lock:
            struck = list(self._running.values())
        for container in struck:
            container.strike(how)
        return len(struck)

    def _attempts(self, job: Job) -> bool:
        strategy = job.job_definition.retry_strategy or {}
        for attempt in range(1, int(strategy.get("attempts", 1)) + 1):
            if job.stop:
                return False
            end = self._attempt(job, attempt)
            job.container_end = _container_end(end)
            job.attempts_ended = [*getattr(job, "attempts_ended", []), (job.container_end, end.status_reason)]
            if end.exit_code == 0:
                return True
            if not job.stop:
                job.job_stopped_reason = end.status_reason
            if not _tries_again(strategy.get("evaluateOnExit"), end):
                return False
            job.status = JobStatus.RUNNABLE
        return False

    def _command(self, job: Job) -> list[str]:
        command = _command(job)
        if self._images is None:
            return command
        return self._images.command(job.job_definition.container_properties["image"], command)

    def _attempt(self, job: Job, attempt: int) -> _End:
        job.status = JobStatus.STARTING
        folder = Path(tempfile.mkdtemp(dir=self._folder, prefix="machine-"))
        with self._lock:
            if self._closed:
                raise RuntimeError("the machines are gone")
            variables = {**self._environment, **_variables(job, attempt)}
            command = self._contain(self._command(job), _shared_mib(job))
            container = _Container(self._start, command, variables, folder, job)
            self._running[job.job_id] = container
        job._start_attempt()
        job.status = JobStatus.RUNNING
        try:
            exit_code = container.wait(job)
        finally:
            with self._lock:
                del self._running[job.job_id]
        job.exit_code = exit_code
        job._stop_attempt()
        if container.lost:
            return _End(exit_code, _HOST_LOST, "")
        return _End(exit_code, "Essential container in task exited", _OUT_OF_MEMORY if exit_code == 137 else "")


class _Container:
    def __init__(
        self, start: Starter, command: list[str], environment: Mapping[str, str], folder: Path, job: Job
    ) -> None:
        self.lost = False
        with (folder / "container.log").open("wb") as log:
            self.process = start(command, environment, folder, log, _memory_mib(job))

    def wait(self, job: Job) -> int:
        """The exit code, as a container's: 128 and the signal's number where one ended it."""
        told_at: float | None = None
        while self.process.poll() is None:
            time.sleep(_LOOK_S)
            if job.stop and told_at is None:
                told_at = time.monotonic()
                self.strike(signal.SIGTERM)
            if told_at is not None and time.monotonic() - told_at > GRACE_S:
                self.strike(signal.SIGKILL)
        code = int(self.process.returncode)
        with suppress(ProcessLookupError):  # a container ends with its first process
            os.killpg(self.process.pid, signal.SIGKILL)
        return code if code >= 0 else 128 - code

    def strike(self, how: signal.Signals) -> None:
        """SIGTERM goes to a container's first process only; SIGKILL takes the whole machine."""
        with suppress(ProcessLookupError):
            if how is signal.SIGKILL:
                self.lost = True
                os.killpg(self.process.pid, how)
            else:
                os.kill(self.process.pid, how)


def _command(job: Job) -> list[str]:
    return list(job.container_overrides.get("command") or job.job_definition.container_properties["command"])


def _shared_mib(job: Job) -> int:
    said = job.job_definition.container_properties.get("linuxParameters") or {}
    return int(said.get("sharedMemorySize", DEFAULT_SHARED_MIB))


def _memory_mib(job: Job) -> int:
    """https://docs.aws.amazon.com/batch/latest/APIReference/API_ResourceRequirement.html"""
    asked = job.job_definition.container_properties["resourceRequirements"]
    return next(int(one["value"]) for one in asked if one["type"] == "MEMORY")


def _variables(job: Job, attempt: int) -> dict[str, str]:
    """The definition's, then the submission's, then Batch's own, each overriding the ones before."""
    given: dict[str, Any] = {
        pair["name"]: pair["value"]
        for properties in (job.job_definition.container_properties, job.container_overrides)
        for pair in properties.get("environment", [])
    }
    index = job.array_properties.get("index")
    return {
        **given,
        "AWS_BATCH_JOB_ID": job.job_id,
        "AWS_BATCH_JOB_ATTEMPT": str(attempt),
        "AWS_BATCH_JQ_NAME": job.job_queue.name,
        **({} if index is None else {"AWS_BATCH_JOB_ARRAY_INDEX": str(index)}),
    }


def _tries_again(rules: list[dict[str, str]] | None, end: _End) -> bool:
    """The first rule that matches decides; without rules every failure is tried again."""
    said = {"onExitCode": str(end.exit_code), "onStatusReason": end.status_reason, "onReason": end.reason}
    for rule in rules or []:
        if all(fnmatchcase(said[name], pattern) for name, pattern in rule.items() if name in said):
            return rule["action"].upper() == "RETRY"
    return True
