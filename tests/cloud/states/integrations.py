"""The services that our state machines call, as Step Functions calls them, with its names for their errors.

https://docs.aws.amazon.com/step-functions/latest/dg/integrate-optimized.html
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from tests.cloud.aws_errors import INACTIVE
from tests.cloud.functions import Functions, Inactive, Throttled
from tests.cloud.states.definition import INVOKE, PUT_ITEM, SUBMIT_JOB
from tests.cloud.states.interpreter import Execution, Stopped
from tests.cloud.states.values import StateFailed, as_json

#: How often a job is looked at; on AWS an EventBridge rule tells of its end.
_LOOK_S = 0.05


class Integrations:
    """Calls services: functions within this process, the others over HTTP as anyone would."""

    def __init__(
        self,
        client: Callable[[str], Any],
        functions: Functions,
        refuses: Callable[[str, str, str], str] = lambda *_: "",
    ) -> None:
        """`refuses`: why a role may not do something to a resource, or nothing (`permissions.Permissions`)."""
        self._client = client
        self._refuses = refuses
        self._functions = functions
        #: The names under which the coming SubmitJobs are refused, and the reasons.
        self.submit_refusals: list[tuple[str, str]] = []
        self._calls = {INVOKE: self._invoke, PUT_ITEM: self._put_item, SUBMIT_JOB: self._submit_job}

    def call(self, resource: str, parameters: Any, execution: Execution) -> Any:
        """What the call answers. Raises `StateFailed`."""
        return self._calls[resource](parameters, execution)

    def read_items(self, parameters: Any, execution: Execution) -> list[Any]:
        """The items of an object of JSON lines. Fails with States.ItemReaderFailed."""
        where = f"arn:aws:s3:::{parameters['Bucket']}/{parameters['Key']}"
        self._check(execution, "s3:GetObject", where, "States.ItemReaderFailed")
        machine = ":".join(execution.id.split(":")[:7]).replace(":execution:", ":stateMachine:")
        self._check(execution, "states:StartExecution", machine, "States.Permissions")
        try:
            body = self._client("s3").get_object(**parameters)["Body"].read()
            return [json.loads(line) for line in body.splitlines() if line.strip()]
        except (ClientError, ValueError) as error:
            raise StateFailed("States.ItemReaderFailed", str(error)) from error

    def _check(self, execution: Execution, action: str, resource: str, error: str) -> None:
        """Raise `StateFailed` with that error where the role of the execution's state machine may not do it."""
        if why := self._refuses(execution.role, action, resource):
            raise StateFailed(error, why)

    def _invoke(self, parameters: Any, execution: Execution) -> Any:
        name = parameters["FunctionName"]
        function = name if name.startswith("arn:") else f"{_account_of(execution, 'lambda')}:function:{name}"
        self._check(execution, "lambda:InvokeFunction", function, "Lambda.AWSLambdaException")
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
        table = f"{_account_of(execution, 'dynamodb')}:table/{parameters['TableName']}"
        self._check(execution, "dynamodb:PutItem", table, "DynamoDB.AmazonDynamoDBException")
        try:
            return {"ConsumedCapacity": self._client("dynamodb").put_item(**parameters).get("ConsumedCapacity")}
        except ClientError as error:
            raise _failed("DynamoDB", error) from error

    def _submit_job(self, parameters: Any, execution: Execution) -> Any:
        """Submit and wait. A stopped execution terminates its job, as the role's permissions let it."""
        if self.submit_refusals:
            raise StateFailed(*self.submit_refusals.pop(0))
        self._check_submit(parameters, execution)
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
                job_arn = f"{_account_of(execution, 'batch')}:job/{job_id}"
                self._check(execution, "batch:TerminateJob", job_arn, "Batch.AWSBatchException")
                batch.terminate_job(jobId=job_id, reason="Execution stopped")
                raise Stopped("ABORTED")

    def _check_submit(self, parameters: Any, execution: Execution) -> None:
        """Submitting, tagging and waiting: https://docs.aws.amazon.com/step-functions/latest/dg/connect-batch.html."""
        here = _account_of(execution, "batch")
        told = {"job-queue": parameters["JobQueue"], "job-definition": parameters["JobDefinition"]}
        lanes = [name if name.startswith("arn:") else f"{here}:{kind}/{name}" for kind, name in told.items()]
        for action in ("batch:SubmitJob", *(["batch:TagResource"] if parameters.get("Tags") else [])):
            for lane in lanes:
                self._check(execution, action, lane, "Batch.AWSBatchException")
        self._check(execution, "batch:DescribeJobs", "*", "Batch.AWSBatchException")
        rule = f"{_account_of(execution, 'events')}:rule/StepFunctionsGetEventsForBatchJobsRule"
        for action in ("events:PutTargets", "events:PutRule", "events:DescribeRule"):
            self._check(execution, action, rule, "States.Permissions")


def _account_of(execution: Execution, service: str) -> str:
    """How ARNs of a service begin in an execution's region and account."""
    _, partition, _, region, account = execution.id.split(":")[:5]
    return f"arn:{partition}:{service}:{region}:{account}"


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
