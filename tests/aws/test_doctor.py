"""`fanfold.doctor()` where a deployment is named: AWS itself is asked what it allows, and a refusal is told as one."""

from __future__ import annotations

import json

import pytest

import fanfold
from fanfold.contract import cloud as contract
from fanfold.engines.aws.capacity import family_of
from fanfold.errors import ConfigurationError
from tests.aws.account_desk import SERVICES, desk

CLOUD = ["deployment", "records", "function", "concurrency", "queues", "standard vCPUs"]


def offer(account, deployment, **hosts):
    """Have the deployment offer machines: instance types by name, each a host and its vCPUs."""
    lanes = {
        name: {"host": host, "queue": "q", "definition": "d", "vcpus": vcpus} for name, (host, vcpus) in hosts.items()
    }
    path = f"{contract.instance_types_path(deployment.name)}/0"
    account.client("ssm").put_parameter(Name=path, Value=json.dumps(lanes), Type="String", Overwrite=True)


def publish(account, deployment, **changed):
    """Have the deployment publish another descriptor."""
    name, told = contract.parameter_name(deployment.name), {**deployment.descriptor, **changed}
    account.client("ssm").put_parameter(Name=name, Value=json.dumps(told), Type="String", Overwrite=True)


@pytest.fixture
def aws_says(account, deployment, monkeypatch):
    """What AWS answers of this account: change it, then ask the doctor."""
    offer(account, deployment, small=("c5.large", 2))
    with desk() as answers:
        for service in SERVICES:
            monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", answers.address)
        fanfold.configure(deployment=deployment.name)
        yield answers


def diagnosed():
    """Checks of the cloud by what they looked at."""
    checks = {check.what: check for check in fanfold.doctor(show=False).checks}
    return {what: check for what, check in checks.items() if what in CLOUD or what.endswith("vCPUs")}


def test_a_deployment_in_order_in_an_account_with_room(aws_says):
    found = diagnosed()
    assert list(found) == CLOUD
    assert {check.verdict for check in found.values()} == {"ok"}
    assert "2 functions, 1 instance types, Python 3.12 on x86_64" in found["deployment"].found
    assert "is active, with 4,096 MiB" in found["function"].found
    assert found["concurrency"].found == "1,000 realtime runs at once in this account, 900 of them unreserved"
    assert found["queues"].found == "1 queues of machines are open and in order"
    assert found["standard vCPUs"].found == "5 at once, on demand; the largest machine has 2"


def test_a_new_account_is_told_what_it_is_held_to_and_how_to_get_more(aws_says):
    """10 functions at once, of 3,008 MB (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html)."""
    aws_says.concurrency = aws_says.unreserved = 10
    check = diagnosed()["concurrency"]
    assert (check.verdict, check.found.split()[0]) == ("warn", "10")
    assert "L-B99A9384" in check.next_step
    assert "3,008 MB" in check.next_step
    assert fanfold.doctor(show=False).ok


def test_what_the_deployment_has_reserved_is_what_it_has(aws_says, account, deployment):
    limits = {**deployment.descriptor["limits"], "concurrency": 400}
    publish(account, deployment, limits=limits)
    check = diagnosed()["concurrency"]
    assert (check.verdict, check.found.split()[0]) == ("ok", "400")


def test_machines_that_the_quota_of_vcpus_has_no_room_for_are_named(aws_says, account, deployment):
    offer(account, deployment, small=("c5.large", 2), large=("r5.16xlarge", 64), ultra=("x2idn.16xlarge", 64))
    aws_says.quotas = {"L-1216C47A": 32.0, "L-7295265B": 0.0}
    found = diagnosed()
    assert found["standard vCPUs"].verdict == found["x vCPUs"].verdict == "warn"
    assert found["standard vCPUs"].found == "32 at once, on demand: no room for large"
    assert found["x vCPUs"].found == "0 at once, on demand: no room for ultra"
    assert "(EC2, L-7295265B)" in found["x vCPUs"].next_step


def test_spot_machines_have_a_quota_of_their_own(aws_says, account, deployment):
    publish(account, deployment, spot=True)
    aws_says.quotas = {"L-34B43A08": 1.0}
    check = diagnosed()["standard vCPUs"]
    assert (check.verdict, check.found) == ("warn", "1 at once, Spot: no room for small")


@pytest.mark.parametrize(
    ("host", "family"),
    [
        ("c5.large", "standard"),
        ("m7i-flex.large", "standard"),
        ("m7g.large", "standard"),
        ("x2idn.16xlarge", "x"),
        ("g5.xlarge", "g"),
        ("vt1.3xlarge", "g"),
        ("p4d.24xlarge", "p"),
        ("inf2.xlarge", None),
        ("mac1.metal", None),
    ],
)
def test_each_machine_counts_against_the_quota_of_its_family(host, family):
    assert family_of(host) == family


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"queue": {"state": "DISABLED", "status": "VALID"}}, "it is closed"),
        ({"queue": {"state": "ENABLED", "status": "INVALID", "statusReason": "no such role"}}, "no such role"),
        ({"machines": {"status": "INVALID", "statusReason": "CLIENT_ERROR - no such subnet"}}, "no such subnet"),
    ],
)
def test_queues_that_can_start_no_machine_are_told_with_batch_s_reason(aws_says, changed, says):
    for name, value in changed.items():
        setattr(aws_says, name, value)
    check = diagnosed()["queues"]
    assert check.verdict == "warn"
    assert says in check.found


def test_without_a_way_to_the_records_nothing_goes(aws_says, account, deployment):
    account.client("s3").delete_bucket(Bucket=deployment.bucket)
    account.client("dynamodb").delete_table(TableName=deployment.table)
    check = diagnosed()["records"]
    assert check.verdict == "fail"
    assert f"table {deployment.table} does not exist" in check.found
    assert not fanfold.doctor(show=False)


