"""The services that our state machines call, as Step Functions calls them, with its names for their errors.

https://docs.aws.amazon.com/step-functions/latest/dg/integrate-optimized.html
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from tests.cloud.aws_errors import INACTIVE, THROTTLE_MESSAGE
from tests.cloud.functions import Functions, Inactive, Throttled
from tests.cloud.states.definition import INVOKE, PUT_ITEM, SUBMIT_JOB
from tests.cloud.states.interpreter import Execution, Stopped
from tests.cloud.states.values import StateFailed, as_json

#: How often a job is looked at; on AWS an EventBridge rule tells of its end.
_LOOK_S = 0.05


class Integrations:
    """Calls services: functions within this process, the others over HTTP as anyone would."""

    def __init__(self, client: Callable[[str], Any], functions: Functions) -> None:
        self._client = client
        self._functions = functions
        #: The names under which the coming SubmitJobs are refused.
        self.submit_refusals: list[str] = []
        self._calls = {INVOKE: self._invoke, PUT_ITEM: self._put_item, SUBMIT_JOB: self._submit_job}

    def call(self, resource: str, parameters: Any, execution: Execution) -> Any:
        """What the call answers. Raises `StateFailed`."""
        return self._calls[resource](parameters, execution)

    def read_items(self, parameters: Any) -> list[Any]:
        """The items of an object of JSON lines. Fails with States.ItemReaderFailed."""
        try:
            body = self._client("s3").get_object(**parameters)["Body"].read()
            return [json.loads(line) for line in body.splitlines() if line.strip()]
        except (ClientError, ValueError) as error:
            raise StateFailed("States.ItemReaderFailed", str(error)) from error

    def _invoke(self, parameters: Any, execution: Execution) -> Any:
        try:
            answer = self._functions.invoke(parameters["FunctionName"], as_json(parameters["Payload"]).encode())
        except Throttled as throttled:
            raise StateFailed("Lambda.TooManyRequestsException", str(throttled)) from throttled
        except Inactive as inactive:
            raise StateFailed(f"Lambda.{INACTIVE}", str(inactive)) from inactive
        except LookupError as error:
            raise StateFailed("Lambda.ResourceNotFoundException", str(error)) from error
        if answer.error is not None:
            # The cause is the function's whole answer, with the error's type and message.
            raise StateFailed(answer.error, as_json(answer.payload))
        return {"StatusCode": 200, "Payload": answer.payload}

    def _put_item(self, parameters: Any, execution: Execution) -> Any:
        try:
            return {"ConsumedCapacity": self._client("dynamodb").put_item(**parameters).get("ConsumedCapacity")}
        except ClientError as error:
            raise _failed("DynamoDB", error) from error

    def _submit_job(self, parameters: Any, execution: Execution) -> Any:
        """Submit and wait. A stopped execution terminates its job, as the role's permissions let it."""
        if self.submit_refusals:
            raise StateFailed(self.submit_refusals.pop(0), THROTTLE_MESSAGE)
        batch = self._client("batch")
        tags = parameters.pop("Tags", {})
        try:
            job_id = batch.submit_job(**_camel(parameters), tags=tags)["jobId"]
        except ClientError as error:
            raise _failed("Batch", error) from error
        while True:
            (job,) = batch.describe_jobs(jobs=[job_id])["jobs"]
            if job["status"] == "SUCCEEDED":
                return {"JobId": job_id, "Status": "SUCCEEDED"}
            if job["status"] == "FAILED":
                raise StateFailed("States.TaskFailed", as_json(_pascal(job)))
            if execution.stop.wait(_LOOK_S):
                batch.terminate_job(jobId=job_id, reason="Execution stopped")
                raise Stopped("ABORTED")


def _failed(service: str, error: ClientError) -> StateFailed:
    return StateFailed(f"{service}.{error.response['Error']['Code']}", str(error))


def _pascal(value: Any) -> Any:
    """The cause of a failed job is what DescribeJobs tells of it, in upper camel case and without its times."""
    if isinstance(value, list):
        return [_pascal(item) for item in value]
    if isinstance(value, dict):
        return {key[0].upper() + key[1:]: _pascal(item) for key, item in value.items()}
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)


def _camel(value: Any) -> Any:
    """Step Functions takes Batch's arguments in upper camel case."""
    if isinstance(value, list):
        return [_camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key[0].lower() + key[1:]: _camel(item) for key, item in value.items()}
