"""What an update does to what lives: two versions of settings, and what CloudFormation's schemas say of each change."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from tests.infra.templates import STACKS_WITH_MOUNT, Synthesise, Templates, exports, imports

#: Settings that people change, from the defaults; those of one row at once, and each by itself (`long`).
TOGETHER: list[list[dict[str, Any]]] = [
    [
        {"spot": True},
        {"max_vcpus": 1024},
        {"retention_days": 90, "log_retention_days": 90},
        {"realtime_functions": 4, "realtime_reserved_concurrency": 400},
        {"alarm_email": "ops@example.com", "monthly_budget_usd": 50},
        {"kms_keys": ["arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"]},
    ],
    [
        {"disk_size_gb": 300},
        {"architecture": "arm64", "realtime_disk_mib": 4096},
        {"mount": True},
        {"read_buckets": ["theirs"], "write_buckets": ["ours"]},
        {"ultramem": True},
        {"stuck_minutes": 10},
    ],
    [
        {"keep_warm_minutes": 20},
        {"python_version": "3.13"},
        {"access_logs": False},
        {"instance_types": ["small", "large"]},
        {"tracing": False},
        {"realtime_functions": 1, "realtime_reserved_concurrency": 5},
    ],
]
CHANGES = [
    *({name: value for change in row for name, value in change.items()} for row in TOGETHER),
    *(pytest.param(change, marks=pytest.mark.long) for row in TOGETHER for change in row),
]

_OWN_VPC: dict[str, Any] = {"vpc_id": "vpc-0a1b2c3d", "subnet_ids": ["subnet-0a1b2c3d", "subnet-0b1b2c3d"]}
#: Changes that make parts of the network anew, which nothing but the machines' next start sees.
MOVES = [_OWN_VPC, {**_OWN_VPC, "mount": True}]

_LIVING = ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::EFS::FileSystem")


def schema(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    return found


def replacing(kind: str, before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The changed properties whose change makes CloudFormation replace a resource of this type."""
    told = schema(kind)
    pointers = [*told.get("createOnlyProperties", [])]
    if before.get("ReplaceComputeEnvironment", True) is not False:
        pointers += told.get("conditionalCreateOnlyProperties", [])
    return [pointer for pointer in pointers if _at(before, pointer) != _at(after, pointer)]


def _at(properties: dict[str, Any], pointer: str) -> Any:
    found: Any = properties
    for part in pointer.split("/")[2:]:
        found = found.get(part) if isinstance(found, dict) else None
    return found


def both(before: Templates, after: Templates) -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """(logical id, type, properties before, after) of every resource that is in both."""
    for name, resource in before.resources().items():
        other = after.resources().get(name)
        if other:
            yield name, resource["Type"], resource.get("Properties", {}), other.get("Properties", {})


@pytest.mark.parametrize("change", CHANGES, ids="+".join)
@pytest.mark.parametrize("direction", ["made", "taken back"])
def test_no_setting_replaces_or_drops_what_holds_data(
    templates: Templates, synthesise: Synthesise, change: dict[str, Any], direction: str
) -> None:
    versions = (templates, synthesise(**change))
    before, after = versions if direction == "made" else versions[::-1]
    names = {name for kind in _LIVING for name in before.resources(kind)}
    if "access_logs" in change:
        names = {name for name in names if "AccessLogs" not in name}
    for stack in set(after.by_stack):  # a stack that is in no app any more stays as it is
        assert names & set(before.by_stack.get(stack, {"Resources": {}})["Resources"]) <= set(after.resources())
    for name, kind, old, new in both(before, after):
        if name in names:
            assert replacing(kind, old, new) == [], name


