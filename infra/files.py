"""The stack of the shared file system, where one is asked for."""

from __future__ import annotations

from typing import Any

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_efs as efs
from constructs import Construct


class FilesStack(Stack):
    """The file system alone: its mount targets belong to the network, which comes and goes with the processing stack.

    It is a stack of its own so that `mount` can be turned off. Were the file system in the storage stack, that would
    take away an export which the processing stack, deployed later, still imports, and CloudFormation would refuse. So
    the CDK leaves this stack alone once it is not in the app any more, and the same files are there when it comes back.
    """

    def __init__(self, scope: Construct, id: str, **stack: Any) -> None:
        super().__init__(scope, id, **stack)
        self.file_system = efs.CfnFileSystem(
            self,
            "FileSystem",
            encrypted=True,
            throughput_mode="elastic",
            backup_policy=efs.CfnFileSystem.BackupPolicyProperty(status="ENABLED"),
            lifecycle_policies=[
                efs.CfnFileSystem.LifecyclePolicyProperty(transition_to_ia="AFTER_30_DAYS"),
                efs.CfnFileSystem.LifecyclePolicyProperty(transition_to_primary_storage_class="AFTER_1_ACCESS"),
            ],
        )
        self.file_system.apply_removal_policy(RemovalPolicy.RETAIN)
