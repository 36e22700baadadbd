"""boto3's own models of Batch, Lambda and Step Functions accept what the templates ask of those services."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from tests.infra.templates import Templates

#: CloudFormation type -> (service, the call it makes, properties that are CloudFormation's own).
CALLS = {
    "AWS::Batch::ComputeEnvironment": (
        "batch",
        "CreateComputeEnvironment",
        {"ReplaceComputeEnvironment", "UpdatePolicy"},
    ),
    "AWS::Batch::JobQueue": ("batch", "CreateJobQueue", set()),
    "AWS::Batch::JobDefinition": ("batch", "RegisterJobDefinition", {"ResourceRetentionPolicy"}),
    "AWS::Lambda::Function": ("lambda", "CreateFunction", {"ReservedConcurrentExecutions"}),
    "AWS::StepFunctions::StateMachine": ("stepfunctions", "CreateStateMachine", set()),
    "AWS::EC2::LaunchTemplate": ("ec2", "CreateLaunchTemplate", set()),
    "AWS::DynamoDB::Table": (
        "dynamodb",
        "CreateTable",
        # A stream's view says to CloudFormation that there is one; the call wants that said too.
        {"PointInTimeRecoverySpecification", "StreamSpecification", "TimeToLiveSpecification"},
    ),
}

#: What a call names otherwise than CloudFormation does, and what CloudFormation makes up itself.
_RENAMED = {"StateMachineName": "name", "StateMachineType": "type", "DefinitionString": "definition"}
_GENERATED = {
    "AWS::Batch::ComputeEnvironment": {"computeEnvironmentName": "made-up"},
    "AWS::EC2::LaunchTemplate": {"LaunchTemplateName": "made-up"},
    "AWS::DynamoDB::Table": {"TableName": "made-up"},
}
#: Left out: tags, a list here and a map there, and what belongs to an update of a compute environment alone.
_LEFT_OUT = {"Tags", "UpdateToLatestImageVersion"}


def fitted(value: Any, shape: Any) -> Any:
    """A template's value with the member names of the service's model, which differ in their first letter only."""
    if shape.type_name == "structure" and isinstance(value, dict):
        members = {name.lower(): name for name in shape.members}
        return {
            members.get(key.lower(), key): fitted(item, shape.members[members[key.lower()]])
            if key.lower() in members
            else item
            for key, item in value.items()
            if key not in _LEFT_OUT
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [fitted(item, shape.member) for item in value]
    return value


@pytest.mark.parametrize("variant", ["templates", "full"])
@pytest.mark.parametrize("kind", CALLS)
def test_the_service_s_model_takes_it(kind: str, variant: str, request: pytest.FixtureRequest) -> None:
    service, operation, own = CALLS[kind]
    model = botocore.session.get_session().get_service_model(service).operation_model(operation)
    templates: Templates = request.getfixturevalue(variant)
    resources = templates.properties(kind)
    assert resources
    for properties in resources:
        named = {_RENAMED.get(key, key): value for key, value in properties.items() if key not in own}
        parameters = {**_GENERATED.get(kind, {}), **fitted(named, model.input_shape)}
        assert ParamValidator().validate(parameters, model.input_shape).generate_report() == ""
        assert _outside_enums(parameters, model.input_shape) == []


def _outside_enums(value: Any, shape: Any, path: str = "") -> list[str]:
    """Values that the model's enumerations do not have; botocore itself lets them pass."""
    if shape.type_name == "structure" and isinstance(value, dict):
        pairs = [(item, shape.members[key], f"{path}.{key}") for key, item in value.items() if key in shape.members]
    elif shape.type_name == "list" and isinstance(value, list):
        pairs = [(item, shape.member, f"{path}[{n}]") for n, item in enumerate(value)]
    else:
        allowed = getattr(shape, "enum", None)
        return [f"{path}: {value!r} is none of {allowed}"] if allowed and value not in allowed else []
    return [found for item, inner, where in pairs for found in _outside_enums(item, inner, where)]


def test_the_check_itself_sees_a_wrong_value(templates: Templates) -> None:
    model = botocore.session.get_session().get_service_model("batch").operation_model("CreateComputeEnvironment")
    environment = next(iter(templates.environments().values()))
    resources = {**environment["ComputeResources"], "AllocationStrategy": "FASTEST", "MaxvCpus": "many"}
    wrong = fitted({"Type": "MANAGED", "ComputeResources": resources}, model.input_shape)
    assert _outside_enums(wrong, model.input_shape)
    assert "maxvCpus" in ParamValidator().validate(wrong, model.input_shape).generate_report()


@pytest.mark.parametrize("path", ["express", "distributed", "dedicated"])
def test_the_parameters_of_service_calls_are_those_of_the_services(templates: Templates, path: str) -> None:
    """A misspelt parameter of a task passes every other check, and fails at its first run."""
    for resource, parameters in _tasks(templates.definition(path)):
        service, operation = resource.split(":::")[1].removesuffix(".sync").split(":")
        call = {"lambda:invoke": "Invoke", "dynamodb:putItem": "PutItem", "batch:submitJob": "SubmitJob"}
        model = botocore.session.get_session().get_service_model(service)
        shape = model.operation_model(call[f"{service}:{operation}"]).input_shape
        members = {name.lower() for name in shape.members}
        assert {key.removesuffix(".$").lower() for key in parameters} <= members


def _tasks(definition: Any) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for state in definition["States"].values():
        if state["Type"] == "Task":
            found.append((state["Resource"], state["Parameters"]))
        found += _tasks(state["ItemProcessor"]) if "ItemProcessor" in state else []
    return found