def refused_exports(before: Templates, after: Templates) -> list[str]:
    """Exports that an update would change or drop while a stack that is deployed later still imports them.

    CloudFormation refuses that. Stacks are updated one after another; one that is in no app any more stays as it is.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-exports.html
    """
    deployed = dict(before.by_stack)
    refused = []
    for stack in (name for name in STACKS_WITH_MOUNT if name in after.by_stack):
        new = after.by_stack[stack]
        old, offered = exports(deployed.get(stack, {})), exports(new)
        used = {name for other, template in deployed.items() if other != stack for name in imports(template)}
        refused += [name for name in sorted(used & set(old)) if offered.get(name) != old[name]]
        deployed[stack] = new
        there = {name for template in deployed.values() for name in exports(template)}
        refused += [f"{name} is not exported" for name in sorted(imports(new) - there)]
    return refused


@pytest.mark.parametrize("change", [*CHANGES, *MOVES], ids="+".join)
@pytest.mark.parametrize("direction", ["made", "taken back"])
def test_every_change_can_be_made_and_taken_back(
    templates: Templates, synthesise: Synthesise, change: dict[str, Any], direction: str
) -> None:
    versions = (templates, synthesise(**change))
    assert refused_exports(*(versions if direction == "made" else versions[::-1])) == []


def test_the_check_itself_sees_an_export_that_is_in_use(full: Templates) -> None:
    without = copy.copy(full)
    without.by_stack = {**full.by_stack, "Files": {**full.by_stack["Files"], "Outputs": {}}}
    (file_system,) = exports(full.by_stack["Files"])
    assert refused_exports(full, without) == [file_system, f"{file_system} is not exported"]


def test_the_mount_can_be_turned_off_and_on_again_with_the_same_files(synthesise: Synthesise) -> None:
    """The file system is in a stack that a deployment without the mount does not touch."""
    on, off = synthesise(mount=True), synthesise()
    assert [name for name, r in on.resources("AWS::EFS::FileSystem").items() if name in off.resources()] == []
    assert set(on.by_stack) - set(off.by_stack) == {"Files"}


@pytest.mark.parametrize("change", CHANGES, ids="+".join)
def test_no_setting_replaces_what_has_a_name_or_jobs_in_it(
    templates: Templates, synthesise: Synthesise, change: dict[str, Any]
) -> None:
    """A replacement makes the new one first: under a fixed name it fails, and a queue's jobs would be lost."""
    replaced = {
        f"{name}: {pointer}"
        for name, kind, old, new in both(templates, synthesise(**change))
        for pointer in replacing(kind, old, new)
    }
    assert replaced == set()


def test_a_compute_environment_is_updated_in_place_and_lets_its_jobs_end(templates: Templates) -> None:
    for environment in templates.environments().values():
        assert environment["ReplaceComputeEnvironment"] is False
        assert environment["UpdatePolicy"]["TerminateJobsOnUpdate"] is False
        # What an in-place update asks for: no name is needed, a service role of one's own is not allowed.
        assert "ServiceRole" not in environment
        assert environment["ComputeResources"]["AllocationStrategy"] != "BEST_FIT"
        assert environment["ComputeResources"]["UpdateToLatestImageVersion"] is True


def test_a_changed_disk_reaches_the_machines(templates: Templates, synthesise: Synthesise) -> None:
    """The launch template changes, and environments follow its number rather than `$Default`."""
    after = synthesise(disk_size_gb=300)
    assert templates.one("AWS::EC2::LaunchTemplate") != after.one("AWS::EC2::LaunchTemplate")
    for environment in after.environments().values():
        assert environment["ComputeResources"]["LaunchTemplate"]["Version"].endswith(".LatestVersionNumber>")


def test_the_check_itself_sees_a_replacement(templates: Templates) -> None:
    table = templates.one("AWS::DynamoDB::Table")
    renamed = {**table, "TableName": "other"}
    assert replacing("AWS::DynamoDB::Table", table, renamed) == ["/properties/TableName"]
    environment = next(iter(templates.environments().values()))
    spot = {**environment, "ComputeResources": {**environment["ComputeResources"], "Type": "SPOT"}}
    assert replacing("AWS::Batch::ComputeEnvironment", environment, spot) == []
    careless = {**environment, "ReplaceComputeEnvironment": True}
    assert replacing("AWS::Batch::ComputeEnvironment", careless, spot) == ["/properties/ComputeResources/Type"]
