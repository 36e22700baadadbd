"""The three state machines that start runs: express and distributed for functions, dedicated for machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import Aws, Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from fanfold.contract import cloud
from infra.access import allow, arn
from infra.each_run import EachRun, record_failed_execution
from infra.logs import log_group
from infra.settings import Settings
from infra.storage import StorageStack

#: SubmitJob takes 50 a second from the whole account, and nobody can have that raised. Step Functions has told of the
#: throttle under each of these names (https://github.com/ASFHyP3/hyp3/issues/911 and /issues/1676,
#: https://github.com/chanzuckerberg/single-cell-data-portal/pull/7087, https://repost.aws/questions/QUAa86SEkoSvW-YHVXPmSG3A).
SUBMIT_THROTTLES = [
    "Batch.BatchException",
    "Batch.AWSBatchException",
    "Batch.TooManyRequestsException",
    "Batch.ServerException",
    "Batch.SdkClientException",
    "Batch.ThrottlingException",
]
#: Most of these are final, but a throttle was seen under this name too, and only its message would tell.
SUBMIT_ERRORS = ["Batch.ClientException"]

#: A child's input may hold 256 KiB; the rest is for the job and for the escapes that JSON in JSON needs.
_BATCH_BYTES = 200_000


class Fanout(Construct):
    """The state machines of a deployment, by `cloud.EXPRESS`, `cloud.DISTRIBUTED` and `cloud.DEDICATED`."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        storage: StorageStack,
        functions: Sequence[lambda_.IFunction],
    ) -> None:
        super().__init__(scope, id)
        self._settings, self._storage = settings, storage
        self.machines = {
            cloud.EXPRESS: self._express(functions),
            cloud.DISTRIBUTED: self._distributed(functions),
            cloud.DEDICATED: self._dedicated(),
        }

    def _express(self, functions: Sequence[lambda_.IFunction]) -> sfn.StateMachine:
        """One Express execution of at most 40 runs: no Map Run, first results in seconds."""
        body = EachRun(self, "ExpressBody", table=self._storage.table)
        machine = self._machine(cloud.EXPRESS, body.map, sfn.StateMachineType.EXPRESS, Duration.minutes(5))
        return _may_invoke(machine, functions)

    def _distributed(self, functions: Sequence[lambda_.IFunction]) -> sfn.StateMachine:
        """A Distributed Map over the manifest. Each child is what the express machine is, with the same input."""
        children = sfn.DistributedMap(
            self,
            "Children",
            label=cloud.MAP_RUN_LABEL,
            map_execution_type=sfn.StateMachineType.EXPRESS,
            item_reader=sfn.S3JsonLItemReader(
                bucket=self._storage.bucket, key=sfn.JsonPath.string_at("$.manifest_key")
            ),
            item_batcher=sfn.ItemBatcher(
                max_items_per_batch_path="$.runs_per_child",
                max_input_bytes_per_batch=_BATCH_BYTES,
                batch_input={"job.$": "$.job"},
            ),
            max_concurrency_path="$.max_children",
            tolerated_failure_percentage=100,  # by default one lost child would end all others
            result_path=sfn.JsonPath.DISCARD,
        )
        # What reading the manifest runs into passes mostly; what has been started by then counts once all the same.
        children.add_retry(
            errors=["States.ItemReaderFailed"],
            interval=Duration.seconds(5),
            max_attempts=3,
            jitter_strategy=sfn.JitterType.FULL,
        )
        children.item_processor(EachRun(self, "DistributedBody", table=self._storage.table).map)
        machine = self._machine(cloud.DISTRIBUTED, children, sfn.StateMachineType.STANDARD, Duration.days(7))
        return _may_invoke(machine, functions)

    def _dedicated(self) -> sfn.StateMachine:
        """One array job whose children are machines. An array has at least two, so a single one goes its own way."""
        failed = record_failed_execution(
            self,
            "RecordMachines",
            table=self._storage.table,
            kind="execution_failure",
            shard="'0'",
            numbers={"index": "-1", "attempt": "0"},
            then=sfn.Fail(self, "MachinesFailed", error_path="$.failure.Error", cause_path="$.failure.Cause"),
        )
        one = self._submit("OneMachine", {}, failed)
        many = self._submit("ManyMachines", {"ArrayProperties": {"Size.$": "$.machines"}}, failed)
        several = sfn.Condition.number_greater_than_equals("$.machines", 2)
        choice = sfn.Choice(self, "HowMany").when(several, many).otherwise(one)
        machine = self._machine(cloud.DEDICATED, choice, sfn.StateMachineType.STANDARD, None)
        for statement in self._batch_statements():
            machine.add_to_role_policy(statement)
        return machine

    def _submit(self, id: str, extra: dict[str, Any], failed: sfn.IChainable) -> sfn.CustomState:
        """Queue and definition come with the input: a construct would want to know them at synthesis."""
        job = {
            "JobName.$": "States.Format('fanfold-{}', $.job.id)",
            "JobQueue.$": "$.queue",
            "JobDefinition.$": "$.definition",
            "ContainerOverrides": {"Environment": [{"Name": cloud.ENV_JOB, "Value.$": "$.job.id"}]},
            "Tags": {"fanfold:deployment": self._settings.deployment, "fanfold:job.$": "$.job.id"},
        }
        submit = {
            "Type": "Task",
            "Resource": f"arn:{Aws.PARTITION}:states:::batch:submitJob.sync",
            "Parameters": {**job, **extra},
            "ResultPath": sfn.JsonPath.DISCARD,
        }
        state = sfn.CustomState(self, id, state_json=submit)
        for errors, most in ((SUBMIT_THROTTLES, 10), (SUBMIT_ERRORS, 3)):
            state.add_retry(
                errors=errors,
                interval=Duration.seconds(2),
                max_attempts=most,
                max_delay=Duration.seconds(60),
                jitter_strategy=sfn.JitterType.FULL,
            )
        state.add_catch(failed, errors=["States.ALL"], result_path="$.failure")
        return state

    def _batch_statements(self) -> list[iam.PolicyStatement]:
        every = cloud.resource_name(self._settings.deployment, "*")
        lanes = [arn(self, "batch", "job-queue", every), arn(self, "batch", "job-definition", every)]
        jobs = arn(self, "batch", "job", "*")  # Batch names jobs itself
        rule = arn(self, "events", "rule", "StepFunctionsGetEventsForBatchJobsRule")
        return [
            allow(["batch:SubmitJob"], lanes),
            allow(["batch:TagResource"], [jobs, *lanes]),
            # Without these two a stopped execution leaves its machines running.
            allow(["batch:TerminateJob"], [jobs]),
            allow(["batch:DescribeJobs"], ["*"]),
            allow(["events:PutTargets", "events:PutRule", "events:DescribeRule"], [rule]),
        ]

    def _machine(
        self, path: str, body: sfn.IChainable, kind: sfn.StateMachineType, timeout: Duration | None
    ) -> sfn.StateMachine:
        name = cloud.resource_name(self._settings.deployment, path)
        # A log group of any other prefix needs a resource policy, of which a region has ten.
        group = log_group(self, f"{path}-logs", settings=self._settings, name=f"/aws/vendedlogs/states/{name}")
        return sfn.StateMachine(
            self,
            path,
            state_machine_name=name,
            state_machine_type=kind,
            definition_body=sfn.DefinitionBody.from_chainable(body),
            timeout=timeout,
            tracing_enabled=self._settings.tracing,
            logs=sfn.LogOptions(destination=group, level=sfn.LogLevel.ALL, include_execution_data=False),
        )


def _may_invoke(machine: sfn.StateMachine, functions: Sequence[lambda_.IFunction]) -> sfn.StateMachine:
    machine.add_to_role_policy(allow(["lambda:InvokeFunction"], [function.function_arn for function in functions]))
    return machine
