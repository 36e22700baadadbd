"""IAM: every statement is walked. No action is a pattern, and each resource that is one stands here with its reason."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.infra.templates import Synthesise, Templates, listed, resolve

#: Actions that know no resource, and who needs them.
WITHOUT_RESOURCE = {
    "batch:DescribeComputeEnvironments": "why a job waits",
    "batch:DescribeJobQueues": "why a job waits",
    "batch:DescribeJobs": "`.sync` follows a job by it; people see why it waits",
    "batch:ListJobs": "people look for their jobs",
    "cloudwatch:DescribeAlarms": "operators",
    "cloudwatch:GetMetricData": "operators",
    "dynamodb:ListStreams": "Lambda reads the table's stream for the shepherd",
    "ec2:AssignPrivateIpAddresses": "Lambda enters the VPC of the mount",
    "ec2:CreateNetworkInterface": "Lambda enters the VPC of the mount",
    "ec2:DeleteNetworkInterface": "Lambda enters the VPC of the mount",
    "ec2:DescribeNetworkInterfaces": "Lambda enters the VPC of the mount",
    "ec2:DescribeSubnets": "Lambda enters the VPC of the mount",
    "ec2:UnassignPrivateIpAddresses": "Lambda enters the VPC of the mount",
    "ecr:GetAuthorizationToken": "ECS pulls the image",
    "lambda:GetAccountSettings": "`doctor` tells a small concurrency limit",
    "logs:CreateLogDelivery": "state machines deliver their logs",
    "logs:DeleteLogDelivery": "state machines deliver their logs",
    "logs:DescribeLogGroups": "state machines deliver their logs",
    "logs:DescribeResourcePolicies": "state machines deliver their logs",
    "logs:GetLogDelivery": "state machines deliver their logs",
    "logs:ListLogDeliveries": "state machines deliver their logs",
    "logs:PutResourcePolicy": "state machines deliver their logs",
    "logs:UpdateLogDelivery": "state machines deliver their logs",
    "scheduler:ListSchedules": "`fanfold schedule list`",
    "secretsmanager:ListSecrets": "`fanfold secret list` names them",
    "ssm:DescribeParameters": "`fanfold secret list` names them",
    "servicequotas:GetAWSDefaultServiceQuota": "`doctor` tells how many vCPUs there may be",
    "servicequotas:GetServiceQuota": "`doctor` tells how many vCPUs there may be",
    "xray:GetSamplingRules": "tracing",
    "xray:GetSamplingTargets": "tracing",
    "xray:PutTelemetryRecords": "tracing",
    "xray:PutTraceSegments": "tracing",
}

#: Resources that end in a `*`: pattern -> why not exact.
PATTERNS = {
    r"<Fanfold-main-Storage:.*Bucket.*>/(udf|jobs|blobs|results|schedules|data)/\*": "a prefix of the bucket",
    r"arn:aws:s3:::<Fanfold-main-Storage:.*Bucket.*>/\*": "a manifest, by CDK's grant for the item reader",
    r"arn:aws:s3:::(their|our)-data/\*": "the buckets of the settings",
    r"arn:aws:batch:eu-west-1:123456789012:job/\*": "Batch names jobs itself",
    r"arn:aws:batch:eu-west-1:123456789012:job-(queue|definition)/fanfold-main-\*": "this deployment's lanes",
    r"arn:aws:states:eu-west-1:123456789012:execution:fanfold-main-(distributed|dedicated):\*": "its executions",
    r"arn:aws:states:eu-west-1:123456789012:execution:<6 of Fn::Split>(/runs)?:\*": "a Distributed Map's children",
    r"arn:aws:states:eu-west-1:123456789012:execution:fanfold-main-distributed:\*": "the executions with Map Runs",
    r"arn:aws:states:eu-west-1:123456789012:mapRun:fanfold-main-distributed/runs:\*": "their Map Runs",
    r"arn:aws:ssm:eu-west-1:123456789012:parameter/fanfold/main/\*": "this deployment's descriptor",
    r"arn:aws:secretsmanager:eu-west-1:123456789012:secret:fanfold/main/\*": "what UDFs may ask for by name",
    r"arn:aws:scheduler:eu-west-1:123456789012:schedule/fanfold-main-deadlines/\*": "a schedule has its job's name",
    r"arn:aws:scheduler:eu-west-1:123456789012:schedule/fanfold-main-schedules/\*": "people name schedules",
    r"arn:aws:cloudwatch::123456789012:dashboard/fanfold-main-\*": "this deployment's dashboard",
}


@pytest.fixture(scope="module")
def statements(templates: Templates, full: Templates) -> list[tuple[str, dict[str, Any]]]:
    return templates.statements() + full.statements()


def test_there_are_statements_to_walk(statements: list[tuple[str, dict[str, Any]]]) -> None:
    assert len(statements) > 60


def test_no_action_is_a_pattern(statements: list[tuple[str, dict[str, Any]]]) -> None:
    patterns = [(name, action) for name, s in statements for action in listed(s["Action"]) if "*" in action]
    assert patterns == []
    assert not [name for name, statement in statements if "NotAction" in statement or "NotResource" in statement]


def test_every_action_on_everything_is_one_that_knows_no_resource(
    statements: list[tuple[str, dict[str, Any]]],
) -> None:
    used = {action for _, s in statements if "*" in listed(s["Resource"]) for action in listed(s["Action"])}
    assert used - set(WITHOUT_RESOURCE) == set()
    assert set(WITHOUT_RESOURCE) - used == set(), "no longer used: drop the row"


def test_every_resource_that_is_a_pattern_has_its_reason(statements: list[tuple[str, dict[str, Any]]]) -> None:
    wild = {
        resource for _, s in statements for resource in listed(s["Resource"]) if "*" in resource and resource != "*"
    }
    assert [resource for resource in sorted(wild) if not any(re.fullmatch(p, resource) for p in PATTERNS)] == []
    unused = [pattern for pattern in PATTERNS if not any(re.fullmatch(pattern, resource) for resource in wild)]
    assert unused == [], "no longer used: drop the row"


def test_resource_policies_open_nothing_to_the_world(full: Templates) -> None:
    for kind in ("AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy"):
        for policy in full.properties(kind):
            for statement in policy["PolicyDocument"]["Statement"]:
                assert statement["Effect"] == "Deny" or statement["Principal"] not in ("*", {"AWS": "*"})


def test_roles_are_taken_by_the_services_that_need_them(full: Templates) -> None:
    principals = {
        str(principal)
        for role in full.properties("AWS::IAM::Role")
        for statement in role["AssumeRolePolicyDocument"]["Statement"]
        for principal in listed(statement["Principal"].get("Service", []))
    }
    assert principals == {
        "ec2.amazonaws.com",
        "ecs-tasks.amazonaws.com",
        "lambda.amazonaws.com",
        "scheduler.amazonaws.com",
        "states.amazonaws.com",
        "vpc-flow-logs.amazonaws.com",
    }


def test_only_the_workers_and_the_shepherd_may_take_the_data_role(templates: Templates) -> None:
    roles = templates.resources("AWS::IAM::Role")
    (data,) = (role for name, role in roles.items() if name.startswith("DataRole"))
    trusted = resolve(data["Properties"]["AssumeRolePolicyDocument"]["Statement"])
    names = {who for statement in trusted for who in listed(statement["Principal"]["AWS"])}
    # The shepherd lists the files of a schedule with it, so that it sees what the runs may see and no more.
    roles_named = {re.match(r"[A-Za-z]+Role", name.strip("<>"))[0] for name in names}
    assert roles_named == {"RealtimeRole", "JobRole", "ShepherdRole"}
    for worker in ("RealtimeRole", "JobRole", "ShepherdRole"):
        assert "sts:AssumeRole" in {a for s in templates.statements_of(worker) for a in listed(s["Action"])}


def test_a_udf_reaches_the_user_s_data_and_nothing_of_fanfold_s_records(full: Templates) -> None:
    reach = {(a, r) for s in full.statements_of("DataRole") for a in listed(s["Action"]) for r in listed(s["Resource"])}
    assert ("s3:GetObject", "arn:aws:s3:::their-data/*") in reach
    assert ("s3:PutObject", "arn:aws:s3:::their-data/*") not in reach
    assert ("s3:PutObject", "arn:aws:s3:::our-data/*") in reach
    assert {(a, r) for a, r in reach if not a.startswith("s3:")} == {
        (action, "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab")
        for action in ("kms:Decrypt", "kms:GenerateDataKey")
    }
    own = {resource.split(">")[1] for _, resource in reach if "Storage" in resource}
    assert own == {"", "/data/*"}


def _actions(templates: Templates, policy: str) -> set[str]:
    return {action for s in templates.statements_of(policy) for action in listed(s["Action"])}


def test_users_submit_watch_schedule_and_cancel_and_nothing_else(templates: Templates) -> None:
    actions = _actions(templates, "PeopleUser")
    assert {"states:StartExecution", "states:StopExecution", "lambda:InvokeFunction", "s3:GetObject"} <= actions
    verbs = re.compile(
        r":(Delete|Create|Update(?!Item)|Register|Deregister|PutFunction|PutRole|Attach|Pass|Tag|Submit)"
    )
    schedules = {f"scheduler:{verb}Schedule" for verb in ("Create", "Update", "Get", "Delete")} | {"iam:PassRole"}
    schedules |= {"states:UpdateMapRun"}  # a ramp widens; who may stop an execution may do no more by it
    schedules |= {"s3:DeleteObject"}  # of what a schedule keeps, which they may write as well; see below
    assert [action for action in sorted(actions - schedules) if verbs.search(action)] == []
    assert {action.split(":")[0] for action in actions} == {
        "batch", "dynamodb", "iam", "lambda", "logs", "s3", "scheduler", "servicequotas", "ssm", "states",
    }  # fmt: skip


def test_users_delete_what_a_schedule_keeps_and_nothing_else(templates: Templates) -> None:
    deleting = [s for s in templates.statements_of("PeopleUser") if "s3:DeleteObject" in listed(s["Action"])]
    assert [resource.rpartition(">")[2] for s in deleting for resource in listed(s["Resource"])] == ["/schedules/*"]
    operators = [s for s in templates.statements_of("PeopleOperator") if "s3:DeleteObject" in listed(s["Action"])]
    assert {r.rpartition(">")[2] for s in operators for r in listed(s["Resource"])} >= {"/results/*", "/jobs/*"}


def test_users_read_and_write_what_their_udfs_keep_and_delete_nothing(templates: Templates) -> None:
    told = [
        (a, r)
        for s in templates.statements_of("PeopleUser")
        for a in listed(s["Action"])
        for r in listed(s["Resource"])
    ]
    assert {action for action, resource in told if resource.endswith("/data/*")} == {
        "s3:GetObject",
        "s3:PutObject",
        "s3:AbortMultipartUpload",
    }


def test_users_can_only_end_jobs_of_this_deployment(templates: Templates) -> None:
    (ending,) = (s for s in templates.statements_of("PeopleUser") if "batch:TerminateJob" in listed(s["Action"]))
    assert ending["Condition"] == {"StringEquals": {"aws:ResourceTag/fanfold:deployment": "main"}}


def test_operators_can_do_what_users_can_and_repair(templates: Templates) -> None:
    users, operators = _actions(templates, "PeopleUser"), _actions(templates, "PeopleOperator")
    assert users < operators
    assert operators - users == {
        "batch:UpdateJobQueue",
        "cloudwatch:DescribeAlarms",
        "cloudwatch:GetDashboard",
        "cloudwatch:GetMetricData",
        "dynamodb:DeleteItem",
        "lambda:DeleteFunctionConcurrency",
        "lambda:PutFunctionConcurrency",
        "secretsmanager:CreateSecret",
        "secretsmanager:DeleteSecret",
        "secretsmanager:ListSecrets",
        "secretsmanager:PutSecretValue",
        "ssm:DescribeParameters",
    }


def test_policies_stay_below_the_size_that_iam_takes(full: Templates) -> None:
    for kind, limit in (("AWS::IAM::ManagedPolicy", 6_144), ("AWS::IAM::Policy", 10_240)):
        for policy in full.properties(kind):
            # IAM counts no white space; a reference is about as long as what it stands for.
            text = str(policy["PolicyDocument"]).replace(" ", "")
            assert len(text) < limit, text[:200]


def test_open_buckets_of_others_can_be_read_by_udfs_on_request_alone(templates: Templates, tuned: Templates) -> None:
    def reads_anything(of: Templates) -> list[dict[str, Any]]:
        return [it for it in of.statements_of("DataRole") if "arn:aws:s3:::*" in listed(it["Resource"])]

    assert reads_anything(templates) == []
    (statement,) = reads_anything(tuned)
    assert set(statement["Action"]) == {"s3:GetObject", "s3:ListBucket"}
    assert statement["Condition"] == {"StringNotEquals": {"s3:ResourceAccount": "123456789012"}}


def test_the_data_role_is_named_among_the_outputs(templates: Templates) -> None:
    """A bucket of another account lets it in by its ARN."""
    outputs = [name for template in templates.by_stack.values() for name in template.get("Outputs", {})]
    assert "DataRoleArn" in outputs


def test_no_partition_is_written_into_a_template(full: Templates) -> None:
    """In GovCloud and in China ARNs begin with another word than aws, and EC2 goes by another name."""
    raw = [path.read_text() for path in full.folder.glob("*.template.json")]
    own = [match for text in raw for match in re.findall(r"arn:aws:(?!(?:kms|sns):eu-west-1:123456789012)[^\"]*", text)]
    assert own == []
    assert not [text for text in raw if '"ec2.amazonaws.com"' in text]


def test_secrets_are_read_by_fanfolds_own_roles_below_their_prefix_alone(tuned: Templates) -> None:
    """The role whose credentials UDFs see reads none: a UDF has what its `secrets=` names."""
    prefix = "arn:aws:ssm:eu-west-1:123456789012:parameter/team/prod/*"
    for role in ("RealtimeRole", "JobRole"):
        reads = [s for s in tuned.statements_of(role) if "ssm:GetParameter" in listed(s["Action"])]
        assert [listed(one["Resource"]) for one in reads] == [[prefix]]
    assert not [s for s in tuned.statements_of("DataRole") if "ssm" in str(s) or "secretsmanager" in str(s)]
    writes = [s for s in tuned.statements_of("PeopleOperator") if "ssm:PutParameter" in listed(s["Action"])]
    assert [listed(one["Resource"]) for one in writes] == [[prefix]]


def test_secret_arguments_are_opened_by_the_workers_alone(templates: Templates, full: Templates) -> None:
    """Who submits makes new data keys, and has that one opened which secrets' names are made with."""

    def of_kms(found: Templates, policy: str) -> list[tuple[Any, Any]]:
        own = [s for s in found.statements_of(policy) if "SealingKey" in str(s["Resource"])]
        return [(s["Action"], s.get("Condition")) for s in own]

    for role in ("RealtimeRole", "JobRole"):
        assert of_kms(full, role) == [("kms:Decrypt", None)]
    for people in ("PeopleUser", "PeopleOperator"):
        names = {"StringEquals": {"kms:EncryptionContext:fanfold:for": "names"}}
        assert of_kms(full, people) == [("kms:GenerateDataKey", None), ("kms:Decrypt", names)]
    assert of_kms(full, "DataRole") == []
    (key,) = full.resources("AWS::KMS::Key").values()
    assert key["Properties"]["EnableKeyRotation"]
    assert key["DeletionPolicy"] == "Retain"
    assert not templates.resources("AWS::KMS::Key")


def test_teams_have_deployments_that_reach_nothing_of_each_other(synthesise: Synthesise) -> None:
    """Jobs, results, the cache and secrets: all that a policy names is the team's own."""
    found = synthesise(instance_types=["small"], teams={"geo": {"spot": True}, "ops": {}})
    stacks = {path.name.split(".")[0]: json.loads(path.read_text()) for path in found.files}
    assert {name.rsplit("-", 1)[0] for name in stacks} == {"Fanfold-main", "Fanfold-geo", "Fanfold-ops"}
    for team, others in (("geo", ("main", "ops")), ("ops", ("main", "geo")), ("main", ("geo", "ops"))):
        processing = stacks[f"Fanfold-{team}-Processing"]["Resources"].values()
        policies = [one for one in processing if one["Type"] in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")]
        named = json.dumps(resolve([one["Properties"] for one in policies]))
        for mine in (f"Fanfold-{team}-Storage:", f"secret:fanfold/{team}/*", f"parameter/fanfold/{team}"):
            assert mine in named
        for other in others:
            assert not re.search(rf"(?i)fanfold[-/]{other}\b", named)
