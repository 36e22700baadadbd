"""The one container image of Lambda and Batch: built from `runtime/Dockerfile`, or one that is in ECR already."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from aws_cdk import IgnoreMode
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecr_assets as assets
from constructs import Construct
from packaging.requirements import Requirement

from infra.build import CloudBuild
from infra.settings import Settings

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "runtime" / "Dockerfile"
LOCK = ROOT / "runtime" / "requirements.lock"


class RuntimeImage(Construct):
    """The image for one processor: where it is, and who may pull it."""

    def __init__(self, scope: Construct, id: str, *, settings: Settings, architecture: str) -> None:
        super().__init__(scope, id)
        if uri := settings.image_uri_for(architecture):
            self.repository, self.tag = _from_uri(self, uri)
        elif settings.build == "cloud":
            self.repository, self.tag = _built_in_the_cloud(self, settings, architecture)
        else:
            self.repository, self.tag = _built_here(self, settings, architecture)
        self.uri = self.repository.repository_uri_for_tag_or_digest(self.tag)


def _from_uri(scope: Construct, uri: str) -> tuple[ecr.IRepository, str]:
    match = re.fullmatch(r"(\d+)\.dkr\.ecr\.([^.]+)\.(amazonaws\.com(?:\.cn)?)/([^:@]+)[:@](.+)", uri)
    assert match, "settings check the form"
    account, region, domain, name, tag = match.groups()
    partition = "aws-cn" if domain.endswith(".cn") else "aws"
    repository = ecr.Repository.from_repository_attributes(
        scope,
        "Repository",
        repository_arn=f"arn:{partition}:ecr:{region}:{account}:repository/{name}",
        repository_name=name,
    )
    return repository, tag


def _built_here(scope: Construct, settings: Settings, architecture: str) -> tuple[ecr.IRepository, str]:
    asset = assets.DockerImageAsset(
        scope,
        "Asset",
        directory=str(ROOT),
        file=str(DOCKERFILE.relative_to(ROOT)),
        exclude=_build_context(),
        ignore_mode=IgnoreMode.DOCKER,
        build_args=_build_args(settings),
        platform=assets.Platform.LINUX_ARM64 if architecture == "arm64" else assets.Platform.LINUX_AMD64,
    )
    return asset.repository, asset.asset_hash


def _built_in_the_cloud(scope: Construct, settings: Settings, architecture: str) -> tuple[ecr.IRepository, str]:
    build = CloudBuild(
        scope,
        "Build",
        settings=settings,
        architecture=architecture,
        root=ROOT,
        dockerfile=str(DOCKERFILE.relative_to(ROOT)),
        exclude=_build_context(),
        build_args=_build_args(settings),
    )
    return build.repository, build.tag


def _build_args(settings: Settings) -> dict[str, str]:
    """What the Dockerfile is told: which Python, and where one is given, which image of it exactly."""
    told: dict[str, str] = {"PYTHON_VERSION": settings.python_version}
    if settings.base_digest:
        told |= {"BASE_DIGEST": f"@{settings.base_digest}", "EXPECTED_PYTHON": f"{settings.python_version}."}
    return told


def _build_context() -> list[str]:
    """The patterns that Docker itself would use; the CDK makes a copy first, and does not read them by itself."""
    lines = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def pins(lock: str) -> Iterator[Requirement]:
    """The pins of a lock file, whose lines go on with the hashes of what may be installed."""
    for line in lock.replace("\\\n", " ").splitlines():
        if line and not line.startswith("#"):
            yield Requirement(line.split(" --hash=")[0].strip())


def packages(settings: Settings) -> dict[str, str]:
    """Version by name of every Python package in an image that is built here, from the lock file."""
    target = {"python_full_version": f"{settings.python_version}.0", "sys_platform": "linux"}
    return {
        pin.name: str(pin.specifier).removeprefix("==")
        for pin in pins(LOCK.read_text())
        if pin.marker is None or pin.marker.evaluate(target)
    }


def identity(settings: Settings) -> str:
    """Changes when the image may compute something else: other packages, another Python or another processor.

    Fanfold's own code is left out on purpose, so that an update of it keeps every cached result.
    """
    given = settings.image_uri_for(settings.architecture)
    contents = given or DOCKERFILE.read_text() + LOCK.read_text() + "".join(_build_args(settings).values())
    return hashlib.sha256(f"{contents}\n{settings.architecture}".encode()).hexdigest()[:16]
