"""Dedicated machines: a compute environment and a queue per host, a job definition per instance type.

Instance types that share a host (`small` and `t3.micro`, say) share its queue: there may be 50 of either in a region.
Plain CloudFormation resources, since CDK's constructs pin no launch template version and know no scaling policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_cdk import Aws, Stack
from aws_cdk import aws_batch as batch
from aws_cdk import aws_iam as iam
from constructs import Construct

from fanfold.contract import cloud
from fanfold.contract.instances import Host, InstanceType, container_memory_mib
from infra.image import RuntimeImage
from infra.logs import log_group
from infra.machine import launch_template
from infra.mount import Mount
from infra.network import Network
from infra.settings import Settings

#: How long runs may go on when a deploy replaces their machines: five days, the most that Batch takes
#: (API, UpdatePolicy.jobExecutionTimeoutMinutes).
_MOST_MINUTES = 7200
#: Reasons that no wait cures: the job asks for more than its machine has, or the environment may start none.
_NEVER_PLACED = ("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE")


class Dedicated(Construct):
    """Every machine of a deployment; none runs until a job asks for it."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        network: Network,
        job_role: iam.Role,
        images: Mapping[str, RuntimeImage],
        own_images: Mapping[str, RuntimeImage],
        environment: Mapping[str, str],
        mount: Mount | None,
    ) -> None:
        """`images`: the default one by processor; `own_images`: those that have a name."""
        super().__init__(scope, id)
        self._settings, self._network, self._images, self._own_images = settings, network, images, own_images
        self._job_role, self._environment, self._mount = job_role, environment, mount
        self.log_group = log_group(self, "Logs", settings=settings)
        self._execution_role = self._new_execution_role()
        self._profile = self._new_instance_profile()
        self._template = launch_template(self, "Machine", settings=settings)
        if mount:
            mount.allow(job_role)
        offered = settings.offered
        for _, host in sorted({it.host.name: it.host for it in offered.values()}.items()):
            self._add_queue(host)
        for instance_type in offered.values():
            self._add_definition(instance_type)
        for name, own in settings.images.items():
            for instance_type in settings.offered_with(own).values():
                self._add_definition(instance_type, name)

    @property
    def lanes(self) -> dict[str, cloud.Lane]:
        """What a client has to know of each instance type."""
        return {name: _lane(self._settings.deployment, it) for name, it in self._settings.offered.items()}

    def _new_execution_role(self) -> iam.Role:
        """What ECS itself needs to start a container: the image, and a place for its output."""
        role = iam.Role(self, "ExecutionRole", assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"))
        self.log_group.grant_write(role)
        for image in (*self._images.values(), *self._own_images.values()):
            image.repository.grant_pull(role)
        return role

    def _new_instance_profile(self) -> iam.CfnInstanceProfile:
        policy = iam.ManagedPolicy.from_aws_managed_policy_name("service-role/AmazonEC2ContainerServiceforEC2Role")
        role = iam.Role(self, "InstanceRole", assumed_by=_ec2(), managed_policies=[policy])
        return iam.CfnInstanceProfile(self, "InstanceProfile", roles=[role.role_name])

    def _add_queue(self, host: Host) -> None:
        environment = batch.CfnComputeEnvironment(
            self,
            f"Environment-{host.name}",
            type="MANAGED",
            # In place, with a new set of machines beside the old; a replacement would need its queue emptied first.
            replace_compute_environment=False,
            update_policy={"terminateJobsOnUpdate": False, "jobExecutionTimeoutMinutes": _MOST_MINUTES},
            compute_resources=self._compute_resources(host),
        )
        batch.CfnJobQueue(
            self,
            f"Queue-{host.name}",
            job_queue_name=cloud.resource_name(self._settings.deployment, host.name),
            priority=1,
            compute_environment_order=[{"order": 1, "computeEnvironment": environment.ref}],
            job_state_time_limit_actions=[
                {
                    "action": "CANCEL",
                    "state": "RUNNABLE",
                    "maxTimeSeconds": self._settings.stuck_minutes * 60,
                    "reason": reason,
                }
                for reason in _NEVER_PLACED
            ],
        )

    def _compute_resources(self, host: Host) -> dict[str, Any]:
        settings = self._settings
        return {
            "type": "SPOT" if settings.spot else "EC2",
            "allocationStrategy": "SPOT_PRICE_CAPACITY_OPTIMIZED" if settings.spot else "BEST_FIT_PROGRESSIVE",
            "instanceTypes": [host.name],
            "minvCpus": 0,
            "maxvCpus": settings.max_vcpus,
            "subnets": [subnet.subnet_id for subnet in self._network.vpc.public_subnets],
            "securityGroupIds": [self._network.security_group.security_group_id],
            "instanceRole": self._profile.attr_arn,
            "ec2Configuration": [{"imageType": "ECS_AL2023_NVIDIA" if host.gpus else "ECS_AL2023"}],
            "launchTemplate": {
                "launchTemplateId": self._template.launch_template_id,
                # By number: without one Batch takes $Default, which never moves, and an edited disk never arrives.
                "version": self._template.latest_version_number,
            },
            "updateToLatestImageVersion": True,
            "scalingPolicy": {"minScaleDownDelayMinutes": settings.keep_warm_minutes},
        }

    def _add_definition(self, instance_type: InstanceType, image: str = "") -> None:
        batch.CfnJobDefinition(
            self,
            f"Definition{'-' * bool(image)}{image}-{instance_type.name}",
            type="container",
            # By name, not by Ref: a Ref carries the revision, and what holds an old one goes stale with an update.
            job_definition_name=cloud.definition_name(self._settings.deployment, instance_type.name, image),
            resource_retention_policy={"skipDeregisterOnUpdate": True},  # for the jobs in flight
            platform_capabilities=["EC2"],
            propagate_tags=True,
            retry_strategy={
                "attempts": 5,
                "evaluateOnExit": [
                    {"onStatusReason": "Host EC2*", "action": "RETRY"},  # a Spot interruption, or a host that failed
                    # Its container did not come up: CannotPullContainerError and its kin, a Docker that was late.
                    # Five rules at most, and a star at the end alone.
                    {"onReason": "Cannot*", "action": "RETRY"},
                    {"onReason": "DockerTimeoutError*", "action": "RETRY"},
                    {"onExitCode": str(cloud.EXIT_GIVEN_BACK), "action": "RETRY"},  # it was told to stop, not done
                    {"onReason": "*", "action": "EXIT"},
                ],
            },
            container_properties=self._container(instance_type, image),
        )

    def _container(self, instance_type: InstanceType, name: str) -> dict[str, Any]:
        host = instance_type.host
        image = self._own_images[name] if name else self._images[host.architecture]
        # All of the host's vCPUs, whatever was promised: two such jobs never share a machine.
        required = {"VCPU": host.vcpus, "MEMORY": container_memory_mib(instance_type)}
        if host.gpus:
            required["GPU"] = host.gpus
        # Lambda tells what it runs of its region, Batch does not, and boto3 will not guess: neither ours nor a UDF's.
        region = Stack.of(self).region
        environment = {
            **self._environment,
            cloud.ENV_IMAGE: image.identity,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            cloud.ENV_INSTANCE_TYPE: instance_type.name,
            cloud.ENV_USD_PER_HOUR: str(host.usd_per_hour),
        }
        if self._settings.spot:
            environment[cloud.ENV_SPOT_NOTICE] = f"{cloud.SPOT_NOTICE_FOLDER}/instance-action"
        return {
            "image": image.uri,
            "command": cloud.DEDICATED_COMMAND,
            "linuxParameters": _linux_parameters(instance_type),
            "resourceRequirements": [{"type": kind, "value": str(amount)} for kind, amount in required.items()],
            "environment": [{"name": name, "value": value} for name, value in environment.items()],
            "jobRoleArn": self._job_role.role_arn,
            "executionRoleArn": self._execution_role.role_arn,
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {
                    "awslogs-group": self.log_group.log_group_name,
                    "awslogs-region": region,
                    "awslogs-stream-prefix": instance_type.name,
                },
            },
            **self._volumes(),
        }

    def _volumes(self) -> dict[str, Any]:
        """The shared files, and on Spot machines the folder where their host writes EC2's notice."""
        parts = [self._mount.batch_volume()] if self._mount else []
        if self._settings.spot:
            parts.append(_notice_volume())
        names = ("volumes", "mountPoints")
        return {name: [one for part in parts for one in part[name]] for name in names} if parts else {}


