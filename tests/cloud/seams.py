"""Where this cloud takes moto's place: methods of moto's models that are replaced by what is real.

moto is pinned; `test_seams.py` says which of these broke when an upgrade moves them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from moto.awslambda.models import LambdaFunction, lambda_backends
from moto.batch.models import BatchBackend, Job
from moto.batch.utils import JobStatus
from moto.core.exceptions import JsonRESTError
from moto.dynamodb.models import dynamodb_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.s3.models import s3_backends
from moto.stepfunctions.models import Execution as Listed
from moto.stepfunctions.models import StateMachine, StepFunctionBackend

from tests.cloud.aws_errors import INACTIVE, INACTIVE_STATUS
from tests.cloud.events import Events
from tests.cloud.executions import Executions
from tests.cloud.functions import Configuration, Functions, Inactive, PayloadTooLarge, Throttled, configuration
from tests.cloud.machines import Machines
from tests.cloud.refusals import NotEmulated
from tests.cloud.states.definition import parse
from tests.cloud.states.interpreter import STATE_BYTES
from tests.cloud.states.map_runs import CannotChange, MapRun, NoMapRun

#: The overrides of a job, as text (https://docs.aws.amazon.com/batch/latest/userguide/service_limits.html).
OVERRIDES_CHARACTERS = 8_192
ARRAY_SIZES = range(2, 10_001)


class Refusal(JsonRESTError):
    """An error for the client, with the status that AWS answers."""

    def __init__(self, code: str, message: str, *, status: int = 400) -> None:
        super().__init__(code, message)
        self.code = status


def find_function(account: str, region: str, name: str) -> Configuration:
    """A function's configuration. Raises `LookupError` where there is none of that name."""
    found = lambda_backends[account][region]._lambdas._functions.get(name)
    if found is None:
        raise LookupError(f"Function not found: {name}")
    function = found["latest"]
    found_at = str(getattr(function, "code", {}).get("ImageUri", ""))
    made = configuration(
        dict(function.environment_vars),
        entry_point=function.image_config.entry_point,
        command=function.image_config.cmd,
        timeout_s=float(function.timeout),
        memory_mib=int(function.memory_size),
    )
    return made._replace(image=found_at, name=name)


def install_functions(functions: Functions, events: Events) -> None:
    """Invoke runs the real handler."""

    def invoke(self: LambdaFunction, body: Any, request_headers: Any, headers: dict[str, Any]) -> bytes:
        kind = request_headers.get("X-Amz-Invocation-Type", "RequestResponse")
        if kind == "Event":
            events.invoke(self.function_name, body.encode() if isinstance(body, str) else body)
            return b""
        if kind != "RequestResponse":
            raise _refused(NotEmulated(f"invocations of the type {kind}"))
        try:
            answer = functions.invoke(self.function_name, body.encode() if isinstance(body, str) else body)
        except NotEmulated as refused:
            raise _refused(refused) from refused
        except Throttled as throttled:
            raise Refusal("TooManyRequestsException", str(throttled), status=429) from throttled
        except Inactive as inactive:
            raise Refusal(INACTIVE, str(inactive), status=INACTIVE_STATUS) from inactive
        except PayloadTooLarge as large:
            raise Refusal("RequestTooLargeException", str(large), status=413) from large
        if answer.error is not None:
            headers["x-amz-function-error"] = "Unhandled"
        return json.dumps(answer.payload).encode()

    LambdaFunction.invoke = invoke


