"""The policies reach what the code touches, and by name: an action that is allowed on another resource is of no use."""

from __future__ import annotations

import inspect
from fnmatch import fnmatchcase
from typing import Any

import pytest

from fanfold.contract import cloud
from fanfold.stores import keys
from tests.infra.templates import Templates, exports, listed, resolve

_HERE = "eu-west-1:123456789012"
WORKERS = ("RealtimeRole", "JobRole")
#: Every key that the code puts into the bucket, whatever it is made from.
KEYS = {
    name: function(*(f"some-{parameter}" for parameter in inspect.signature(function).parameters))
    for name, function in inspect.getmembers(keys, inspect.isfunction)
    if name.endswith("_key") and name != "checked_key"
}


def reaches(templates: Templates, policy: str, action: str, resource: str) -> bool:
    """Whether a policy allows this action on this resource, on whatever condition."""
    return any(
        fnmatchcase(resource, pattern)
        for statement in templates.statements_of(policy)
        if statement["Effect"] == "Allow" and action in listed(statement["Action"])
        for pattern in listed(statement["Resource"])
    )


def unreached(templates: Templates, policy: str, actions: set[str], resources: list[str]) -> list[tuple[str, str]]:
    pairs = [(action, resource) for action in sorted(actions) for resource in resources]
    assert pairs
    return [pair for pair in pairs if not reaches(templates, policy, *pair)]


def storage_arn(templates: Templates, kind: str, attribute: str = ".Arn") -> str:
    """The ARN, or with no attribute the name, of the table or the bucket, as other stacks import it."""
    values = arns(templates, kind, attribute)
    (found,) = (name for name, value in exports(templates.by_stack["Storage"]).items() if value in values)
    return f"<{found}>"


def arns(templates: Templates, kind: str, attribute: str = ".Arn") -> list[str]:
    return [f"<{logical}{attribute}>" for logical in templates.resources(kind)]


def run_functions(templates: Templates) -> list[str]:
    """ARNs of the functions that perform runs."""
    names = {one["FunctionName"] for one in templates.run_functions()}
    functions = templates.resources("AWS::Lambda::Function").items()
    return [f"<{logical}.Arn>" for logical, one in functions if one["Properties"].get("FunctionName") in names]


def test_the_keys_are_found() -> None:
    assert {"bundle_key", "inputs_key", "result_key", "blob_key", "work_key"} <= set(KEYS)


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("policy", [*WORKERS, "PeopleUser"])
def test_every_key_of_the_bucket_can_be_read_and_written(templates: Templates, policy: str, name: str) -> None:
    of_bucket = storage_arn(templates, "AWS::S3::Bucket")
    assert unreached(templates, policy, {"s3:GetObject", "s3:PutObject"}, [f"{of_bucket}/{KEYS[name]}"]) == []


@pytest.mark.parametrize("name", KEYS)
def test_no_key_of_fanfold_s_is_within_a_udf_s_reach(full: Templates, name: str) -> None:
    key = f"{storage_arn(full, 'AWS::S3::Bucket')}/{KEYS[name]}"
    assert not reaches(full, "DataRole", "s3:GetObject", key)
    assert not reaches(full, "DataRole", "s3:PutObject", key)


@pytest.mark.parametrize("policy", [*WORKERS, "PeopleUser"])
def test_the_table_is_reached_and_its_indexes_by_people(templates: Templates, policy: str) -> None:
    table = storage_arn(templates, "AWS::DynamoDB::Table")
    actions = {f"dynamodb:{name}" for name in ("BatchGetItem", "BatchWriteItem", "PutItem", "Query", "UpdateItem")}
    assert unreached(templates, policy, actions, [table]) == []
    indexes = [f"{table}/index/{name}" for name in (cloud.INDEX_BY_OWNER, cloud.INDEX_BY_TEAM)]
    assert unreached(templates, "PeopleUser", {"dynamodb:Query"}, indexes) == []


def test_people_call_every_clone_and_start_every_machine(full: Templates) -> None:
    called = {"lambda:InvokeFunction", "lambda:GetFunctionConfiguration"}
    assert unreached(full, "PeopleUser", called, run_functions(full)) == []
    machines = arns(full, "AWS::StepFunctions::StateMachine", "")
    assert unreached(full, "PeopleUser", {"states:StartExecution"}, machines) == []


