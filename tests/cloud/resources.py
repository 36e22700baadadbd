"""How each type of resource is made: CloudFormation's properties, as the arguments of the call that makes it.

Properties that a call takes under their own names are passed on as they are, so that botocore refuses what AWS would.
What is left out on purpose is named beside it: moto knows no such thing, or nothing here depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from tests.cloud.refusals import NotEmulated

Client = Callable[[str], Any]
Properties = dict[str, Any]

#: Known, and without any effect here: permissions are not enforced, nothing crosses a network, nobody is alarmed.
NOT_EMULATED = frozenset(
    {
        "AWS::CloudWatch::Alarm",
        "AWS::CloudWatch::Dashboard",
        "AWS::EC2::FlowLog",
        "AWS::EC2::InternetGateway",
        "AWS::EC2::Route",
        "AWS::EC2::RouteTable",
        "AWS::EC2::SubnetRouteTableAssociation",
        "AWS::EC2::VPCEndpoint",
        "AWS::EC2::VPCGatewayAttachment",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Policy",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Lambda::Permission",
        "AWS::S3::BucketPolicy",
        "AWS::SNS::Topic",
        "AWS::SNS::TopicPolicy",
    }
)


class Made(NamedTuple):
    """What `Ref` of a resource gives, and its attributes; a resource that is not emulated has stand-ins for both."""

    ref: str
    attributes: Mapping[str, str] | None = None

    def attribute(self, name: str) -> str:
        """What `Fn::GetAtt` gives."""
        return f"{self.ref}.{name}" if self.attributes is None else self.attributes[name]


def _table(client: Client, name: str, properties: Properties) -> Made:
    ttl = properties.pop("TimeToLiveSpecification")
    recovery = properties.pop("PointInTimeRecoverySpecification")
    if "StreamSpecification" in properties:
        properties["StreamSpecification"]["StreamEnabled"] = True  # CloudFormation says so by naming a view
    dynamodb = client("dynamodb")
    made = dynamodb.create_table(TableName=f"fanfold-{name}", **properties)["TableDescription"]
    table = made["TableName"]
    dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=ttl)
    dynamodb.update_continuous_backups(TableName=table, PointInTimeRecoverySpecification=recovery)
    return Made(table, {"Arn": made["TableArn"], "StreamArn": made.get("LatestStreamArn", "")})


def _bucket(client: Client, name: str, properties: Properties) -> Made:
    """Encryption, life cycle, logging and access blocks are left to the infrastructure's own tests."""
    bucket = f"fanfold-{name}".lower()
    client("s3").create_bucket(Bucket=bucket)
    return Made(bucket, {"Arn": f"arn:aws:s3:::{bucket}"})


