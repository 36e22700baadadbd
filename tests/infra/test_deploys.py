"""The real CDK command line against an independent emulator: bootstrap, deploy, deploy again, diff, update, destroy.

The tests are the chapters of one story, in this order, on one cloud. It proves that the templates deploy; that what
they deploy works is proved elsewhere. ministack refuses a resource type it does not know: none is skipped in silence.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.infra.local_cloud import NAMES, LocalCloud, local_cloud
from tests.infra.templates import Templates

pytestmark = pytest.mark.long

FILES = "Fanfold-main-Files"
_YES = ("--require-approval", "never")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ministack")


@pytest.fixture(scope="module")
def cloud(folder: Path) -> Iterator[LocalCloud]:
    """A cloud in which the default deployment has been deployed once, by way of `cdk.json`."""
    with local_cloud(folder) as made:
        made.cdk("deploy", "--all", *_YES, "--output", str(folder / "first"))
        yield made


@pytest.fixture(scope="module")
def first(cloud: LocalCloud, folder: Path) -> Templates:
    """What was deployed."""
    return Templates(folder / "first")


@pytest.fixture(scope="module")
def made(cloud: LocalCloud) -> dict[str, str]:
    """Physical id by logical id of everything the first deploy made."""
    return {name: physical for stack in NAMES for name, (_, physical) in cloud.resources(stack).items()}


def test_all_stacks_are_complete(cloud: LocalCloud) -> None:
    assert {name: status for name, status in cloud.stacks().items() if name in NAMES} == dict.fromkeys(
        NAMES, "CREATE_COMPLETE"
    )


def test_every_resource_of_the_templates_was_made(cloud: LocalCloud, first: Templates, made: dict[str, str]) -> None:
    assert set(first.resources()) <= set(made)
    assert [name for name in first.resources() if not made[name]] == []


#: How each service itself tells what there is: type -> names of this deployment.
_ASKED: dict[str, Callable[[LocalCloud], list[str]]] = {
    "AWS::DynamoDB::Table": lambda c: c.client("dynamodb").list_tables()["TableNames"],
    "AWS::S3::Bucket": lambda c: [
        b["Name"] for b in c.client("s3").list_buckets()["Buckets"] if "cdk-" not in b["Name"]
    ],
    "AWS::Lambda::Function": lambda c: _names(c, "lambda", "list_functions", "Functions", "FunctionName"),
    "AWS::StepFunctions::StateMachine": lambda c: _names(
        c, "stepfunctions", "list_state_machines", "stateMachines", "name"
    ),
    "AWS::Batch::ComputeEnvironment": lambda c: _names(
        c, "batch", "describe_compute_environments", "computeEnvironments", "computeEnvironmentName"
    ),
    "AWS::Batch::JobQueue": lambda c: _names(c, "batch", "describe_job_queues", "jobQueues", "jobQueueName"),
    "AWS::Batch::JobDefinition": lambda c: _names(
        c, "batch", "describe_job_definitions", "jobDefinitions", "jobDefinitionName"
    ),
    "AWS::Logs::LogGroup": lambda c: _names(c, "logs", "describe_log_groups", "logGroups", "logGroupName"),
    "AWS::CloudWatch::Alarm": lambda c: _names(c, "cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    "AWS::CloudWatch::Dashboard": lambda c: _names(
        c, "cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"
    ),
    "AWS::EC2::LaunchTemplate": lambda c: _names(
        c, "ec2", "describe_launch_templates", "LaunchTemplates", "LaunchTemplateId"
    ),
    "AWS::EC2::VPCEndpoint": lambda c: _names(c, "ec2", "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
    "AWS::SSM::Parameter": lambda c: [name for name in _parameters(c) if name.startswith("/fanfold/main")],
}


def _names(cloud: LocalCloud, service: str, call: str, key: str, name: str) -> list[str]:
    return [row[name] for row in getattr(cloud.client(service), call)()[key]]


def _parameters(cloud: LocalCloud) -> dict[str, str]:
    """Value by name of the deployment's parameters, as the SDK reads them: one, and those below it."""
    ssm = cloud.client("ssm")
    found = [ssm.get_parameter(Name="/fanfold/main")["Parameter"]]
    for page in ssm.get_paginator("get_parameters_by_path").paginate(Path="/fanfold/main", Recursive=True):
        found += page["Parameters"]
    return {parameter["Name"]: parameter["Value"] for parameter in found}


@pytest.mark.parametrize("kind", _ASKED)
def test_the_services_themselves_know_what_was_made(cloud: LocalCloud, first: Templates, kind: str) -> None:
    assert len(set(_ASKED[kind](cloud))) == len(first.resources(kind))