def test_people_stop_executions_of_this_deployment_and_of_no_other(templates: Templates) -> None:
    def execution(path: str, deployment: str = "main") -> str:
        return f"arn:aws:states:{_HERE}:execution:{cloud.resource_name(deployment, path)}:some-job-0"

    stoppable = [execution(cloud.DISTRIBUTED), execution(cloud.DEDICATED)]
    assert unreached(templates, "PeopleUser", {"states:StopExecution", "states:DescribeExecution"}, stoppable) == []
    for path in (cloud.DISTRIBUTED, cloud.DEDICATED):
        assert not reaches(templates, "PeopleUser", "states:StopExecution", execution(path, "other"))


@pytest.mark.parametrize("who", ["PeopleUser", "PeopleOperator", "ShepherdRole"])
def test_who_looks_after_a_ramp_finds_and_widens_map_runs_of_this_deployment_and_of_no_other(
    templates: Templates, who: str
) -> None:
    """The ARNs are as the service authorization reference has them."""

    def machine(deployment: str, path: str = cloud.DISTRIBUTED) -> str:
        return cloud.resource_name(deployment, path)

    execution = f"arn:aws:states:{_HERE}:execution:{machine('main')}:some-job-0"
    label = templates.definition(cloud.DISTRIBUTED)["States"]["Children"]["Label"]
    map_run = f"arn:aws:states:{_HERE}:mapRun:%s/{label}:0e4f0b0e-1ee1-4fc1-a6b2-b0d2cb1a1a4e"
    assert unreached(templates, who, {"states:ListMapRuns"}, [execution]) == []
    assert unreached(templates, who, {"states:UpdateMapRun"}, [map_run % machine("main")]) == []
    assert not reaches(templates, who, "states:UpdateMapRun", map_run % machine("other"))


def test_people_find_the_deployment_and_no_other(templates: Templates) -> None:
    def parameter(name: str) -> str:
        return f"arn:aws:ssm:{_HERE}:parameter{cloud.parameter_name(name)}"

    assert unreached(templates, "PeopleUser", {"ssm:GetParameter"}, [parameter("main")]) == []
    below = [parameter("main"), f"{parameter('main')}/instance-types/0"]
    assert unreached(templates, "PeopleUser", {"ssm:GetParametersByPath"}, below) == []
    assert not reaches(templates, "PeopleUser", "ssm:GetParameter", parameter("other"))


@pytest.mark.parametrize("path", ["express", "distributed"])
def test_state_machines_call_every_clone_and_write_down_deaths(full: Templates, path: str) -> None:
    role = f"Fanout{path}"
    assert unreached(full, role, {"lambda:InvokeFunction"}, run_functions(full)) == []
    table = f"arn:aws:dynamodb:{_HERE}:table/{storage_arn(full, 'AWS::DynamoDB::Table', '')}"  # as the CDK writes it
    assert unreached(full, role, {"dynamodb:PutItem"}, [table]) == []


def test_the_distributed_machine_reads_its_manifest(templates: Templates) -> None:
    manifest = f"arn:aws:s3:::{_bucket_name(templates)}/{KEYS['work_key']}"
    assert unreached(templates, "Fanoutdistributed", {"s3:GetObject"}, [manifest]) == []


def _bucket_name(templates: Templates) -> str:
    """As the item reader names it."""
    reader = templates.definition("distributed")["States"]["Children"]["ItemReader"]
    return str(resolve(reader["Parameters"]["Bucket"]))


def test_the_dedicated_machine_submits_to_every_queue_by_every_definition(full: Templates) -> None:
    queues = [f"arn:aws:batch:{_HERE}:job-queue/{q['JobQueueName']}" for q in full.properties("AWS::Batch::JobQueue")]
    definitions = [
        f"arn:aws:batch:{_HERE}:job-definition/{definition['JobDefinitionName']}{revision}"
        for definition in full.properties("AWS::Batch::JobDefinition")
        for revision in ("", ":7")
    ]
    assert unreached(full, "Fanoutdedicated", {"batch:SubmitJob"}, [*queues, *definitions]) == []
    foreign = f"arn:aws:batch:{_HERE}:job-queue/{cloud.resource_name('other', 'c5.large')}"
    assert not reaches(full, "Fanoutdedicated", "batch:SubmitJob", foreign)


def test_each_worker_takes_the_data_role_and_no_other(full: Templates) -> None:
    roles: dict[str, Any] = full.resources("AWS::IAM::Role")
    for worker in WORKERS:
        taken = [name for name in roles if reaches(full, worker, "sts:AssumeRole", f"<{name}.Arn>")]
        assert [name[:8] for name in taken] == ["DataRole"]
