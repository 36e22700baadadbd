"""The AWS engine: runs on Lambda functions and on machines of a deployment, each job by the path that suits it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fanfold.contract.cloud import DEDICATED, NARROW, WIDE, Lane
from fanfold.contract.layout import work_key
from fanfold.contract.payloads import DispatchJob, WideInput
from fanfold.core.fold import JobState
from fanfold.core.models import JobHeader, RunRef
from fanfold.engines.aws import reconcile
from fanfold.engines.aws.capacity import Capacity, portions
from fanfold.engines.aws.discovery import Deployment
from fanfold.engines.aws.dispatch import (
    DIRECT,
    Dispatch,
    batches,
    lines,
    narrow_input,
    new_dispatch,
    run_items,
    to_event,
)
from fanfold.engines.aws.paths.dedicated import Queueing
from fanfold.engines.aws.paths.direct import DirectCalls
from fanfold.engines.aws.paths.executions import Executions
from fanfold.engines.aws.work import Work
from fanfold.engines.base import Description
from fanfold.errors import FanfoldError, UnknownInstanceType
from fanfold.stores.aws import AwsStores
from fanfold.stores.aws.account import Account
from fanfold.stores.state import read_state

_ARRAY_MACHINES = 10_000
#: One client at a time looks after a job's lost runs, for as long as this.
_TURN_S = 20.0


class AwsEngine:
    """Runs jobs in a deployment. One for each deployment and process."""

    def __init__(self, account: Account, deployment: Deployment, scratch: Path) -> None:
        self._account = account
        self._deployment = deployment
        announced = deployment.announcement
        scratch.mkdir(parents=True, exist_ok=True)
        self.stores = AwsStores(
            account,
            table=announced["table"],
            bucket=announced["bucket"],
            retention_s=announced["limits"]["retention_days"] * 86400.0,
            scratch=scratch,
        )
        self._capacity = Capacity(account, announced["limits"].get("concurrency", 0))
        self._executions = Executions(account, announced["state_machines"])
        self._direct = DirectCalls(self.stores)
        self._inspector = reconcile.Inspector(self._executions, self._direct)
        self._queueing = Queueing(account)
        self._looked_at: dict[str, float] = {}

    def get_ready(self, *, dedicated: bool) -> None:
        """Make the clients that a start needs, which takes as long as a job's inputs take to be checked."""
        self._account.client("stepfunctions")
        if not dedicated:
            self._account.client("lambda")

    def start(self, header: JobHeader, runs: Iterable[RunRef]) -> None:
        """Start these runs by the path that suits them. A start that was cut off anywhere can be repeated."""
        given = list(runs)
        if not given:
            return
        if header.instance_type is not None:
            self._lane(header.instance_type)
        dispatch = new_dispatch(header, given, self._capacity.runs)
        # First said, then done: whoever finds it said and nothing done starts these runs again.
        self.stores.log.append([to_event(header.id, dispatch, "starting")])
        try:
            self._give(header, dispatch, given)
        except FanfoldError as error:
            self._say_failed(header, dispatch, error)
            raise
        if dispatch.path != DEDICATED:  # of machines, "starting" stays true until one says that it is up
            self.stores.log.append([to_event(header.id, dispatch, "started")])

    def cancel(self, header: JobHeader) -> None:
        """Stop the job's executions, and its machines with them; realtime runs see the flag within seconds."""
        for dispatch in reconcile.dispatches_of(read_state(self.stores.log, header, consistent=True)):
            if dispatch.path in (WIDE, DEDICATED):
                self._executions.stop(dispatch.path, f"{header.id}-{dispatch.name}", "The job was cancelled.")
        if header.instance_type is not None:
            self._terminate_machines(header)

    def reconcile(self, header: JobHeader, state: JobState) -> bool:
        """Record runs as lost that nobody runs any more, and start those that are due; True where there were any."""
        now = time.monotonic()
        if state.done or now - self._looked_at.get(header.id, 0.0) < _look_every_s(header.count):
            return False
        self._looked_at[header.id] = now
        told = self._tell_why_it_waits(header, state)
        if not self._inspector.look(header, state) or not self.stores.log.heads.take_turn(header.id, _TURN_S):
            return told
        # What this reader has missed so far must not be taken for lost, nor what another has seen to already.
        self.stores.log.heads.forget(header.id)
        header = self.stores.log.get_job(header.id)
        findings = self._inspector.look(header, read_state(self.stores.log, header, consistent=True))
        self.stores.log.append(list(reconcile.lost_events(header, findings)))
        self.start(header, findings.due)
        if findings.lost:
            self._looked_at.pop(header.id, None)  # the fold may want them started again at once
        self.stores.log.heads.end_turn(header.id)
        return bool(findings) or told

    def wait_for_news(self, timeout_s: float) -> bool:
        """Wait until something was recorded here, or it is time to ask what was recorded elsewhere."""
        return self.stores.log.wait_for_news(timeout_s)

    def describe(self) -> Description:
        """The deployment's limits, instance types and packages."""
        announced = self._deployment.announcement
        return Description(
            name="aws",
            realtime_timeout_s=announced["limits"]["timeout_s"],
            realtime_memory_mib=announced["limits"]["memory_mib"],
            ask_concurrency=self._capacity.runs,
            instance_types=self._deployment.instance_types,
            image=announced["image"]["identity"],
            packages=self._deployment.packages,
            spot=announced["spot"],
            architecture=announced["image"]["architecture"],
        )

    def _give(self, header: JobHeader, dispatch: Dispatch, runs: Sequence[RunRef]) -> None:
        job: DispatchJob = {"id": header.id, "expires_at": self.stores.log.heads.known(header.id).expires_at}
        name = f"{header.id}-{dispatch.name}"
        if dispatch.path == DEDICATED:
            self._give_machines(header, dispatch, job, runs)
            return
        functions = self._deployment.announcement["functions"]
        items = run_items(header, runs, objects=self.stores.objects, functions=functions)
        if dispatch.path == DIRECT:
            self._direct.start({"job": job, "run": next(items)})
        elif dispatch.path == NARROW:
            self._executions.start_narrow(name, (narrow_input(job, batch) for batch in batches(items)))
        else:
            key = work_key(header.id, dispatch.name)
            path = self.stores.scratch / f"{name}.jsonl"
            with path.open("wb") as file:
                file.writelines(lines(items))
            self.stores.objects.put_file(key, path)
            children, each = portions(min(header.max_workers or self._capacity.runs(), self._capacity.runs()))
            given: WideInput = {"job": job, "manifest_key": key, "max_children": children, "runs_per_child": each}
            self._executions.start(WIDE, name, given)

    def _give_machines(self, header: JobHeader, dispatch: Dispatch, job: DispatchJob, runs: Sequence[RunRef]) -> None:
        lane = self._lane(str(header.instance_type))
        Work(self.stores, header.id, expires_at=job["expires_at"]).put(dispatch.name, runs)
        given: dict[str, Any] = {
            "job": job,
            "queue": lane["queue"],
            "definition": lane["definition"],
            "machines": max(1, min(header.max_workers or 1, len(runs), _ARRAY_MACHINES)),
        }
        self._executions.start(DEDICATED, f"{header.id}-{dispatch.name}", given)

    def _lane(self, instance_type: str) -> Lane:
        lane = self._deployment.lanes.get(instance_type)
        if lane is None:
            raise UnknownInstanceType(
                f"The deployment {self._deployment.name!r} has no machine {instance_type!r}.",
                next_step=f"it has {', '.join(self._deployment.lanes)}; others are a matter of its settings.",
            )
        return lane

    def _tell_why_it_waits(self, header: JobHeader, state: JobState) -> bool:
        """Write down why a dedicated job's machines are not up, where there is news of it: for all who look."""
        lane = self._deployment.lanes.get(header.instance_type or "")
        news = self._queueing.news(header, state, lane) if lane is not None else []
        self.stores.log.append(news)
        return bool(news)

    def _say_failed(self, header: JobHeader, dispatch: Dispatch, error: FanfoldError) -> None:
        try:
            self.stores.log.append([to_event(header.id, dispatch, "starting", reason=error.message)])
        except FanfoldError:
            return  # the first error is the one to tell

    def _terminate_machines(self, header: JobHeader) -> None:
        """Stopping the execution does this too, some time; nothing is paid for meanwhile."""
        queue = self._lane(str(header.instance_type))["queue"]
        name = [{"name": "JOB_NAME", "values": [f"fanfold-{header.id}"]}]
        on = f"queue {queue}"
        listed = self._account.call("batch", "list_jobs", on=on, jobQueue=queue, filters=name)
        for job in listed["jobSummaryList"]:
            if job.get("status") not in ("SUCCEEDED", "FAILED"):
                reason = "The job was cancelled."
                self._account.call("batch", "terminate_job", on=on, jobId=job["jobId"], reason=reason)


def _look_every_s(count: int) -> float:
    """Seconds between looks at every open run of a job of `count`, each of which takes some microseconds."""
    return max(1.0, min(count / 1_000, 15.0), count / 20_000)