def install_bucket_hosts() -> None:
    """Take requests whose host is `<bucket>.localhost`, as DuckDB sends them, for requests to that bucket."""
    passed_on: Callable[..., Iterable[bytes]] = DomainDispatcherApplication.__call__

    def answer(app: Any, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        bucket = re.fullmatch(r"(.+)\.(localhost(?::\d+)?)", environ.get("HTTP_HOST", ""))
        if bucket:
            environ |= {"HTTP_HOST": bucket[2], "PATH_INFO": f"/{bucket[1]}{environ['PATH_INFO']}"}
            environ.pop("RAW_URI", None)
            environ.pop("REQUEST_URI", None)
        return passed_on(app, environ, start_response)

    DomainDispatcherApplication.__call__ = answer


def install_machines(machines: Machines) -> None:
    """Jobs run as processes; an array's parent ends when its children have, and fails with one of them."""
    describe_short, terminate, submit = Job.describe_short, Job.terminate, BatchBackend.submit_job
    list_jobs, describe = BatchBackend.list_jobs, Job.describe

    def describe_short_now(self: Job) -> dict[str, Any]:
        _roll_up(self)
        told: dict[str, Any] = describe_short(self)
        if hasattr(self, "container_end"):
            told["container"] = self.container_end
        return told

    def describe_child_too(self: Job) -> dict[str, Any]:
        told: dict[str, Any] = describe(self)
        if "index" in self.array_properties:
            told["arrayProperties"] = {"index": self.array_properties["index"]}
        ended = getattr(self, "attempts_ended", [])
        told["attempts"] = [
            {**attempt, "container": container, "statusReason": said}
            for attempt, (container, said) in zip(told.get("attempts", []), ended, strict=False)
        ]
        return told

    def terminate_children_too(self: Job, reason: str) -> None:
        for job in [*(self._child_jobs or []), self]:
            terminate(job, reason)

    def submit_within_limits(self: BatchBackend, *args: Any, **named: Any) -> Any:
        overrides = json.dumps(named["container_overrides"] or {}, separators=(",", ":"))
        if len(overrides) > OVERRIDES_CHARACTERS:
            raise Refusal("ClientException", f"Container Overrides length must be at most {OVERRIDES_CHARACTERS}")
        if (named["array_properties"] or {}).get("size", 2) not in ARRAY_SIZES:
            raise Refusal("ClientException", "Array job size must be between 2 and 10000")
        return submit(self, *args, **named)

    def list_parents_only(self: BatchBackend, *args: Any, **named: Any) -> list[Job]:
        found: list[Job] = list_jobs(self, *args, **named)
        return found if named.get("array_job_id") else [job for job in found if "index" not in job.array_properties]

    def run(self: Job) -> None:
        machines.run(self)

    Job.run = run
    Job.describe_short, Job.describe, Job.terminate = describe_short_now, describe_child_too, terminate_children_too
    BatchBackend.submit_job, BatchBackend.list_jobs = submit_within_limits, list_parents_only


def install_executions(executions: Executions) -> None:
    """State machines are interpreted; a definition that would not be is refused when it is made."""
    create = StepFunctionBackend.create_state_machine

    def create_if_known(self: StepFunctionBackend, name: str, definition: str, *args: Any, **named: Any) -> Any:
        try:
            parse(definition, named.get("sm_type") or "STANDARD")
        except NotEmulated as refused:
            raise _refused(refused) from refused
        return create(self, name, definition, *args, **named)

    def start(
        self: StateMachine, region_name: str, account_id: str, execution_name: str, execution_input: str
    ) -> Listed:
        if len(execution_input.encode()) > STATE_BYTES:
            raise Refusal("ValidationException", "Value at 'input' failed to satisfy constraint: 262144 bytes at most")
        self._validate_execution_input(execution_input)
        if self.type == "EXPRESS":
            listed = Listed(region_name, account_id, self.name, execution_name, self.arn, execution_input)
            listed.execution_arn = executions.start_express(self, execution_name, execution_input)
            return listed
        same = self._handle_name_input_idempotency(execution_name, execution_input)
        if same is not None:
            return same
        listed = Listed(region_name, account_id, self.name, execution_name, self.arn, execution_input)
        self.executions.append(listed)
        executions.start_standard(listed, self)
        return listed

    def stop(self: Listed, *_: Any, **__: Any) -> None:
        executions.stop(self)

    def refuse_history(self: StepFunctionBackend, execution_arn: str) -> None:
        raise _refused(NotEmulated("the history of executions"))

    def list_map_runs(self: StepFunctionBackend, execution_arn: str) -> dict[str, Any]:
        self.describe_execution(execution_arn)  # which refuses one that is not there
        return {"mapRuns": [run.listed() for run in executions.map_runs.of(execution_arn)]}

    def describe_map_run(self: StepFunctionBackend, map_run_arn: str) -> dict[str, Any]:
        return _map_run(executions, map_run_arn).described()

    def update_map_run(
        self: StepFunctionBackend,
        map_run_arn: str,
        max_concurrency: int | None,
        tolerated_failure_count: int | None,
        tolerated_failure_percentage: float | None,
    ) -> None:
        run, count, share = _map_run(executions, map_run_arn), tolerated_failure_count, tolerated_failure_percentage
        try:
            run.change(max_concurrency=max_concurrency, percentage=share, count=count)
        except CannotChange as refused:
            raise Refusal("ValidationException", str(refused)) from refused

    StepFunctionBackend.list_map_runs = list_map_runs
    StepFunctionBackend.describe_map_run = describe_map_run
    StepFunctionBackend.update_map_run = update_map_run
    StepFunctionBackend.create_state_machine = create_if_known
    StepFunctionBackend.get_execution_history = refuse_history
    StateMachine.start_execution = start
    Listed.stop = stop


def _map_run(executions: Executions, arn: str) -> MapRun:
    try:
        return executions.map_runs.named(arn)
    except NoMapRun as unknown:
        raise Refusal("ResourceNotFound", str(unknown)) from unknown


def forget(account: str, region: str) -> None:
    """Empty every table and bucket; a new deployment would take seconds."""
    for table in dynamodb_backends[account][region].tables.values():
        table.items.clear()
    for bucket in s3_backends[account]["aws"].buckets.values():
        bucket.keys.clear()


def _roll_up(job: Job) -> None:
    """https://docs.aws.amazon.com/batch/latest/userguide/array_jobs.html"""
    children = job._child_jobs
    if not children or job.job_stopped:
        return
    statuses = {child.status for child in children}
    if statuses <= {JobStatus.SUCCEEDED, JobStatus.FAILED}:
        job.job_stopped_reason = "Array Child Job failed" if JobStatus.FAILED in statuses else None
        job._mark_stopped(success=JobStatus.FAILED not in statuses)
    else:
        job.status = JobStatus.PENDING


def _refused(refused: NotEmulated) -> Refusal:
    return Refusal("NotEmulated", f"The local cloud does not emulate {refused}.")