def test_a_function_that_lambda_cannot_start_fails(aws_says):
    aws_says.function = {"MemorySize": 4096, "State": "Failed", "StateReason": "The image is gone"}
    check = diagnosed()["function"]
    assert (check.verdict, check.next_step) == ("fail", "deploy again: `make deploy`.")
    assert "The image is gone" in check.found


@pytest.mark.parametrize("state", ["Inactive", "Pending"])
def test_a_function_that_sleeps_is_told_as_such_and_what_that_means(aws_says, state):
    aws_says.function = {"MemorySize": 4096, "State": state}
    check = diagnosed()["function"]
    assert check.verdict == "warn"
    assert "AWS puts functions to sleep" in check.found
    assert "wakes it up" in check.next_step


def test_a_function_of_less_memory_than_was_announced_is_a_warning(aws_says):
    aws_says.function = {"MemorySize": 3008, "State": "Active"}
    check = diagnosed()["function"]
    assert (check.verdict, "not 4,096 MiB" in check.found) == ("warn", True)


def test_what_may_not_be_asked_is_a_warning_and_the_rest_is_asked(aws_says):
    aws_says.denied = {"GetServiceQuota", "account_settings"}
    found = diagnosed()
    assert [what for what, check in found.items() if check.verdict == "warn"] == ["concurrency", "standard vCPUs"]
    assert "lambda:GetAccountSettings" in found["concurrency"].found
    assert "servicequotas:GetServiceQuota" in found["standard vCPUs"].found
    assert "UserPolicy" in found["standard vCPUs"].next_step


def test_a_deployment_that_is_not_there_fails_and_the_account_is_told_of_all_the_same(aws_says):
    """Its limits may be why the deploy has failed."""
    aws_says.concurrency = 10
    fanfold.configure(deployment="nowhere")
    found = diagnosed()
    assert list(found) == ["deployment", "concurrency"]
    assert found["deployment"].verdict == "fail"
    assert "no deployment 'nowhere' in us-east-1" in found["deployment"].found
    assert "make deploy" in found["deployment"].next_step
    assert not fanfold.doctor(show=False)


def test_before_a_deploy_it_is_told_whether_there_is_room_for_one(aws_says):
    """A region has 5 VPCs and 50 queues by default, which no deploy says before it fails."""
    fanfold.configure(deployment="nowhere")
    found = {check.what: check for check in fanfold.doctor(show=False).checks}
    assert (found["VPCs"].verdict, found["Batch queues"].verdict) == ("ok", "ok")
    aws_says.quotas, aws_says.queues_there = {"L-F678F1CE": 0.0}, 45
    found = {check.what: check for check in fanfold.doctor(show=False).checks}
    assert (found["VPCs"].verdict, found["Batch queues"].verdict) == ("warn", "warn")
    assert "vpc_id" in found["VPCs"].next_step
    assert "45 of 50" in found["Batch queues"].found


def test_without_credentials_that_is_the_one_thing_told(aws_says, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    found = diagnosed()
    assert list(found) == ["deployment"]
    assert "aws configure" in found["deployment"].next_step
    assert aws_says.asked == []


def test_aws_that_does_not_answer_is_one_clear_line_and_this_machine_is_looked_at_all_the_same(aws_says, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # the discard port: nobody listens
    checks = fanfold.doctor(show=False).checks
    assert [check.what for check in checks[-2:]] == ["optional packages", "deployment"]
    assert checks[-1].verdict == "fail"
    assert "AWS did not answer ssm:GetParameter" in checks[-1].found
    assert "start what AWS_ENDPOINT_URL names (`make cloud`" in checks[-1].next_step
    assert aws_says.asked == []


@pytest.mark.parametrize(
    "service", ["ssm", *(pytest.param(one, marks=pytest.mark.long) for one in ("dynamodb", "lambda", "batch"))]
)
def test_of_a_proxy_s_page_nothing_is_printed_but_that_it_came(on_cloud, monkeypatch, service):
    monkeypatch.setattr("fanfold.stores.aws.account._PAGE_PAUSES_S", ())
    on_cloud.refuse("page", service, times=500)
    diagnosis = str(fanfold.doctor(show=False))
    assert on_cloud.end_faults() < 500
    assert "A web page came back" in diagnosis
    assert "<html" not in diagnosis.lower()
    assert "<!doctype" not in diagnosis.lower()


def test_without_boto3_the_line_says_what_to_install(aws_says, monkeypatch):
    monkeypatch.setattr("fanfold.diagnosis.deployment.find_spec", lambda _: None)
    check = diagnosed()["deployment"]
    assert (check.verdict, check.next_step) == ("fail", "pip install 'fanfold[aws]'")


def test_without_a_deployment_nobody_is_asked(aws, home):
    assert [check.what for check in fanfold.doctor(show=False).checks][-1] == "optional packages"


def test_a_synthesised_deployment_is_found_in_order(on_cloud):
    """The table, the bucket, the function and the machines that the templates make, as moto tells of them."""
    found = diagnosed()
    made = ("deployment", "records", "function", "queues")
    assert {what: found[what].verdict for what in made} == dict.fromkeys(made, "ok")


def test_the_error_says_which_permission_is_missing(aws_says):
    from fanfold.engines.aws.capacity import vcpu_quota
    from fanfold.stores.aws.account import Account

    aws_says.denied = {"GetAWSDefaultServiceQuota"}
    with pytest.raises(ConfigurationError, match="servicequotas:GetAWSDefaultServiceQuota on quota L-1216C47A"):
        vcpu_quota(Account(patient=False), "standard", spot=False)