def _log_group(client: Client, name: str, properties: Properties) -> Made:
    group = properties.get("LogGroupName", f"fanfold-{name}")
    logs = client("logs")
    logs.create_log_group(logGroupName=group)
    logs.put_retention_policy(logGroupName=group, retentionInDays=properties["RetentionInDays"])
    (found,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    return Made(group, {"Arn": found["arn"]})


def _key(client: Client, name: str, properties: Properties) -> Made:
    made = client("kms").create_key(**_only(properties, "Description", left=["KeyPolicy", "EnableKeyRotation", "Tags"]))
    return Made(made["KeyMetadata"]["KeyId"], {"Arn": made["KeyMetadata"]["Arn"]})


def _parameter(client: Client, name: str, properties: Properties) -> Made:
    client("ssm").put_parameter(**_only(properties, "Name", "Type", "Value", left=["Tags"]))
    return Made(properties["Name"])


def _role(client: Client, name: str, properties: Properties) -> Made:
    import json

    role = client("iam").create_role(
        RoleName=properties.get("RoleName", f"fanfold-{name}"),
        AssumeRolePolicyDocument=json.dumps(properties["AssumeRolePolicyDocument"]),
    )["Role"]
    return Made(role["RoleName"], {"Arn": role["Arn"]})


def _instance_profile(client: Client, name: str, properties: Properties) -> Made:
    iam = client("iam")
    made = iam.create_instance_profile(InstanceProfileName=f"fanfold-{name}")["InstanceProfile"]
    for role in properties["Roles"]:
        iam.add_role_to_instance_profile(InstanceProfileName=made["InstanceProfileName"], RoleName=role)
    return Made(made["InstanceProfileName"], {"Arn": made["Arn"]})


def _vpc(client: Client, name: str, properties: Properties) -> Made:
    vpc = client("ec2").create_vpc(**_only(properties, "CidrBlock", "InstanceTenancy", left=["Enable", "Tags"]))["Vpc"]
    return Made(vpc["VpcId"], {})


def _subnet(client: Client, name: str, properties: Properties) -> Made:
    taken = _only(properties, "AvailabilityZone", "CidrBlock", "VpcId", left=["MapPublicIpOnLaunch", "Tags"])
    return Made(client("ec2").create_subnet(**taken)["Subnet"]["SubnetId"], {})


def _security_group(client: Client, name: str, properties: Properties) -> Made:
    group = client("ec2").create_security_group(
        GroupName=name, Description=properties["GroupDescription"], VpcId=properties["VpcId"]
    )
    return Made(group["GroupId"], {"GroupId": group["GroupId"]})


def _launch_template(client: Client, name: str, properties: Properties) -> Made:
    made = client("ec2").create_launch_template(
        LaunchTemplateName=name, LaunchTemplateData=properties["LaunchTemplateData"]
    )["LaunchTemplate"]
    return Made(made["LaunchTemplateId"], {"LatestVersionNumber": str(made["LatestVersionNumber"])})


def _function(client: Client, name: str, properties: Properties) -> Made:
    made = client("lambda").create_function(**_with_tags_by_key(properties))
    return Made(made["FunctionName"], {"Arn": made["FunctionArn"]})


def _with_tags_by_key(properties: Properties) -> Properties:
    return {**properties, "Tags": {pair["Key"]: pair["Value"] for pair in properties.get("Tags", [])}}


def _event_source_mapping(client: Client, name: str, properties: Properties) -> Made:
    made = client("lambda").create_event_source_mapping(**_with_tags_by_key(properties))
    return Made(made["UUID"])


def _rule(client: Client, name: str, properties: Properties) -> Made:
    import json

    taken = _only(properties, "Description", "State", "EventPattern", "Targets", left=["Tags"])
    targets, rule = taken.pop("Targets"), f"fanfold-{name}"
    events = client("events")
    made = events.put_rule(Name=rule, **{**taken, "EventPattern": json.dumps(taken["EventPattern"])})
    events.put_targets(Rule=rule, Targets=targets)
    return Made(rule, {"Arn": made["RuleArn"]})


def _schedule_group(client: Client, name: str, properties: Properties) -> Made:
    made = client("scheduler").create_schedule_group(**_only(properties, "Name", left=["Tags"]))
    return Made(properties["Name"], {"Arn": made["ScheduleGroupArn"]})


def _state_machine(client: Client, name: str, properties: Properties) -> Made:
    """Logging and tracing are left out: nothing reads them here."""
    known = _only(
        properties,
        *("StateMachineName", "StateMachineType", "DefinitionString", "RoleArn"),
        left=["LoggingConfiguration", "TracingConfiguration", "Tags"],
    )
    made = client("stepfunctions").create_state_machine(
        name=known["StateMachineName"],
        type=known["StateMachineType"],
        definition=known["DefinitionString"],
        roleArn=known["RoleArn"],
    )
    return Made(made["stateMachineArn"], {"Arn": made["stateMachineArn"]})


def _compute_environment(client: Client, name: str, properties: Properties) -> Made:
    """moto insists on a service role; on AWS the service-linked one is taken where none is named."""
    resources = _camel(properties["ComputeResources"])
    resources.pop("updateToLatestImageVersion")  # CloudFormation's own, no argument of the call
    role = client("iam").create_role(RoleName=f"service-{name}", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    made = client("batch").create_compute_environment(
        computeEnvironmentName=name, type=properties["Type"], computeResources=resources, serviceRole=role
    )
    return Made(made["computeEnvironmentArn"], {})


def _job_queue(client: Client, name: str, properties: Properties) -> Made:
    made = client("batch").create_job_queue(state="ENABLED", **_camel(properties))
    return Made(made["jobQueueArn"], {})


def _job_definition(client: Client, name: str, properties: Properties) -> Made:
    properties.pop("ResourceRetentionPolicy", None)  # CloudFormation's own
    made = client("batch").register_job_definition(**_camel(properties, verbatim=("Tags", "Options")))
    return Made(made["jobDefinitionArn"], {})


def _only(properties: Properties, *names: str, left: Iterable[str]) -> Properties:
    """These properties of them. Those that begin like one of `left` are left out; there may be no other."""
    taken = {name: properties[name] for name in names if name in properties}
    others = [name for name in properties if name not in taken and not name.startswith(tuple(left))]
    if others:
        raise NotEmulated(f"the properties {', '.join(others)}")
    return taken


def _camel(value: Any, verbatim: tuple[str, ...] = ("Tags",)) -> Any:
    """Batch's arguments begin in lower case where CloudFormation's properties do not; `verbatim` holds users' keys."""
    if isinstance(value, list):
        return [_camel(item, verbatim) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key[0].lower() + key[1:]: item if key in verbatim else _camel(item, verbatim) for key, item in value.items()
    }


MAKERS: dict[str, Callable[[Client, str, Properties], Made]] = {
    "AWS::Batch::ComputeEnvironment": _compute_environment,
    "AWS::Batch::JobDefinition": _job_definition,
    "AWS::Batch::JobQueue": _job_queue,
    "AWS::DynamoDB::Table": _table,
    "AWS::EC2::LaunchTemplate": _launch_template,
    "AWS::EC2::SecurityGroup": _security_group,
    "AWS::EC2::Subnet": _subnet,
    "AWS::EC2::VPC": _vpc,
    "AWS::Events::Rule": _rule,
    "AWS::IAM::InstanceProfile": _instance_profile,
    "AWS::IAM::Role": _role,
    "AWS::KMS::Key": _key,
    "AWS::Lambda::EventSourceMapping": _event_source_mapping,
    "AWS::Lambda::Function": _function,
    "AWS::Logs::LogGroup": _log_group,
    "AWS::S3::Bucket": _bucket,
    "AWS::SSM::Parameter": _parameter,
    "AWS::Scheduler::ScheduleGroup": _schedule_group,
    "AWS::StepFunctions::StateMachine": _state_machine,
}
