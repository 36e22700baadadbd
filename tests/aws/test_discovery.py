"""Finding a deployment, and what is said where it, a credential or a permission is missing."""

from __future__ import annotations

import json
import re
import traceback

import pytest
from botocore.exceptions import ClientError, NoCredentialsError, ProfileNotFound

import fanfold
from fanfold.contract import cloud as contract
from fanfold.engines.aws.discovery import discover
from fanfold.engines.base import engine_for
from fanfold.errors import ConfigurationError, DeploymentGone, SignInNeeded, StoreError, StoreUnavailable
from fanfold.stores.aws.account import Account
from fanfold.stores.aws.failures import explain


def test_a_deployment_is_found_by_its_name(account, deployment):
    found = discover(account, deployment.name)
    assert found.descriptor == deployment.descriptor
    assert found.lanes["small"]["host"] == "c5.large"
    assert found.packages["pandas"] == "2.3.3"


def test_configure_names_it_and_the_engine_is_aws(aws, deployment):
    fanfold.configure(deployment=deployment.name, region="us-east-1")
    described = engine_for().describe()
    assert (described.name, described.realtime_timeout_s, described.image) == ("aws", 120, "0123456789abcdef")
    assert list(described.instance_types) == ["small", "gpu"]
    assert engine_for() is engine_for("aws")


def test_another_deployment_is_another_engine(aws, account, deployment):
    from tests.aws.cloud import deploy

    other = deploy(account, f"{deployment.name}b")
    fanfold.configure(deployment=deployment.name)
    first = engine_for()
    fanfold.configure(deployment=other.name)
    assert engine_for() is not first


def test_a_name_that_is_none_says_where_it_looked(aws, account):
    with pytest.raises(ConfigurationError, match="no deployment 'nowhere' in us-east-1") as error:
        discover(account, "nowhere")
    assert "/fanfold/nowhere" in error.value.message
    assert "FANFOLD_DEPLOYMENT" in error.value.next_step


@pytest.mark.parametrize("name", ["", "../main", "a b", "main/x", "x" * 65])
def test_what_can_be_no_name_is_not_asked_for(account, name):
    with pytest.raises(ConfigurationError, match="not a deployment's name"):
        discover(account, name)


def test_the_engine_without_a_deployment_says_how_to_name_one(aws):
    with pytest.raises(ConfigurationError) as error:
        engine_for("aws")
    assert "FANFOLD_DEPLOYMENT" in error.value.next_step


@pytest.mark.parametrize(
    ("version", "said", "next_step"),
    [
        (contract.DESCRIPTOR_VERSION + 1, "newer Fanfold (9.8.7; here is", "update Fanfold here"),
        (contract.OLDEST_DESCRIPTOR_VERSION - 1, "older Fanfold (9.8.7; here is", "have its operator deploy"),
    ],
)
def test_a_deployment_that_this_client_does_not_speak_with_says_which_of_both_is_older(
    account, deployment, version, said, next_step
):
    other = {"version": version, "fanfold": "9.8.7", "what": "nobody knows"}
    name = contract.parameter_name(deployment.name)
    account.client("ssm").put_parameter(Name=name, Value=json.dumps(other), Type="String", Overwrite=True)
    with pytest.raises(ConfigurationError, match=re.escape(said)) as error:
        discover(account, deployment.name)
    assert next_step in error.value.next_step


def test_a_deployment_from_before_what_came_later_in_the_same_version_is_used(account, deployment):
    old = {key: deployment.descriptor[key] for key in contract.DeploymentDescriptor.__required_keys__}
    name = contract.parameter_name(deployment.name)
    account.client("ssm").put_parameter(Name=name, Value=json.dumps(old), Type="String", Overwrite=True)
    assert discover(account, deployment.name).descriptor["table"] == deployment.descriptor["table"]


@pytest.mark.parametrize("value", ["hello", "[]", "{}", '{"version": 1}', '{"version": "x"}'])
def test_a_parameter_that_is_anothers_or_damaged_is_named(account, deployment, value):
    name = contract.parameter_name(deployment.name)
    account.client("ssm").put_parameter(Name=name, Value=value, Type="String", Overwrite=True)
    with pytest.raises(ConfigurationError, match=f"parameter {name} does not hold") as error:
        discover(account, deployment.name)
    assert "make deploy" in error.value.next_step


