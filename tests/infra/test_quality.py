"""What other people's tools find in the templates: nothing, but for what stands here with its reason."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.infra.templates import Synthesise, Templates
from tests.infra.tooling import npm_program

_JOB_OBJECTS = r"IAM5\[Resource::.*Bucket.*/(udf|jobs|blobs|results|schedules)/\*\]"
_ANY = r"IAM5\[Resource::\*\]"
_AT = "Fanfold-main-Processing"

#: cdk-nag findings that stay: (the one resource, rule, why). A row that no longer occurs must go.
ACCEPTED: list[tuple[str, str, str]] = [
    (f"{_AT}/RealtimeRole/DefaultPolicy/Resource", _JOB_OBJECTS, "what jobs keep, by prefix of one bucket"),
    (f"{_AT}/JobRole/DefaultPolicy/Resource", _JOB_OBJECTS, "what jobs keep, by prefix of one bucket"),
    (f"{_AT}/DataRole/DefaultPolicy/Resource", r"IAM5\[.*/data/\*\]", "what UDFs keep, one prefix of one bucket"),
    (f"{_AT}/DataRole/DefaultPolicy/Resource", r"IAM5\[.*:s3:::(their|our)-data/\*\]", "the buckets of the settings"),
    (
        f"{_AT}/RealtimeRole/DefaultPolicy/Resource",
        _ANY,
        "X-Ray and network interfaces have no resource",
    ),
    (
        f"{_AT}/DataRole/DefaultPolicy/Resource",
        r"IAM5\[Resource::arn:<AWS::Partition>:s3:::\*\]",
        "`public_data`: others'",
    ),
    *(
        (f"{_AT}/Image-{processor}/Build/{resource}/Resource", rule, why)
        for processor in ("x86_64", "arm64")
        for resource, rule, why in (
            ("Project", "CB4", "a build leaves nothing but the image, which ECR encrypts"),
            ("BuilderRole/DefaultPolicy", _ANY, "ecr:GetAuthorizationToken has no resource"),
        )
    ),
    (f"{_AT}/Dedicated/InstanceRole/Resource", "ContainerServiceforEC2Role", "AWS keeps up what its ECS agent needs"),
    (f"{_AT}/Dedicated/ExecutionRole/DefaultPolicy/Resource", _ANY, "ecr:GetAuthorizationToken has no resource"),
    (f"{_AT}/Fanout/express/Role/DefaultPolicy/Resource", _ANY, "log delivery and X-Ray have no resource"),
    (f"{_AT}/Fanout/distributed/Role/DefaultPolicy/Resource", _ANY, "log delivery and X-Ray have no resource"),
    (
        f"{_AT}/Fanout/distributed/Role/DefaultPolicy/Resource",
        r"IAM5\[Resource::.*:s3:::.*Bucket",
        "manifests, by CDK's own grant",
    ),
    (f"{_AT}/Fanout/distributed/DistributedMapPolicy/Resource", r"IAM5\[.*:execution:", "the map's own children"),
    (f"{_AT}/Fanout/dedicated/Role/DefaultPolicy/Resource", _ANY, "as above, and batch:DescribeJobs"),
    (f"{_AT}/Fanout/dedicated/Role/DefaultPolicy/Resource", r"IAM5\[.*:job/\*\]", "Batch names jobs itself"),
    (
        f"{_AT}/Fanout/dedicated/Role/DefaultPolicy/Resource",
        r"job-(queue|definition)/fanfold-main-\*",
        "this deployment's",
    ),
    *(
        (f"{_AT}/People/{who}/Resource", rule, why)
        for who in ("User", "Operator")
        for rule, why in (
            (_JOB_OBJECTS, "what jobs keep, by prefix of one bucket"),
            (r"IAM5\[Resource::.*Bucket.*/data/\*\]", "what UDFs keep, one prefix of one bucket"),
            (_ANY, "reading of what has no resource: Batch's state, the account's limits, metrics"),
            (r"IAM5\[.*:job/\*\]", "Batch names jobs itself; a condition on the tag keeps it to ours"),
            (r"IAM5\[.*parameter/fanfold/main/\*\]", "this deployment's descriptor"),
            (r"IAM5\[.*:execution:fanfold-main-(distributed|dedicated):\*\]", "executions name themselves"),
            (r"IAM5\[.*:mapRun:fanfold-main-distributed/runs:\*\]", "Step Functions numbers Map Runs"),
            (r"IAM5\[.*schedule/fanfold-main-schedules/\*\]", "a schedule has the name that its user gives it"),
        )
    ),
    *(
        (f"{_AT}/Shepherd/Role/DefaultPolicy/Resource", rule, why)
        for rule, why in (
            (_JOB_OBJECTS, "what jobs keep, by prefix of one bucket"),
            (_ANY, "reading of what has no resource: Batch's state, the account's limits, streams; X-Ray"),
            (r"IAM5\[.*:job/\*\]", "Batch names jobs itself; a condition on the tag keeps it to ours"),
            (r"IAM5\[.*parameter/fanfold/main/\*\]", "this deployment's descriptor"),
            (r"IAM5\[.*:execution:fanfold-main-(distributed|dedicated):\*\]", "executions name themselves"),
            (r"IAM5\[.*:mapRun:fanfold-main-distributed/runs:\*\]", "Step Functions numbers Map Runs"),
            (r"IAM5\[.*schedule/fanfold-main-deadlines/\*\]", "a schedule has its job's name"),
        )
    ),
    (f"{_AT}/People/Operator/Resource", r"(job-queue|dashboard)/fanfold-main-\*", "this deployment's"),
    *(
        (f"{_AT}/{who}/Resource", r"IAM5\[.*:secret:fanfold/main/\*\]", "secrets for UDFs, by this deployment's prefix")
        for who in ("RealtimeRole/DefaultPolicy", "JobRole/DefaultPolicy", "People/Operator")
    ),
]


@pytest.fixture(scope="module")
def findings(assembly: Path, full_assembly: Path, built_assembly: Path) -> set[tuple[str, str, str]]:
    """(plugin, rule, path) of every violation: in the default deployment, with every option, and built in AWS."""
    reports = [
        json.loads((folder / "validation-report.json").read_text())
        for folder in (assembly, full_assembly, built_assembly)
    ]
    return {
        (plugin["pluginName"], violation["ruleName"], construct["constructPath"])
        for report in reports
        for plugin in report["pluginReports"]
        for violation in plugin["violations"]
        for construct in violation["violatingConstructs"]
    }


def test_cdk_nag_finds_nothing_but_what_is_accepted(findings: set[tuple[str, str, str]]) -> None:
    nag = {(path, rule) for plugin, rule, path in findings if plugin == "AwsSolutions"}
    excused = {(path, rule) for path, rule in nag for row in ACCEPTED if _fits(row, path, rule)}
    stale = [row for row in ACCEPTED if not any(_fits(row, path, rule) for path, rule in nag)]
    assert (sorted(nag - excused), stale) == ([], [])


def _fits(row: tuple[str, str, str], path: str, rule: str) -> bool:
    return row[0] == path and re.search(row[1], rule) is not None


def test_cdk_s_own_template_rules_find_nothing(findings: set[tuple[str, str, str]]) -> None:
    assert sorted(finding for finding in findings if finding[0] != "AwsSolutions") == []


def test_cfn_lint_finds_nothing(assembly: Path, full_assembly: Path, built_assembly: Path) -> None:
    """What two deployments have alike is looked at once."""
    paths = [path for folder in (full_assembly, assembly, built_assembly) for path in folder.glob("*.template.json")]
    files = {path.read_bytes(): path for path in paths}.values()
    program = Path(sys.executable).with_name("cfn-lint")
    # W3005: a DependsOn that a reference implies already. CDK writes both.
    done = subprocess.run(
        [program, "--ignore-checks", "W3005", "--template", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize("path", ["express", "distributed", "dedicated"])
def test_the_asl_validator_finds_nothing(templates: Templates, path: str) -> None:
    definition = json.dumps(templates.definition(path))
    command = npm_program("asl-validator", "dist/bin/asl-validator.js")
    done = subprocess.run([*command, "--json-definition", definition], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_template_is_far_below_cloudformation_s_limits(templates: Templates) -> None:
    for path, template in zip(templates.files, templates.by_stack.values(), strict=True):
        assert len(template["Resources"]) <= 400, path.name  # of 500
        assert len(json.dumps(template)) <= 800_000, path.name  # of 1 MB
        assert len(template.get("Outputs", {})) <= 160, path.name  # of 200
        assert len(template.get("Parameters", {})) <= 160, path.name  # of 200


def test_no_definition_comes_near_the_1_mb_of_a_state_machine(templates: Templates) -> None:
    for machine in templates.properties("AWS::StepFunctions::StateMachine"):
        assert len(machine["DefinitionString"]) < 100_000


def test_two_syntheses_give_the_same_bytes(context: dict[str, Any], synthesise: Synthesise, tmp_path: Path) -> None:
    from infra.deployment import app_of

    first, second = synthesise().folder, tmp_path
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CDK_VALIDATION", "false")
        app_of(context, outdir=str(second)).synth()
    # Metadata say where in the CDK's own folder, which each process has anew, something was made.
    names = [path.name for path in sorted(first.iterdir()) if path.is_file() and ".metadata." not in path.name]
    assert len(names) >= len(list(first.glob("*.template.json"))) + 2
    assert [name for name in names if (first / name).read_bytes() != (second / name).read_bytes()] == []
