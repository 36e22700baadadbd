"""The policies allow what the code really calls: every call of AWS in the SDK and in the image, found in its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infra.templates import ROOT, Templates, listed

#: Modules whose `_call` is to one service.
_SERVICE_OF = {
    "table.py": "dynamodb",
    "objects.py": "s3",
    "executions.py": "stepfunctions",
    "sealing.py": "kms",
    "kept_schedules.py": "scheduler",
}

#: Calls that IAM knows under another name.
_ACTIONS = {
    ("lambda", "invoke"): "lambda:InvokeFunction",
    ("service-quotas", "get_aws_default_service_quota"): "servicequotas:GetAWSDefaultServiceQuota",
    ("s3", "head_object"): "s3:GetObject",
    ("s3", "create_multipart_upload"): "s3:PutObject",
    ("s3", "upload_part"): "s3:PutObject",
    ("s3", "complete_multipart_upload"): "s3:PutObject",
    ("s3", "delete_objects"): "s3:DeleteObject",
    ("s3", "list_objects_v2"): "s3:ListBucket",
    ("s3", "copy_object"): "s3:PutObject",
    ("s3", "upload_part_copy"): "s3:PutObject",
    # No document names its action; where it is refused, jobs are terminated one by one.
    ("batch", "terminate_jobs"): "batch:TerminateJob",
}
_PREFIXES = {"stepfunctions": "states", "service-quotas": "servicequotas"}

#: What is no user's and no worker's business, and whose it is.
_OPERATORS_ALONE = {
    "s3:DeleteObject",
    "secretsmanager:CreateSecret",
    "secretsmanager:DeleteSecret",
    "secretsmanager:ListSecrets",
    "secretsmanager:PutSecretValue",
    "ssm:DescribeParameters",
}
#: Reading a secret is what runs do, and nobody else.
_WORKERS_ALONE = {"secretsmanager:GetSecretValue"}
#: With secrets in SSM (the setting `secrets`), in place of what Secrets Manager calls so.
_WITH_PARAMETERS = {"ssm:PutParameter", "ssm:DeleteParameter"}
_NOT_OF_PEOPLE = _WORKERS_ALONE | _WITH_PARAMETERS
#: Of a client, which reads a deployment's descriptor by it, and seals secret arguments.
_CLIENTS_ALONE = {"ssm:GetParameter", "kms:GenerateDataKey"}


def calls(*folders: str) -> set[str]:
    """The IAM actions of every call of AWS below these folders."""
    files = (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))
    return {_action(service, operation) for path in files for service, operation in _calls_of(path)}


def _calls_of(path: Path) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
            if node.func.attr in ("call", "pages") and len(texts) >= 2:
                yield texts[0], texts[1]
            elif node.func.attr in ("_call", "_on_condition") and texts and path.name in _SERVICE_OF:
                yield _SERVICE_OF[path.name], texts[0]


def _action(service: str, operation: str) -> str:
    camel = "".join(word.title() for word in operation.split("_"))
    return _ACTIONS.get((service, operation), f"{_PREFIXES.get(service, service)}:{camel}")


def allowed(templates: Templates, policy: str) -> set[str]:
    return {action for statement in templates.statements_of(policy) for action in listed(statement["Action"])}


#: The shepherd's own, in the image too; its alarms' role goes with what it calls.
_SHEPHERDS_ALONE = {"scheduler:CreateSchedule", "scheduler:UpdateSchedule", "lambda:InvokeFunction", "sns:Publish"}

SDK = ("client/fanfold/stores/aws", "client/fanfold/engines/aws")
WORKER = ("client/fanfold/stores/aws", "runtime/fanfold_runtime")


def test_the_calls_are_found() -> None:
    assert {"dynamodb:Query", "s3:PutObject", "states:StartExecution", "lambda:InvokeFunction"} <= calls(*SDK)
    assert "sts:AssumeRole" in calls(*WORKER)


def test_users_may_do_what_the_sdk_does(full: Templates) -> None:
    assert calls(*SDK) - allowed(full, "PeopleUser") - _OPERATORS_ALONE - _NOT_OF_PEOPLE == set()


def test_operators_may_do_all_of_it(full: Templates) -> None:
    assert calls(*SDK) - allowed(full, "PeopleOperator") - _NOT_OF_PEOPLE == set()


@pytest.mark.parametrize("role", ["RealtimeRole", "JobRole"])
def test_workers_may_do_what_the_image_does(templates: Templates, full: Templates, role: str) -> None:
    others = _OPERATORS_ALONE | _WITH_PARAMETERS | _CLIENTS_ALONE | _SHEPHERDS_ALONE
    if role == "JobRole":  # a machine has no time limit, near which a run would have to go on elsewhere
        others = others | {"states:StartExecution"}
    assert calls(*WORKER) - allowed(templates, role) - allowed(full, role) - others == set()


def test_the_shepherd_may_do_what_clients_do_for_a_job_that_has_been_submitted(full: Templates) -> None:
    submits = {"kms:GenerateDataKey", "lambda:GetFunctionConfiguration", "states:ListExecutions"}
    watches = {action for action in calls(*SDK) if action.split(":")[0] in ("logs", "servicequotas", "secretsmanager")}
    opens_arguments = {"kms:Decrypt"}
    of_schedules = {f"scheduler:{one}" for one in ("GetSchedule", "DeleteSchedule", "ListSchedules")}
    of_doctor = {"batch:DescribeJobDefinitions", "cloudwatch:GetMetricData", "ssm:PutParameter", "ssm:DeleteParameter"}
    not_its = _OPERATORS_ALONE | submits | watches | opens_arguments | of_doctor | of_schedules
    may = allowed(full, "ShepherdRole")
    assert calls(*SDK) - may - not_its == set()
    assert may >= _SHEPHERDS_ALONE | {"iam:PassRole", "dynamodb:GetRecords"}


def test_policies_give_workers_no_service_that_their_code_does_not_use(templates: Templates) -> None:
    used = {action.split(":")[0] for action in calls(*WORKER)}
    for role in ("RealtimeRole", "JobRole"):
        assert {action.split(":")[0] for action in allowed(templates, role)} - {"logs", "xray"} <= used