def _ec2() -> iam.ServicePrincipal:
    """EC2 is the one service whose principal has another name in China."""
    return iam.ServicePrincipal(f"ec2.{Aws.URL_SUFFIX}")


def _linux_parameters(instance_type: InstanceType) -> dict[str, Any]:
    """Half of the memory may be shared memory, as on a laptop; Docker's 64 MB end every DataLoader and SharedMemory.

    An init process passes signals on, and ends what a UDF leaves behind.
    """
    return {"sharedMemorySize": container_memory_mib(instance_type) // 2, "initProcessEnabled": True}


def _notice_volume() -> dict[str, Any]:
    """The host's folder with EC2's notice, to read, as a job definition takes it."""
    folder = cloud.SPOT_NOTICE_FOLDER
    return {
        "volumes": [{"name": "spot-notice", "host": {"sourcePath": folder}}],
        "mountPoints": [{"sourceVolume": "spot-notice", "containerPath": folder, "readOnly": True}],
    }


def _lane(deployment: str, instance_type: InstanceType) -> cloud.Lane:
    host = instance_type.host
    return {
        "host": host.name,
        "queue": cloud.resource_name(deployment, host.name),
        "definition": cloud.definition_name(deployment, instance_type.name),
        "vcpus": host.vcpus,
        "memory_gib": instance_type.memory_gib,
        "memory_mib": container_memory_mib(instance_type),
        "usd_per_hour": host.usd_per_hour,
    }
