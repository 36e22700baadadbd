"""The image, built in AWS from this checkout, so that a deploy needs no Docker. At rest it costs nothing."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from aws_cdk import CustomResource, Duration, IgnoreMode, RemovalPolicy
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3_assets as s3_assets
from aws_cdk.aws_logs import ILogGroup
from constructs import Construct

from infra.access import allow
from infra.logs import log_group
from infra.settings import Settings

_HANDLER = Path(__file__).with_name("build_handler.py")
#: Images that a rollback may need are kept; what is older has been replaced by so many deploys.
_KEPT_IMAGES = 20


class CloudBuild(Construct):
    """A CodeBuild project that builds the image, a repository for it, and what starts the one for the other."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        architecture: str,
        root: Path,
        dockerfile: str,
        exclude: Sequence[str],
        build_args: Mapping[str, str],
    ) -> None:
        super().__init__(scope, id)
        context = s3_assets.Asset(self, "Context", path=str(root), exclude=list(exclude), ignore_mode=IgnoreMode.DOCKER)
        self.repository = ecr.Repository(
            self,
            "Repository",
            empty_on_delete=True,
            removal_policy=RemovalPolicy.DESTROY,
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            lifecycle_rules=[ecr.LifecycleRule(max_image_count=_KEPT_IMAGES)],
        )
        self.tag = _tag(context.asset_hash, architecture, build_args)
        project = self._project(settings, architecture, context, _commands(dockerfile, architecture, build_args))
        starter = self._starter(settings, project)
        image = CustomResource(
            self,
            "Image",
            service_token=starter.function_arn,
            resource_type="Custom::FanfoldImage",
            properties={"Project": project.project_name, "Tag": self.tag},
        )
        # A build that begins before its role's policy is there would fail.
        image.node.add_dependency(project, *project.node.dependencies)

    def _project(
        self, settings: Settings, architecture: str, context: s3_assets.Asset, commands: Sequence[str]
    ) -> codebuild.Project:
        arm = codebuild.LinuxArmBuildImage.AMAZON_LINUX_2023_STANDARD_3_0
        group = log_group(self, "Logs", settings=settings)
        role = self._builder(context, group)
        project = codebuild.Project(
            self,
            "Project",
            description="Fanfold: builds the image of functions and machines",
            source=codebuild.Source.s3(bucket=context.bucket, path=context.s3_object_key),
            environment=codebuild.BuildEnvironment(
                build_image=arm if architecture == "arm64" else codebuild.LinuxBuildImage.AMAZON_LINUX_2023_5,
                privileged=True,  # Docker within the build wants it
            ),
            environment_variables={
                "REPOSITORY": codebuild.BuildEnvironmentVariable(value=self.repository.repository_uri)
            },
            build_spec=codebuild.BuildSpec.from_object(
                {"version": "0.2", "phases": {"build": {"on-failure": "ABORT", "commands": list(commands)}}}
            ),
            role=role.without_policy_updates(),
            logging=codebuild.LoggingOptions(cloud_watch=codebuild.CloudWatchLoggingOptions(log_group=group)),
            timeout=Duration.minutes(30),
            grant_report_group_permissions=False,
        )
        project.node.add_dependency(role)
        return project

    def _builder(self, context: s3_assets.Asset, logs: ILogGroup) -> iam.Role:
        """What a build may: read this checkout, write its log, and push to this one repository."""
        role = iam.Role(self, "BuilderRole", assumed_by=iam.ServicePrincipal("codebuild.amazonaws.com"))
        source = context.bucket.arn_for_objects(context.s3_object_key)
        role.add_to_policy(allow(["s3:GetObject", "s3:GetObjectVersion"], [source]))
        logs.grant_write(role)
        self.repository.grant_pull_push(role)
        return role

    def _starter(self, settings: Settings, project: codebuild.Project) -> lambda_.Function:
        group = log_group(self, "StarterLogs", settings=settings)
        role = iam.Role(self, "StarterRole", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        group.grant_write(role)
        role.add_to_policy(allow(["codebuild:StartBuild", "codebuild:BatchGetBuilds"], [project.project_arn]))
        return lambda_.Function(
            self,
            "Starter",
            description="Fanfold: has the image built as a deploy goes on",
            runtime=lambda_.Runtime.PYTHON_3_14,
            handler="index.handler",
            code=lambda_.Code.from_inline(_HANDLER.read_text()),
            role=role.without_policy_updates(),
            log_group=group,
            timeout=Duration.minutes(15),
        )


def _tag(context: str, architecture: str, build_args: Mapping[str, str]) -> str:
    """Names what is built: another context, processor or argument gives another image, and the same the same."""
    return hashlib.sha256(json.dumps([context, architecture, dict(build_args)]).encode()).hexdigest()[:40]


def _commands(dockerfile: str, architecture: str, build_args: Mapping[str, str]) -> list[str]:
    platform = "linux/arm64" if architecture == "arm64" else "linux/amd64"
    arguments = " ".join(f"--build-arg {shlex.quote(f'{name}={value}')}" for name, value in build_args.items())
    image = '"$REPOSITORY:$TAG"'
    return [
        'aws ecr get-login-password | docker login --username AWS --password-stdin "${REPOSITORY%%/*}"',
        # What an earlier deploy has built is taken as it is: tags name their content, and cannot be moved.
        f"docker manifest inspect {image} > /dev/null 2>&1 || ("
        f"docker build --platform {platform} --provenance=false --file {dockerfile} {arguments} --tag {image} . "
        f"&& docker push {image})",
    ]
