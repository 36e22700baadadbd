"""A container image of Lambda and Batch: built from `runtime/Dockerfile` by its recipe, or one that is in ECR."""

from __future__ import annotations

import re

from aws_cdk import IgnoreMode
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecr_assets as assets
from constructs import Construct

from infra.build import CloudBuild
from infra.recipe import DOCKERFILE, ROOT, Recipe, check_lock
from infra.settings import Settings


class RuntimeImage(Construct):
    """The image for one processor: where it is, and who may pull it. Raises `SettingError` for a lock out of date."""

    def __init__(self, scope: Construct, id: str, *, settings: Settings, recipe: Recipe) -> None:
        super().__init__(scope, id)
        check_lock(recipe)
        self.identity = recipe.identity
        if recipe.uri:
            self.repository, self.tag = _from_uri(self, recipe.uri)
        elif settings.build == "cloud":
            self.repository, self.tag = _built_in_the_cloud(self, settings, recipe)
        else:
            self.repository, self.tag = _built_here(self, recipe)
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


def _built_here(scope: Construct, recipe: Recipe) -> tuple[ecr.IRepository, str]:
    asset = assets.DockerImageAsset(
        scope,
        "Asset",
        directory=str(ROOT),
        file=str(DOCKERFILE.relative_to(ROOT)),
        exclude=recipe.build_context(),
        ignore_mode=IgnoreMode.DOCKER,
        build_args=recipe.build_args,
        platform=assets.Platform.LINUX_ARM64 if recipe.architecture == "arm64" else assets.Platform.LINUX_AMD64,
    )
    return asset.repository, asset.asset_hash


def _built_in_the_cloud(scope: Construct, settings: Settings, recipe: Recipe) -> tuple[ecr.IRepository, str]:
    build = CloudBuild(
        scope,
        "Build",
        settings=settings,
        architecture=recipe.architecture,
        root=ROOT,
        dockerfile=str(DOCKERFILE.relative_to(ROOT)),
        exclude=recipe.build_context(),
        build_args=recipe.build_args,
    )
    return build.repository, build.tag