def test_the_sdk_can_read_the_descriptor_of_a_deployment(cloud: LocalCloud, made: dict[str, str]) -> None:
    parameters = _parameters(cloud)
    descriptor = json.loads(parameters["/fanfold/main"])
    assert descriptor["table"] in made.values()
    assert descriptor["bucket"] in made.values()
    assert set(descriptor["state_machines"].values()) <= set(made.values())
    tables = {part: {} for part in ("instance-types", "packages")}
    for name, value in parameters.items():
        if name.count("/") == 4:
            tables[name.split("/")[3]].update(json.loads(value))
    queues = {queue["jobQueueName"] for queue in cloud.client("batch").describe_job_queues()["jobQueues"]}
    assert {lane["queue"] for lane in tables["instance-types"].values()} == queues
    assert {"pandas", "geopandas", "awslambdaric"} <= set(tables["packages"])


def test_a_second_deploy_changes_nothing(cloud: LocalCloud, folder: Path) -> None:
    told = cloud.cdk("deploy", "--all", *_YES, "--app", str(folder / "first"))
    assert told.count("(no changes)") == len(NAMES)


def test_diff_finds_no_difference(cloud: LocalCloud, folder: Path) -> None:
    assert "Number of stacks with differences: 0" in cloud.cdk("diff", "--all", "--app", str(folder / "first"))


def test_an_update_reaches_what_it_is_for_and_replaces_nothing_that_lives(
    cloud: LocalCloud, made: dict[str, str], first: Templates
) -> None:
    changes = {"disk_size_gb": 200, "max_vcpus": 512, "realtime_functions": 2, "retention_days": 7, "mount": "true"}
    flags = [part for name, value in changes.items() for part in ("-c", f"fanfold:{name}={value}")]
    cloud.cdk("deploy", "--all", *_YES, *flags)
    after = {name: physical for stack in NAMES for name, (_, physical) in cloud.resources(stack).items()}
    kept = ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::Batch::ComputeEnvironment", "AWS::Batch::JobQueue")
    living = [name for name, resource in first.resources().items() if resource["Type"] in kept]
    assert {name: after[name] for name in living} == {name: made[name] for name in living}
    environments = cloud.client("batch").describe_compute_environments()["computeEnvironments"]
    assert {environment["computeResources"]["maxvCpus"] for environment in environments} == {512}
    assert _run_functions(cloud) == 2
    assert json.loads(_parameters(cloud)["/fanfold/main"])["limits"]["disk_size_gb"] == 200
    assert cloud.stacks()[FILES] == "CREATE_COMPLETE"
    (target, *others) = _mount_targets(cloud)
    assert {other["FileSystemId"] for other in others} == {target["FileSystemId"]}


def test_what_was_added_can_be_taken_back_and_the_files_stay(cloud: LocalCloud, folder: Path) -> None:
    """No stack drops what another, deployed later, still imports; and the stack of the files is left alone."""
    before = cloud.resources(FILES)
    cloud.cdk("deploy", "--all", *_YES, "--app", str(folder / "first"))
    assert _run_functions(cloud) == 1
    assert _mount_targets(cloud) == []
    assert cloud.resources(FILES) == before
    assert len(cloud.client("efs").describe_file_systems()["FileSystems"]) == 1


def _run_functions(cloud: LocalCloud) -> int:
    return sum("-run-" in name for name in _ASKED["AWS::Lambda::Function"](cloud))


def _mount_targets(cloud: LocalCloud) -> list[dict[str, Any]]:
    efs = cloud.client("efs")
    systems = [one["FileSystemId"] for one in efs.describe_file_systems()["FileSystems"]]
    return [t for one in systems for t in efs.describe_mount_targets(FileSystemId=one)["MountTargets"]]


def test_destroy_leaves_only_what_is_retained(cloud: LocalCloud, first: Templates, folder: Path) -> None:
    cloud.cdk("destroy", "--all", "--force", "--app", str(folder / "first"))
    assert [name for name in cloud.stacks() if name in NAMES] == []
    left = Counter({kind: len(ask(cloud)) for kind, ask in _ASKED.items() if kind != "AWS::SSM::Parameter"})
    assert +left == Counter({"AWS::DynamoDB::Table": 1, "AWS::S3::Bucket": 2})
    assert cloud.client("ssm").get_parameters_by_path(Path="/fanfold", Recursive=True)["Parameters"] == []


def test_what_is_retained_says_so_in_the_templates(templates: Templates) -> None:
    retained: dict[str, Any] = {
        resource["Type"] for resource in templates.resources().values() if resource.get("DeletionPolicy") == "Retain"
    }
    assert retained == {"AWS::DynamoDB::Table", "AWS::S3::Bucket"}
