"""What people may do: users submit, watch and cancel; operators repair as well. Attach the policies as you like."""

from __future__ import annotations

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from fanfold.contract import cloud
from infra.access import (
    READS_OF_ALL,
    allow,
    arn,
    job_objects,
    sealing_statements,
    secrets_statement,
    widening_statements,
    worker_statements,
)
from infra.parts import Parts


class People(Construct):
    """The two managed policies, their ARNs among the stack's outputs."""

    def __init__(self, scope: Construct, id: str, parts: Parts) -> None:
        super().__init__(scope, id)
        self._parts = parts
        self._every = cloud.resource_name(parts.settings.deployment, "*")
        self._functions = [function.function_arn for function in parts.realtime.functions]
        self.user = iam.ManagedPolicy(self, "User", statements=self._user_statements())
        self.operator = iam.ManagedPolicy(self, "Operator", statements=self._operator_statements())
        CfnOutput(self, "UserPolicy", value=self.user.managed_policy_arn)
        CfnOutput(self, "OperatorPolicy", value=self.operator.managed_policy_arn)

    def _user_statements(self) -> list[iam.PolicyStatement]:
        name = self._parts.settings.deployment
        machines = [machine.state_machine_arn for machine in self._parts.fanout.machines.values()]
        indexes = [
            f"{self._parts.storage.table.table_arn}/index/{i}" for i in (cloud.INDEX_BY_OWNER, cloud.INDEX_BY_TEAM)
        ]
        parameters = [arn(self, "ssm", "parameter", f"fanfold/{name}{below}") for below in ("", "/*")]
        return [
            *worker_statements(self._parts.storage),
            allow(["dynamodb:Query"], indexes),
            # `fanfold cp` and `fanfold ls`: a user's UDFs may read and write there anyway.
            allow(
                ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"],
                [self._parts.storage.bucket.arn_for_objects(f"{cloud.DATA_PREFIX}*")],
            ),
            allow(["ssm:GetParameter", "ssm:GetParametersByPath"], parameters),
            *sealing_statements(self._parts.storage),
            allow(["lambda:GetFunctionConfiguration", "lambda:InvokeFunction"], self._functions),
            allow(["states:StartExecution", "states:ListExecutions"], machines),
            allow(["states:StopExecution", "states:DescribeExecution"], self._executions()),
            *widening_statements(self, name),
            self._cancel_jobs(),
            *self._schedule_statements(),
            allow(["logs:GetLogEvents", "logs:FilterLogEvents"], self._log_groups()),
            # Reading of what has no name of its own: why a job waits, and what the account's limits are.
            allow(
                [
                    *READS_OF_ALL,
                    "servicequotas:GetAWSDefaultServiceQuota",
                    "servicequotas:GetServiceQuota",
                ],
                ["*"],
            ),
        ]

    def _schedule_statements(self) -> list[iam.PolicyStatement]:
        """Schedules of the deployment's group, which call the shepherd and nothing else: as this role nothing can."""
        group = cloud.schedules_group(self._parts.settings.deployment)
        actions = ("Create", "Update", "Get", "Delete")
        to_scheduler = {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}
        return [
            allow([f"scheduler:{one}Schedule" for one in actions], [arn(self, "scheduler", "schedule", f"{group}/*")]),
            allow(["scheduler:ListSchedules"], ["*"]),
            allow(["s3:DeleteObject"], [self._parts.storage.bucket.arn_for_objects("schedules/*")]),
            allow(["iam:PassRole"], [self._parts.shepherd.alarm_role.role_arn], to_scheduler),
        ]

    def _operator_statements(self) -> list[iam.PolicyStatement]:
        return [
            *self._user_statements(),
            allow(["dynamodb:DeleteItem"], [self._parts.storage.table.table_arn]),
            allow(["s3:DeleteObject"], job_objects(self._parts.storage)),
            allow(["batch:UpdateJobQueue"], [arn(self, "batch", "job-queue", self._every)]),
            allow(
                ["lambda:PutFunctionConcurrency", "lambda:DeleteFunctionConcurrency"],
                self._functions,
            ),
            secrets_statement(
                self,
                self._parts.settings,
                ["secretsmanager:CreateSecret", "secretsmanager:PutSecretValue", "secretsmanager:DeleteSecret"],
            ),
            allow(["cloudwatch:GetDashboard"], [self._dashboards(self._every)]),
            allow(
                [
                    "cloudwatch:DescribeAlarms",
                    "cloudwatch:GetMetricData",
                    # The names of secrets, which have no names of their own to ask by.
                    "secretsmanager:ListSecrets",
                    "ssm:DescribeParameters",
                ],
                ["*"],
            ),
        ]

    def _dashboards(self, name: str) -> str:
        """Dashboards belong to no region."""
        return Stack.of(self).format_arn(service="cloudwatch", region="", resource="dashboard", resource_name=name)

    def _executions(self) -> list[str]:
        return [
            arn(
                self,
                "states",
                "execution",
                f"{cloud.resource_name(self._parts.settings.deployment, path)}:*",
                colon=True,
            )
            for path in (cloud.DISTRIBUTED, cloud.DEDICATED)  # Express executions can be neither stopped nor described
        ]

    def _cancel_jobs(self) -> iam.PolicyStatement:
        """Batch names jobs itself, so the tag says which are ours."""
        ours = {"StringEquals": {"aws:ResourceTag/fanfold:deployment": self._parts.settings.deployment}}
        return allow(["batch:TerminateJob"], [arn(self, "batch", "job", "*")], ours)

    def _log_groups(self) -> list[str]:
        return [group.log_group_arn for group in (self._parts.realtime.log_group, self._parts.dedicated.log_group)]
