"""The SSM parameters that tell clients of a deployment; each holds 4 KB, so the tables are split over several."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from fanfold.contract import cloud
from fanfold.contract.layout import REALTIME_MEMORY_MIB, REALTIME_TIMEOUT_S
from infra.parts import Parts
from infra.realtime import function_names, images_with_functions, reserved_runs
from infra.recipe import Recipe, default_recipe, own_recipes
from infra.settings import Settings

#: Bytes of a standard parameter, which is free; an advanced one is not.
PARAMETER_BYTES = 4096


class DeploymentDescriptor(Construct):
    """`/fanfold/<deployment>`, and below it the instance types and the image's packages."""

    def __init__(self, scope: Construct, id: str, parts: Parts) -> None:
        super().__init__(scope, id)
        settings = parts.settings
        name = settings.deployment
        text = Stack.of(self).to_json_string(_descriptor(parts))
        self._parameter("Deployment", cloud.parameter_name(name), text)
        self._table("InstanceTypes", cloud.instance_types_path(name), parts.dedicated.lanes)
        self._table("Packages", cloud.packages_path(name), default_recipe(settings, settings.architecture).packages())
        if recipes := own_recipes(settings):
            told = {image: _own_image(settings, recipe) for image, recipe in recipes.items()}
            self._table("Images", cloud.images_path(name), told)
        for image, recipe in recipes.items():
            self._table(f"Packages-{image}-", cloud.image_packages_path(name, image), recipe.packages())

    def _table(self, id: str, path: str, entries: Mapping[str, Any]) -> None:
        for n, text in enumerate(chunks(entries)):
            self._parameter(f"{id}{n}", f"{path}/{n}", text)

    def _parameter(self, id: str, name: str, value: str) -> None:
        ssm.StringParameter(self, id, parameter_name=name, string_value=value)


def _descriptor(parts: Parts) -> cloud.DeploymentDescriptor:
    settings, name = parts.settings, parts.settings.deployment
    recipe = default_recipe(settings, settings.architecture)
    return {
        "version": cloud.DESCRIPTOR_VERSION,
        "fanfold": cloud.fanfold_version(),
        "deployment": name,
        "table": parts.storage.table.table_name,
        "bucket": parts.storage.bucket.bucket_name,
        "functions": function_names(settings),
        "state_machines": {path: machine.state_machine_arn for path, machine in parts.fanout.machines.items()},
        "image": _facts(recipe),
        "plain": recipe.is_plain,
        "limits": _limits(settings),
        "spot": settings.spot,
        "secrets": settings.secrets_place,
        "notify_topics": settings.notify_topics,
        "scheduler": parts.shepherd.scheduler_facts,
        "widens_map_runs": True,  # its shepherd may, and people may (`infra.access.widening_statements`)
        "sealing_key": parts.storage.sealing_key.key_arn if parts.storage.sealing_key else "",
        "mount": cloud.MOUNT_PATH if settings.mount else "",
        "log_groups": {
            "realtime": parts.realtime.log_group.log_group_name,
            cloud.DEDICATED: parts.dedicated.log_group.log_group_name,
        },
    }


def _facts(recipe: Recipe) -> cloud.ImageFacts:
    return {"identity": recipe.identity, "python": recipe.python_version, "architecture": recipe.architecture}


def _own_image(settings: Settings, recipe: Recipe) -> cloud.OwnImage:
    has_function = recipe.name in images_with_functions(settings)
    return {
        **_facts(recipe),
        "functions": function_names(settings, recipe.name) if has_function else [],
        "instance_types": list(settings.offered_with(settings.images[recipe.name])),
        "plain": recipe.is_plain,
    }


def _limits(settings: Settings) -> cloud.DeployedLimits:
    return {
        "timeout_s": int(REALTIME_TIMEOUT_S),
        "memory_mib": REALTIME_MEMORY_MIB,
        "realtime_disk_mib": settings.realtime_disk_mib,
        "disk_size_gb": settings.disk_size_gb,
        "retention_days": settings.retention_days,
        "concurrency": reserved_runs(settings),
    }


def chunks(entries: Mapping[str, Any], limit_bytes: int = PARAMETER_BYTES) -> Iterator[str]:
    """JSON objects of at most `limit_bytes` that make up `entries` together; at least one."""
    chunk: dict[str, Any] = {}
    for key, value in entries.items():
        if chunk and len(_json({**chunk, key: value})) > limit_bytes:
            yield _json(chunk)
            chunk = {}
        chunk[key] = value
    yield _json(chunk)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))
