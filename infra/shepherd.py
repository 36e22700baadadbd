"""The shepherd: a function of the same image that looks after jobs nobody waits for. It costs nothing at rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from fanfold.contract import cloud
from infra.access import READS_OF_ALL, allow, arn, widening_statements, worker_statements
from infra.fanout import Fanout
from infra.image import RuntimeImage
from infra.logs import log_group
from infra.settings import Settings
from infra.storage import StorageStack

#: As Lambda has it at most: starting a million runs again takes minutes.
_TIMEOUT_S = 900
#: What the state of a job of a million runs takes, and as much again.
_MEMORY_MIB = 1024
#: Events of one job that come together wake it once.
_WINDOW_S = 1
#: What is not worth waking it for any more: the job's own deadline is a later chance.
_TOO_OLD = Duration.hours(1)
_EXECUTION_ENDS = ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]
_ARCHITECTURES = {"x86_64": lambda_.Architecture.X86_64, "arm64": lambda_.Architecture.ARM_64}


class Shepherd(Construct):
    """The function, and what wakes it.

    Items of the table that carry `cloud.WAKES` (a job, a start, a failure), and cancelled jobs whose end is to be told
    (`cloud.TELLS`), by the table's stream; executions of the Standard state machines that end, by EventBridge; and the
    deadline of each job, by a one-time schedule.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        storage: StorageStack,
        fanout: Fanout,
        image: RuntimeImage,
        environment: Mapping[str, str],
    ) -> None:
        super().__init__(scope, id)
        self._settings, self._storage, self._fanout = settings, storage, fanout
        self.name = cloud.resource_name(settings.deployment, "shepherd")
        self.arn = arn(self, "lambda", "function", self.name, colon=True)
        #: Who EventBridge Scheduler is when it calls the function.
        self.alarm_role = iam.Role(self, "AlarmRole", assumed_by=iam.ServicePrincipal("scheduler.amazonaws.com"))
        self.alarm_role.add_to_policy(allow(["lambda:InvokeFunction"], [self.arn]))
        self.log_group = log_group(self, "Logs", settings=settings)
        self.role = self._role()
        self.function = self._function(image, {**environment, cloud.ENV_ALARM_ROLE: self.alarm_role.role_arn})
        self.function.node.add_dependency(image)
        scheduler.CfnScheduleGroup(self, "Deadlines", name=cloud.deadlines_group(settings.deployment))
        scheduler.CfnScheduleGroup(self, "Schedules", name=cloud.schedules_group(settings.deployment))
        self._wake_by_table()
        self._wake_by_executions()

    @property
    def scheduler_facts(self) -> cloud.SchedulerFacts:
        """What people's schedules call, and as whom."""
        return {"function": self.arn, "role": self.alarm_role.role_arn}

    def _role(self) -> iam.Role:
        role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        self.log_group.grant_write(role)
        for statement in (*worker_statements(self._storage), *self._statements(), *self._stream_statements()):
            role.add_to_policy(statement)
        if self._settings.tracing:
            role.add_to_policy(allow(["xray:PutTraceSegments", "xray:PutTelemetryRecords"], ["*"]))
        return role

    def _statements(self) -> Iterable[iam.PolicyStatement]:
        """What `reconcile` does, and the deadlines."""
        name, machines = self._settings.deployment, self._fanout.machines
        standard = [f"{cloud.resource_name(name, path)}:*" for path in (cloud.DISTRIBUTED, cloud.DEDICATED)]
        ours = {"StringEquals": {"aws:ResourceTag/fanfold:deployment": name}}
        deadlines = arn(self, "scheduler", "schedule", f"{cloud.deadlines_group(name)}/*")
        to_scheduler = {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}
        topics = self._settings.notify_topics
        return [
            *([allow(["sns:Publish"], topics)] if topics else []),
            allow(
                ["ssm:GetParameter", "ssm:GetParametersByPath"],
                [arn(self, "ssm", "parameter", f"fanfold/{name}{below}") for below in ("", "/*")],
            ),
            allow(["states:StartExecution"], [machine.state_machine_arn for machine in machines.values()]),
            allow(
                ["states:StopExecution", "states:DescribeExecution"],
                [arn(self, "states", "execution", one, colon=True) for one in standard],
            ),
            *widening_statements(self, name),
            allow(["batch:TerminateJob"], [arn(self, "batch", "job", "*")], ours),
            allow(READS_OF_ALL, ["*"]),
            allow(["lambda:InvokeFunction"], [self.arn]),  # itself: each job has an invocation of its own
            allow(["scheduler:CreateSchedule", "scheduler:UpdateSchedule"], [deadlines]),
            allow(["iam:PassRole"], [self.alarm_role.role_arn], to_scheduler),
        ]

    def _stream_statements(self) -> list[iam.PolicyStatement]:
        stream = self._storage.table.table_stream_arn
        assert stream is not None, "the table has a stream"
        reads = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"]
        return [allow(reads, [stream]), allow(["dynamodb:ListStreams"], ["*"])]

    def _function(self, image: RuntimeImage, environment: Mapping[str, str]) -> lambda_.DockerImageFunction:
        settings = self._settings
        code = lambda_.DockerImageCode.from_ecr(
            image.repository,
            tag_or_digest=image.tag,
            entrypoint=cloud.REALTIME_ENTRYPOINT,
            cmd=[cloud.SHEPHERD_HANDLER],
        )
        return lambda_.DockerImageFunction(
            self,
            "Function",
            function_name=self.name,
            description="Fanfold: looks after jobs that nobody waits for",
            code=code,
            role=self.role.without_policy_updates(),
            logging_format=lambda_.LoggingFormat.JSON,
            log_group=self.log_group,
            tracing=lambda_.Tracing.ACTIVE if settings.tracing else lambda_.Tracing.DISABLED,
            architecture=_ARCHITECTURES[settings.architecture],
            environment={**environment, cloud.ENV_IMAGE: image.identity},
            timeout=Duration.seconds(_TIMEOUT_S),
            memory_size=_MEMORY_MIB,
            retry_attempts=2,
            max_event_age=_TOO_OLD,
        )

    def _wake_by_table(self) -> None:
        """Neither an Express execution nor a direct call tells EventBridge of its end; the table knows of both."""
        there = {"N": lambda_.FilterRule.exists()}
        new, cancelled = {cloud.WAKES: there}, {cloud.TELLS: there, "cancelled_at": there}
        wakes: list[dict[str, Any]] = [
            {"eventName": lambda_.FilterRule.is_equal(what), "dynamodb": {"NewImage": image}}
            for what, image in (("INSERT", new), ("MODIFY", cancelled))
        ]
        mapping = lambda_.EventSourceMapping(
            self,
            "Stream",
            target=self.function,
            event_source_arn=self._storage.table.table_stream_arn,
            starting_position=lambda_.StartingPosition.LATEST,
            batch_size=1_000,
            max_batching_window=Duration.seconds(_WINDOW_S),
            max_record_age=_TOO_OLD,
            retry_attempts=2,
            filters=[lambda_.FilterCriteria.filter(one) for one in wakes],
        )
        mapping.node.add_dependency(self.role)  # Lambda looks whether the role may read when the mapping is made

    def _wake_by_executions(self) -> None:
        standard = [self._fanout.machines[path].state_machine_arn for path in (cloud.DISTRIBUTED, cloud.DEDICATED)]
        events.Rule(
            self,
            "ExecutionEnds",
            description="Fanfold: an execution that runs inputs has ended",
            event_pattern=events.EventPattern(
                source=["aws.states"],
                detail_type=["Step Functions Execution Status Change"],
                detail={"stateMachineArn": standard, "status": _EXECUTION_ENDS},
            ),
            targets=[targets.LambdaFunction(self.function, max_event_age=_TOO_OLD, retry_attempts=2)],
        )
