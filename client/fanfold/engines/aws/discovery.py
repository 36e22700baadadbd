"""Finding a deployment by its name: its descriptor in SSM."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

from fanfold.contract.cloud import (
    DESCRIPTOR_VERSION,
    OLDEST_DESCRIPTOR_VERSION,
    DeploymentDescriptor,
    Lane,
    OwnImage,
    definition_name,
    fanfold_version,
    image_packages_path,
    images_path,
    instance_types_path,
    packages_path,
    parameter_name,
)
from fanfold.contract.instances import INSTANCE_TYPES, Host, InstanceType
from fanfold.contract.records import NamedTuple
from fanfold.core.models import NO_DATA
from fanfold.errors import UPDATE, ConfigurationError, InputError
from fanfold.stores.aws.account import Account, Refused
from fanfold.stores.aws.failures import USER_POLICY

#: A descriptor without one of these is another program's, or damaged.
_MEMBERS = DeploymentDescriptor.__required_keys__
_CHECK = "check its name, region and account (FANFOLD_DEPLOYMENT, FANFOLD_REGION, FANFOLD_PROFILE, or configure(...))"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Deployment(NamedTuple):
    """What a deployment says of itself: what it is made of, its instance types, and what its image holds."""

    name: str
    descriptor: DeploymentDescriptor
    lanes: Mapping[str, Lane]
    #: Version by package; empty where the image was given, not built.
    packages: Mapping[str, str]
    #: The images beside the default one, by name, and the packages of each.
    images: Mapping[str, OwnImage] = MappingProxyType({})
    image_packages: Mapping[str, Mapping[str, str]] = MappingProxyType({})

    @property
    def instance_types(self) -> dict[str, InstanceType]:
        """What can be asked for, by name: the known ones that it has, and those of its own settings."""
        return {name: INSTANCE_TYPES.get(name) or _own(name, lane) for name, lane in self.lanes.items()}

    def image(self, name: str) -> OwnImage:
        """What is known of an image; the default one is "". Raises `InputError` for a name that there is not."""
        if not name:
            described = self.descriptor
            return OwnImage(
                **described["image"],
                functions=described["functions"],
                instance_types=list(self.lanes),
                plain=described.get("plain", True),
            )
        if name in self.images:
            return self.images[name]
        known = f"it has {', '.join(self.images)}" if self.images else "it has none with a name"
        raise InputError(
            f"image={name!r} is not an image of the deployment {self.name!r}.",
            next_step=f"{known}; leave image= out for the default one. Others are a matter of its settings (`images`).",
        )

    def packages_of(self, image: str) -> Mapping[str, str]:
        """Version by package of an image; empty where that is not known."""
        return self.image_packages.get(image, NO_DATA) if image else self.packages

    def lane(self, instance_type: str, image: str) -> Lane | None:
        """The queue and the definition of an instance type with an image; None for one that there is not."""
        lane = self.lanes.get(instance_type)
        if lane is None or not image:
            return lane
        if instance_type not in self.image(image)["instance_types"]:
            return None
        return {**lane, "definition": definition_name(self.name, instance_type, image)}


def discover(account: Account, name: str) -> Deployment:
    """The deployment of that name. Raises `ConfigurationError`."""
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} is not a deployment's name.",
            next_step="a name has letters, digits, dots, dashes and underscores, such as main.",
        )
    descriptor = _descriptor(account, name)
    below = _below(account, parameter_name(name))
    images = _table(below, images_path(name))
    return Deployment(
        name,
        descriptor,
        lanes=_table(below, instance_types_path(name)),
        packages=_table(below, packages_path(name)),
        images=images,
        image_packages={image: _table(below, image_packages_path(name, image)) for image in images},
    )


def _own(name: str, lane: Lane) -> InstanceType:
    host = Host(lane["host"], lane["vcpus"], lane["memory_gib"], lane["usd_per_hour"])
    return InstanceType(name, lane["vcpus"], lane["memory_gib"], host)


def _descriptor(account: Account, name: str) -> DeploymentDescriptor:
    path = parameter_name(name)
    try:
        answer = account.call(
            "ssm", "get_parameter", on=f"parameter {path}", expected=("ParameterNotFound",), Name=path
        )
    except Refused as refused:
        raise ConfigurationError(
            f"There is no deployment {name!r} in {account.region}: the parameter {path} is not there.",
            next_step=f"{_CHECK}, or make one: `make deploy` in a checkout of Fanfold.",
        ) from refused
    except ConfigurationError as refused:
        if refused.next_step != USER_POLICY:
            raise
        # A person's policy names the deployment, so of a name that is none IAM says no before SSM can.
        raise ConfigurationError(
            f"There is no deployment {name!r} in {account.region}, or these credentials may not use it."
            f" {refused.message}",
            next_step=f"{_CHECK}; where these are right, {USER_POLICY}",
        ) from refused
    descriptor = _parsed(path, answer["Parameter"]["Value"])
    version = descriptor.get("version")
    known = isinstance(version, int) and OLDEST_DESCRIPTOR_VERSION <= version <= DESCRIPTOR_VERSION
    if not isinstance(version, int) or (known and _MEMBERS - descriptor.keys()):
        raise _not_ours(path)
    if not known:
        raise _of_another_time(name, descriptor)
    return cast(DeploymentDescriptor, descriptor)


def _of_another_time(name: str, descriptor: Mapping[str, Any]) -> ConfigurationError:
    """The error for a deployment that this client does not speak with, newer or older."""
    of = f" ({descriptor['fanfold']}; here is {fanfold_version()})" if "fanfold" in descriptor else ""
    if descriptor["version"] > DESCRIPTOR_VERSION:
        return ConfigurationError(f"The deployment {name!r} was made by a newer Fanfold{of}.", next_step=UPDATE)
    return ConfigurationError(
        f"The deployment {name!r} was made by an older Fanfold{of}, which this one does not speak with any more.",
        next_step="have its operator deploy this version, or use the client of that one.",
    )


def _below(account: Account, path: str) -> dict[str, str]:
    """Every parameter below `path`, ten a call."""
    answers = account.pages("ssm", "get_parameters_by_path", on=f"parameters {path}/*", Path=path, Recursive=True)
    return {one["Name"]: one["Value"] for answer in answers for one in answer["Parameters"]}


def _table(parameters: Mapping[str, str], path: str) -> dict[str, Any]:
    """The one JSON object that the parameters below `path` make up together."""
    table: dict[str, Any] = {}
    for name, text in parameters.items():
        if name.startswith(f"{path}/"):
            table.update(_parsed(name, text))
    return table


def _parsed(path: str, text: str) -> dict[str, Any]:
    """The JSON object that a parameter holds. Raises `ConfigurationError` where it holds anything else."""
    try:
        told = json.loads(text)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise _not_ours(path)
    return told


def _not_ours(path: str) -> ConfigurationError:
    return ConfigurationError(
        f"The parameter {path} does not hold a deployment descriptor of Fanfold.",
        next_step="if it is another's, deploy under another name; else `make deploy` writes it anew.",
    )