@pytest.mark.parametrize("value", ["hello", "[]"])
def test_a_table_that_is_damaged_is_named(account, deployment, value):
    name = f"{contract.instance_types_path(deployment.name)}/0"
    account.client("ssm").put_parameter(Name=name, Value=value, Type="String", Overwrite=True)
    with pytest.raises(ConfigurationError, match=f"parameter {name} does not hold"):
        discover(account, deployment.name)


def test_no_credentials_at_all(aws, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    with pytest.raises(ConfigurationError, match="no AWS credentials") as error:
        discover(Account(), "main")
    assert "aws configure" in error.value.next_step


def test_no_region(aws, monkeypatch):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    with pytest.raises(ConfigurationError, match="No AWS region"):
        discover(Account(), "main")


def test_the_region_may_come_from_the_environment_as_for_aws_s_own_command_line(aws, monkeypatch):
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert Account().region == "us-east-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert Account().region == "us-east-1"
    assert Account(region="ap-south-1").region == "ap-south-1"


def test_a_profile_that_does_not_exist(aws):
    with pytest.raises(ConfigurationError, match="nobody") as error:
        discover(Account(profile="nobody"), "main")
    assert "list-profiles" in error.value.next_step


def test_a_program_is_shown_its_own_frames_and_none_of_aws_s_library(aws, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # the discard port: nobody listens
    monkeypatch.setattr("fanfold.stores.aws.account._ATTEMPTS", 1)
    fanfold.configure(deployment="main")
    for ask in (lambda: fanfold.submit(abs, [1]), fanfold.get_jobs, lambda: fanfold.get_job("-")):
        with pytest.raises(StoreUnavailable) as caught:
            ask()
        shown = "".join(traceback.format_exception(caught.value))
        assert "EndpointConnectionError: Could not connect" in shown
        assert "start what AWS_ENDPOINT_URL names (`make cloud`" in shown
        assert set(re.findall(r'File "(.*?)", line', shown)) <= {__file__, *_of_public_functions()}


def _of_public_functions():
    from fanfold import settings
    from fanfold.api import submit

    return settings.__file__, submit.__file__


def test_a_place_that_does_not_answer(aws, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("fanfold.stores.aws.account._ATTEMPTS", 1)
    with pytest.raises(StoreError, match="did not answer ssm:GetParameter"):
        discover(Account(), "main")


def refused(code, message="", operation="GetItem", status=400):
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation)


REFUSALS = [
    (refused("ExpiredTokenException"), SignInNeeded, "expired", "sign in again"),
    (refused("UnrecognizedClientException"), SignInNeeded, "does not accept", "get-caller-identity"),
    (
        refused(
            "AccessDeniedException",
            "User: arn:aws:iam::1:user/a is not authorized to perform: dynamodb:Query on resource: arn:aws:dynamodb:t",
            "Query",
        ),
        ConfigurationError,
        "dynamodb:Query on arn:aws:dynamodb:t",
        "UserPolicy",
    ),
    (refused("403", "Forbidden", "HeadObject"), ConfigurationError, "s3:GetObject on the-bucket", "UserPolicy"),
    (refused("ResourceNotFoundException"), DeploymentGone, "the-bucket does not exist", "region"),
    (refused("ProvisionedThroughputExceededException"), StoreUnavailable, "throttling", "wait a minute"),
    (refused("SomethingElse", status=429), StoreUnavailable, "throttling", "wait a minute"),
    (refused("InternalServerError", status=500), StoreUnavailable, "failed", "again"),
    (NoCredentialsError(), SignInNeeded, "no AWS credentials", "aws configure"),
    (ProfileNotFound(profile="x"), ConfigurationError, "x", "list-profiles"),
]


@pytest.mark.parametrize(("error", "kind", "says", "next_step"), REFUSALS)
def test_each_refusal_says_which_action_on_which_resource_and_what_to_do(error, kind, says, next_step):
    service = "s3" if "HeadObject" in str(error) else "dynamodb"
    told = explain(error, service, "get_item", "the-bucket")
    assert type(told) is kind
    assert says in told.message
    assert next_step in told.next_step


def test_a_denied_call_names_the_action_through_the_whole_stack(account, deployment):
    def deny(**_):
        raise refused("AccessDeniedException", "is not authorized to perform: ssm:GetParameter on resource: p", "x")

    events = account.client("ssm").meta.events
    events.register("before-call.ssm.GetParameter", deny)
    try:
        with pytest.raises(ConfigurationError, match="may not do ssm:GetParameter on p"):
            discover(account, deployment.name)
    finally:
        events.unregister("before-call.ssm.GetParameter", deny)
