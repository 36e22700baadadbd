"""What many ask at once of the emulated AWS is done for one after another, as AWS does it."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from tests.aws import moto_writes

REGION = "us-east-1"


@pytest.fixture(autouse=True)
def moto():
    """Threads that take turns so quickly that what they share is met in every state."""
    moto_writes.install()
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    with mock_aws():
        yield
    sys.setswitchinterval(before)


def test_each_that_counts_is_told_a_count_of_its_own():
    client = boto3.client("dynamodb", region_name=REGION)
    client.create_table(
        TableName="counts",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )

    def count(_: int) -> int:
        answer = client.update_item(
            TableName="counts",
            Key={"pk": {"S": "one"}},
            UpdateExpression="ADD n :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
            ReturnValues="UPDATED_NEW",
        )
        return int(answer["Attributes"]["n"]["N"])

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(count, range(80))) == list(range(1, 81))


def test_one_of_those_that_put_what_is_not_there_has_put_it():
    client = boto3.client("s3", region_name=REGION)
    client.create_bucket(Bucket="of-one")

    def put(number: int) -> str:
        try:
            client.put_object(Bucket="of-one", Key=f"key-{number // 8}", Body=b"x", IfNoneMatch="*")
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "put"

    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(put, range(80)))
    assert [told.count("put"), told.count("PreconditionFailed")] == [10, 70]


def test_those_that_start_an_execution_of_one_name_start_one():
    client = boto3.client("stepfunctions", region_name=REGION)
    nothing = {"StartAt": "Wait", "States": {"Wait": {"Type": "Pass", "End": True}}}
    role = "arn:aws:iam::123456789012:role/any"
    machine = client.create_state_machine(name="one", definition=json.dumps(nothing), roleArn=role)["stateMachineArn"]

    def start(number: int) -> str:
        return str(client.start_execution(stateMachineArn=machine, name=f"name-{number // 8}")["executionArn"])

    with ThreadPoolExecutor(8) as threads:
        assert len({*threads.map(start, range(320))}) == 40
    assert len(client.list_executions(stateMachineArn=machine)["executions"]) == 40
