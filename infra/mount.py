"""The shared file system at /mnt/shared, in Lambda and on Batch, reached within the network without NAT."""

from __future__ import annotations

from typing import Any

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_efs as efs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from fanfold.contract import cloud
from infra.access import allow, arn
from infra.network import Network
from infra.settings import Settings

_NFS_PORT = 2049
#: Files belong to this user on each of them, so that Lambda and Batch can read each other's.
_UID = "1000"


class Mount(Construct):
    """One mount target per subnet, an access point that owns `/shared`, and a way to STS for Lambda.

    A function in our VPC without NAT reaches S3 and DynamoDB by the free gateway endpoints, and nothing else: the
    interface endpoint lets it take the data role. It costs money at rest. In a VPC of the
    user's own there is a way to AWS's APIs already; a second endpoint of STS would be refused for its private name.
    """

    def __init__(
        self, scope: Construct, id: str, *, network: Network, file_system: efs.CfnFileSystem, settings: Settings
    ) -> None:
        super().__init__(scope, id)
        self._network = network
        inside = ec2.SecurityGroup(
            self, "Inside", vpc=network.vpc, allow_all_outbound=False, description="Fanfold: file system and endpoint"
        )
        inside.add_ingress_rule(network.security_group, ec2.Port.tcp(_NFS_PORT), "NFS from runs")
        self.targets = [
            efs.CfnMountTarget(
                self,
                f"Target{n}",
                file_system_id=file_system.ref,
                subnet_id=subnet.subnet_id,
                security_groups=[inside.security_group_id],
            )
            for n, subnet in enumerate(network.vpc.public_subnets)
        ]
        self._file_system = efs.FileSystem.from_file_system_attributes(
            self, "FileSystem", file_system_id=file_system.ref, security_group=inside
        )
        self.access_point = efs.AccessPoint(
            self,
            "AccessPoint",
            file_system=self._file_system,
            path="/shared",
            create_acl=efs.Acl(owner_uid=_UID, owner_gid=_UID, permissions="0770"),
            posix_user=efs.PosixUser(uid=_UID, gid=_UID),
        )
        if not settings.vpc_id:
            self._add_way_to_sts(inside)

    def _add_way_to_sts(self, inside: ec2.SecurityGroup) -> None:
        inside.add_ingress_rule(self._network.security_group, ec2.Port.tcp(443), "STS from runs")
        zones = self._network.vpc.public_subnets[:1]  # one will do, at half the price
        ec2.InterfaceVpcEndpoint(
            self,
            "Sts",
            vpc=self._network.vpc,
            service=ec2.InterfaceVpcEndpointAwsService.STS,
            subnets=ec2.SubnetSelection(subnets=zones),
            security_groups=[inside],
            open=False,
        )

    def allow(self, role: iam.Role) -> None:
        """Let this role read and write the shared files, through the access point alone."""
        file_system = arn(self, "elasticfilesystem", "file-system", self._file_system.file_system_id)
        through = {"StringEquals": {"elasticfilesystem:AccessPointArn": self.access_point.access_point_arn}}
        actions = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]
        role.add_to_policy(allow(actions, [file_system], through))

    def lambda_options(self) -> dict[str, Any]:
        """What a function needs to see the mount. It must wait for the targets, or its creation fails."""
        return {
            "filesystem": lambda_.FileSystem(
                arn=self.access_point.access_point_arn, local_mount_path=cloud.MOUNT_PATH, dependency=self.targets
            ),
            "vpc": self._network.vpc,
            "vpc_subnets": self._network.subnets,
            "security_groups": [self._network.security_group],
            "allow_public_subnet": True,
        }

    def batch_volume(self) -> dict[str, Any]:
        """The volume and mount point of a container on Batch, as its job definition takes them."""
        volume = {
            "name": "shared",
            "efsVolumeConfiguration": {
                "fileSystemId": self._file_system.file_system_id,
                "transitEncryption": "ENABLED",
                "authorizationConfig": {"accessPointId": self.access_point.access_point_id, "iam": "ENABLED"},
            },
        }
        return {
            "volumes": [volume],
            "mountPoints": [{"sourceVolume": "shared", "containerPath": cloud.MOUNT_PATH, "readOnly": False}],
        }
