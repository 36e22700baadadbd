"""The synthesised roles and the user policy suffice for every call that clients and runtime make, and no further."""

from __future__ import annotations

import pytest

import fanfold
from fanfold.errors import ConfigurationError
from fanfold.stores.state import read_state
from tests.cloud.permissions import USER_KEY


@pytest.fixture
def permitted(on_cloud, monkeypatch):
    """The cloud with its policies enforced, and this process a person who has the user policy."""
    from fanfold.engines import aws
    from fanfold.stores.aws.account import Account

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", USER_KEY)
    account = Account()
    monkeypatch.setattr(aws, "Account", lambda **_: account)
    on_cloud.enforce_permissions()
    yield on_cloud
    on_cloud.enforce_permissions()  # what a test has taken out of a policy is in it again


@fanfold.udf
def double(x: int, size: int = 0, salt: int = 0):
    print("doubling", x)
    return 2 * x if not size else bytes(size)


@fanfold.udf
def naps(x: int):
    import time

    time.sleep(60)


@fanfold.udf
def reads(bucket: str):
    import boto3

    return boto3.client("s3").get_object(Bucket=bucket, Key="scene.tif")["Body"].read()


#: What each path's state machine does in a job that goes well, and at the end of one that is cancelled.
BY_STATE_MACHINES = {
    ("Fanoutexpress", "lambda:InvokeFunction"),
    ("Fanoutdistributed", "s3:GetObject"),
    ("Fanoutdistributed", "states:StartExecution"),
    ("Fanoutdistributed", "lambda:InvokeFunction"),
    *(("Fanoutdedicated", f"batch:{name}") for name in ("SubmitJob", "TagResource", "DescribeJobs", "TerminateJob")),
    ("Fanoutdedicated", "events:PutRule"),
}


def asked_by(cloud):
    """Who has asked for what, by the beginning of the role's or policy's name in the template."""
    return {(whose.partition("Role")[0] if whose[0] == "F" else whose, what) for whose, what in cloud.permissions()[0]}


def test_whatever_clients_the_runtime_and_state_machines_do_is_allowed_to_them(permitted, eventually):
    assert fanfold.run(double, x=2, engine="aws") == 4
    job = fanfold.submit(double, range(45), collect=False).wait()
    assert job.results() == [2 * x for x in range(45)]
    assert "doubling" in str(job.logs())
    wide = fanfold.submit(double, range(3), salt=1, max_workers=2, collect=False).wait()
    assert wide.counts() == {"succeeded": 3}
    large = fanfold.submit(double, [1], size=20_000_000, instance_type="small", collect=False).wait()
    assert len(large.results()[0]) == 20_000_000
    assert fanfold.get_jobs(limit=5)
    napping = fanfold.submit(naps, range(2), instance_type="small", collect=False)
    napping.cancel()
    assert large.verify()
    eventually(lambda: ("Fanoutdedicated", "batch:TerminateJob") in asked_by(permitted))
    asked, refused = asked_by(permitted), permitted.permissions()[1]
    assert refused == []
    assert asked >= BY_STATE_MACHINES
    assert {("PeopleUser", "lambda:InvokeFunction"), ("PeopleUser", "states:StopExecution")} <= asked
    assert {
        ("RealtimeRole", "dynamodb:BatchWriteItem"),
        ("JobRole", "s3:PutObject"),
        ("JobRole", "dynamodb:Query"),
    } <= asked


def test_a_run_that_goes_on_after_its_time_limit_may_start_its_next_try_itself(permitted, eventually):
    @fanfold.udf(timeout_s=4, max_retry=0, cache_max_age=0)
    def takes_two_tries(x: int):
        import time

        for part in range(2):
            fanfold.step(f"part-{part}", time.sleep, 1.7)
        return x, fanfold.attempt()

    job = fanfold.submit(takes_two_tries, [3], collect=False)
    engine = job.tracker.engine
    eventually(lambda: read_state(engine.stores.log, job.header).done)  # which reads, and starts nothing
    assert fanfold.get_job(job.id).results() == [(3, 2)]
    asked, refused = permitted.permissions()
    assert ("RealtimeRole", "states:StartExecution") in asked
    assert refused == []


def test_a_job_that_outlives_its_retention_is_kept_by_those_who_work_on_it(permitted, monkeypatch):
    from fanfold.engines.base import engine_for
    from fanfold.stores.aws import keeping

    job = fanfold.submit(double, [3], size=20_000, collect=False).wait()
    monkeypatch.setattr(keeping, "_DUE_SHARE", 2.0)
    assert engine_for("aws").stores.keep(job.id)
    assert permitted.permissions()[1] == []


def test_what_the_policy_does_not_allow_is_refused_in_awss_words(permitted):
    permitted.forbid("PeopleUser", "dynamodb:Query")
    with pytest.raises(ConfigurationError, match="dynamodb:Query") as refused:
        fanfold.get_jobs(limit=5)
    assert "UserPolicy" in refused.value.next_step


@pytest.mark.parametrize(
    ("role", "action", "asked"),
    [
        ("Fanoutexpress", "lambda:InvokeFunction", {}),
        ("Fanoutdedicated", "batch:SubmitJob", {"instance_type": "small"}),
    ],
)
def test_what_a_state_machine_s_role_may_not_do_is_the_reason_of_its_runs(permitted, monkeypatch, role, action, asked):
    monkeypatch.setattr("fanfold.engines.aws.paths.executions._LOOK_S", 0.2)
    permitted.scale_waits(0.001)  # the state machine tries again, for it might be a throttle
    permitted.forbid(role, action)
    job = fanfold.submit(double, range(3), salt=2, collect=False, max_retry=0, **asked).wait()
    assert job.status == "Failed"
    assert f"not authorized to perform: {action}" in str(job.errors()[0])
    assert "job role" not in str(job.errors()[0])


def test_a_client_of_fanfold_has_the_operator_policy_with_the_administrator_s_key(on_cloud):
    """In `make cloud` the shell's key is the account's administrator's, as with a person who deploys as well."""
    on_cloud.forbid("PeopleOperator", "dynamodb:Query")
    with pytest.raises(ConfigurationError, match="dynamodb:Query"):
        fanfold.get_jobs(limit=5)
    on_cloud.enforce_permissions()


def test_inside_a_run_the_refusal_names_the_role_and_the_setting_that_allows_the_bucket(permitted):
    permitted.client("s3").create_bucket(Bucket="landsat-of-mine")
    permitted.client("s3").put_object(Bucket="landsat-of-mine", Key="scene.tif", Body=b"pixels")
    job = fanfold.submit(reads, ["landsat-of-mine"], collect=False, max_retry=0).wait()
    error = job.errors()[0]
    assert "AWS refused it to the role that runs have in this deployment" in str(error)
    assert f"/fanfold@{job.header.owner} is not authorized" in str(error)  # the session says whose run it is
    assert 'add "landsat-of-mine" to the deployment\'s setting read_buckets' in error.next_step
