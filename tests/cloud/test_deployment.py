"""What `cdk synth` writes becomes real in the cloud, and what would not be is refused."""

from __future__ import annotations

import json

import pytest

import fanfold
from fanfold.contract.cloud import DEDICATED, DISTRIBUTED, EXPRESS
from fanfold.engines.aws.discovery import discover
from tests.aws.cloud import ACCOUNT, REGION
from tests.cloud.deploy import Deployer
from tests.cloud.references import References
from tests.cloud.refusals import NotEmulated


@pytest.fixture
def deployer(cloud):
    return Deployer(cloud.client, region=REGION, account=ACCOUNT)


@pytest.fixture
def references():
    return References(
        {"AWS::Region": REGION, "AWS::AccountId": ACCOUNT},
        ref=lambda name: f"<{name}>",
        attribute=lambda name, wanted: f"<{name}.{wanted}>",
        exports={"table": "fanfold-table"},
    )


def test_the_sdk_finds_the_deployment_by_its_name(cloud, cloud_account):
    found = discover(cloud_account, "main")
    assert found.descriptor["functions"] == ["fanfold-main-run-0", "fanfold-main-run-1"]
    assert {"small", "medium", "large", "m5.4xlarge"} <= set(found.lanes)
    assert "pandas" in found.packages


def test_its_functions_run_the_python_that_the_descriptor_names(on_cloud, cloud_account):
    """Wheels of `packages=` are chosen for it: compiled modules of another are not found."""

    def python():
        import sys

        return "{}.{}".format(*sys.version_info)

    named = discover(cloud_account, "main").descriptor["image"]["python"]
    assert fanfold.run(python, engine="aws") == named


def test_what_the_descriptor_names_is_there(cloud, cloud_account):
    descriptor = discover(cloud_account, "main").descriptor
    described = {
        path: cloud.client("stepfunctions").describe_state_machine(stateMachineArn=arn)
        for path, arn in descriptor["state_machines"].items()
    }
    kinds = {path: machine["type"] for path, machine in described.items()}
    assert kinds == {EXPRESS: "EXPRESS", DISTRIBUTED: "STANDARD", DEDICATED: "STANDARD"}
    assert descriptor["table"] in described[EXPRESS]["definition"]
    cloud.client("dynamodb").describe_table(TableName=descriptor["table"])
    cloud.client("s3").head_bucket(Bucket=descriptor["bucket"])
    for function in descriptor["functions"]:
        configured = cloud.client("lambda").get_function_configuration(FunctionName=function)
        assert configured["Environment"]["Variables"]["FANFOLD_TABLE"] == descriptor["table"]


def test_every_lane_has_its_queue_and_its_definition(cloud, cloud_account):
    lanes = discover(cloud_account, "main").lanes.values()
    batch = cloud.client("batch")
    assert {lane["queue"] for lane in lanes} <= {q["jobQueueName"] for q in batch.describe_job_queues()["jobQueues"]}
    known = batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"]
    names = {one["jobDefinitionName"] for one in known}
    assert {lane["definition"] for lane in lanes} == {name for name in names if "-image-" not in name}
    assert {name for name in names if "-image-" in name} == {
        *("fanfold-main-image-geo-small", "fanfold-main-image-batch-small", "fanfold-main-image-batch-medium")
    }


def test_a_type_that_is_not_known_is_refused_before_anything_is_made(cloud, deployer):
    bucket = {"Type": "AWS::S3::Bucket"}
    with pytest.raises(NotEmulated, match="AWS::SQS::Queue"):
        deployer.deploy({"Resources": {"NeverMade": bucket, "Queue": {"Type": "AWS::SQS::Queue"}}})
    assert "fanfold-nevermade" not in {one["Name"] for one in cloud.client("s3").list_buckets()["Buckets"]}


def test_a_property_that_is_not_known_is_refused(deployer):
    parameter = {"Name": "/a", "Type": "String", "Value": "b", "Policies": "[]"}
    with pytest.raises(NotEmulated, match="Policies"):
        deployer.deploy({"Resources": {"Parameter": {"Type": "AWS::SSM::Parameter", "Properties": parameter}}})


def test_a_state_machine_that_would_not_run_as_on_aws_is_refused_when_it_is_made(cloud):
    states = cloud.client("stepfunctions")
    definition = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1, "End": True}}}
    with pytest.raises(states.exceptions.ClientError, match="state W: the type Wait"):
        states.create_state_machine(
            name="waits", definition=json.dumps(definition), roleArn=f"arn:aws:iam::{ACCOUNT}:role/any"
        )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "A"}, "<A>"),
        ({"Ref": "AWS::Region"}, REGION),
        ({"Fn::GetAtt": ["A", "Arn"]}, "<A.Arn>"),
        ({"Fn::Join": ["-", ["a", {"Ref": "B"}]]}, "a-<B>"),
        ({"Fn::Select": [1, {"Fn::Split": ["/", "a/b"]}]}, "b"),
        ({"Fn::Sub": "x-${AWS::AccountId}-${C}"}, f"x-{ACCOUNT}-<C>"),
        ({"Fn::ImportValue": "table"}, "fanfold-table"),
        ({"kept": 1, "left": {"Ref": "AWS::NoValue"}}, {"kept": 1}),
    ],
)
def test_functions_of_templates(references, value, expected):
    assert references.resolve(value) == expected


def test_a_function_that_is_not_known_is_refused(references):
    with pytest.raises(NotEmulated, match="Fn::Cidr"):
        references.resolve([{"Fn::Cidr": ["10.0.0.0/16", 1, 8]}])
