"""The realtime function: 120 s, 4 GB, starts at once; in as many clones as the settings ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_cdk import Duration, Size
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from fanfold.contract import cloud
from fanfold.contract.layout import REALTIME_MEMORY_MIB, REALTIME_TIMEOUT_S
from infra.access import allow
from infra.image import RuntimeImage
from infra.logs import log_group
from infra.mount import Mount
from infra.settings import OwnImage, Settings

_ARCHITECTURES = {"x86_64": lambda_.Architecture.X86_64, "arm64": lambda_.Architecture.ARM_64}


class Realtime(Construct):
    """The clones, of each image that has a function.

    Lambda adds 1,000 environments per 10 s to each function, so more of them start faster.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        role: iam.Role,
        images: Mapping[str, RuntimeImage],
        environment: Mapping[str, str],
        mount: Mount | None,
    ) -> None:
        super().__init__(scope, id)
        self.log_group = log_group(self, "Logs", settings=settings)
        self.log_group.grant_write(role)
        if settings.tracing:
            role.add_to_policy(allow(["xray:PutTraceSegments", "xray:PutTelemetryRecords"], ["*"]))
        if mount:
            role.add_to_policy(_network_interfaces())
            mount.allow(role)
        self._settings, self._role, self._mount, self._environment = settings, role, mount, environment
        self.functions = [
            self._function(f"Function{'-' * bool(image)}{image}{n}", name, images[image], settings.images.get(image))
            for image in ("", *images_with_functions(settings))
            for n, name in enumerate(function_names(settings, image))
        ]

    def _function(self, id: str, name: str, image: RuntimeImage, own: OwnImage | None) -> lambda_.DockerImageFunction:
        settings, mount = self._settings, self._mount
        function = lambda_.DockerImageFunction(
            self,
            id,
            function_name=name,
            description="Fanfold: one realtime run",
            code=_code(image),
            role=self._role.without_policy_updates(),
            logging_format=lambda_.LoggingFormat.JSON,
            log_group=self.log_group,
            tracing=lambda_.Tracing.ACTIVE if settings.tracing else lambda_.Tracing.DISABLED,
            architecture=_ARCHITECTURES[settings.architecture_of(own) if own else settings.architecture],
            environment={**self._environment, cloud.ENV_IMAGE: image.identity},
            **_size(settings),
            **(mount.lambda_options() if mount else {}),
        )
        function.node.add_dependency(image)  # Lambda takes no image that is not there yet
        return function


def _code(image: RuntimeImage) -> lambda_.DockerImageCode:
    repository, command = image.repository, [cloud.REALTIME_HANDLER]
    return lambda_.DockerImageCode.from_ecr(
        repository, tag_or_digest=image.tag, entrypoint=cloud.REALTIME_ENTRYPOINT, cmd=command
    )


def images_with_functions(settings: Settings) -> list[str]:
    """The images with a name that realtime runs can choose."""
    return sorted(name for name, image in settings.images.items() if image.realtime)


def function_names(settings: Settings, image: str = "") -> list[str]:
    """The names of the clones of an image, which are fixed."""
    parts = ("run", image) if image else ("run",)
    return [cloud.resource_name(settings.deployment, *parts, str(n)) for n in range(settings.realtime_functions)]


def every_function_name(settings: Settings) -> dict[str, str]:
    """The processor of every function, by its name."""
    found: dict[str, str] = dict.fromkeys(function_names(settings), settings.architecture)
    for image in images_with_functions(settings):
        found |= dict.fromkeys(function_names(settings, image), settings.architecture_of(settings.images[image]))
    return found


def _size(settings: Settings) -> dict[str, Any]:
    """What one run gets, and how many there may be at once."""
    return {
        "timeout": Duration.seconds(int(REALTIME_TIMEOUT_S)),
        "memory_size": REALTIME_MEMORY_MIB,
        "ephemeral_storage_size": Size.mebibytes(settings.realtime_disk_mib),
        "reserved_concurrent_executions": _share(settings),
    }


def _share(settings: Settings) -> int | None:
    """The reserved concurrency is for the deployment; each clone of each image holds an equal part of it."""
    reserved = settings.realtime_reserved_concurrency
    return None if reserved is None else max(1, reserved // len(every_function_name(settings)))


def reserved_runs(settings: Settings) -> int:
    """Runs side by side that the clones of one image have for themselves; 0 where they share what the account has."""
    return (_share(settings) or 0) * settings.realtime_functions


def _network_interfaces() -> iam.PolicyStatement:
    """What Lambda itself needs to enter a VPC; EC2 has no resource to name here."""
    return allow(
        [
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:AssignPrivateIpAddresses",
            "ec2:UnassignPrivateIpAddresses",
        ],
        ["*"],
    )
