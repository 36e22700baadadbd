"""Lambda and Batch as AWS runs them: environments, throttles, kills; arrays, retries, machines that go away."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

import fanfold
from fanfold.contract.cloud import EXIT_GIVEN_BACK
from tests.cloud.functions import Configuration, Functions
from tests.cloud.udfs import begun, held, squared

ARRAY = "import os, pathlib; pathlib.Path(os.environ['OUT'], os.environ['AWS_BATCH_JOB_ARRAY_INDEX']).touch()"
ATTEMPTS = """
import os, pathlib, sys, time
attempt = os.environ['AWS_BATCH_JOB_ATTEMPT']
pathlib.Path(os.environ['OUT'], attempt).touch()
while attempt == '1' and os.environ.get('WAIT'):
    time.sleep(0.01)
sys.exit(int(os.environ.get('CODE', 0)) if attempt == '1' else 0)
"""


def submitted(cloud, folder, program, **more):
    """A job of the deployed definition for small machines, with another command."""
    environment = {"OUT": str(folder), **more.pop("environment", {})}
    pairs = [{"name": name, "value": value} for name, value in environment.items()]
    batch = cloud.client("batch")
    return batch.submit_job(
        jobName="job",
        jobQueue="fanfold-main-c5-large",
        jobDefinition="fanfold-main-small",
        containerOverrides={"command": ["python", "-c", program], "environment": pairs},
        **more,
    )["jobId"]


def described(cloud, job):
    (found,) = cloud.client("batch").describe_jobs(jobs=[job])["jobs"]
    return found


@pytest.fixture
def ended(cloud, eventually):
    """Waits for a job's end, and describes it."""

    def wait(job):
        eventually(lambda: described(cloud, job)["status"] in ("SUCCEEDED", "FAILED"))
        return described(cloud, job)

    return wait


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# --- Lambda ---------------------------------------------------------------------------------------


def invoked(cloud, payload):
    answer = cloud.client("lambda").invoke(FunctionName="fanfold-main-run-0", Payload=json.dumps(payload))
    return answer.get("FunctionError"), json.loads(answer["Payload"].read())


def test_an_error_of_the_handler_is_told_as_lambda_tells_it(on_cloud):
    job = {"id": "20260101-000000-none-0000", "expires_at": 0}
    run = {"index": 0, "attempt": 0, "shard": 0, "function": "f", "key": "k", "arguments": {"text": "{}"}}
    kind, told = invoked(on_cloud, {"job": job, "run": run})
    assert (kind, told["errorType"]) == ("Unhandled", "JobNotFound")
    assert told["stackTrace"]


def test_beyond_the_concurrency_calls_are_throttled(on_cloud):
    on_cloud.limit_concurrency(0)
    with pytest.raises(ClientError, match="TooManyRequestsException") as refused:
        invoked(on_cloud, {})
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429


def test_six_megabytes_is_what_a_call_takes(on_cloud):
    with pytest.raises(ClientError, match="RequestTooLargeException"):
        invoked(on_cloud, {"text": "x" * 6_300_000})


@pytest.mark.parametrize(("size", "error"), [(6_291_000, None), (7_000_000, "Function.ResponseSizeTooLarge")])
def test_six_megabytes_is_what_an_answer_takes(tmp_path, size, error):
    plain = Configuration({}, "tests.aws.plain_function.handler", timeout_s=60, memory_mib=128)
    functions = Functions(lambda name: plain, folder=tmp_path, environment={})
    try:
        answer = functions.invoke("plain", json.dumps({"size": size}).encode())
    finally:
        functions.close()
    assert answer.error == error
    assert ("maximum allowed payload size" in answer.payload.get("errorMessage", "")) == bool(error)


def test_other_ways_to_invoke_are_refused(on_cloud):
    with pytest.raises(ClientError, match=r"does not emulate invocations of the type DryRun"):
        on_cloud.client("lambda").invoke(FunctionName="fanfold-main-run-0", InvocationType="DryRun", Payload="{}")


# --- Batch ----------------------------------------------------------------------------------------


def test_each_child_of_an_array_knows_its_number(cloud, tmp_path, ended):
    job = submitted(cloud, tmp_path, ARRAY, arrayProperties={"size": 5})
    assert ended(job)["status"] == "SUCCEEDED"
    assert names(tmp_path) == list("01234")
    assert described(cloud, f"{job}:3")["arrayProperties"] == {"index": 3}


def test_an_array_fails_with_one_of_its_children(cloud, tmp_path, ended):
    program = "import os, sys; sys.exit(os.environ['AWS_BATCH_JOB_ARRAY_INDEX'] == '1')"
    found = ended(submitted(cloud, tmp_path, program, arrayProperties={"size": 3}))
    assert (found["status"], found["statusReason"]) == ("FAILED", "Array Child Job failed")
    assert found["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 2


def test_only_parents_are_listed(cloud, tmp_path, ended):
    job = submitted(cloud, tmp_path, "", arrayProperties={"size": 2})
    ended(job)
    by_name = [{"name": "JOB_NAME", "values": ["job"]}]
    listed = cloud.client("batch").list_jobs(jobQueue="fanfold-main-c5-large", filters=by_name)["jobSummaryList"]
    assert job in {one["jobId"] for one in listed}
    assert not [one for one in listed if ":" in one["jobId"]]


@pytest.mark.parametrize(("code", "attempts"), [(EXIT_GIVEN_BACK, ["1", "2"]), (1, ["1"])])
def test_the_definition_says_which_exits_are_tried_again(cloud, tmp_path, ended, code, attempts):
    job = submitted(cloud, tmp_path, ATTEMPTS, environment={"CODE": str(code)})
    assert ended(job)["status"] == ("SUCCEEDED" if len(attempts) == 2 else "FAILED")
    assert names(tmp_path) == attempts


def test_a_lost_machine_is_replaced(cloud, tmp_path, ended, eventually):
    job = submitted(cloud, tmp_path, ATTEMPTS, environment={"WAIT": "1"})
    eventually(lambda: names(tmp_path) == ["1"])
    assert cloud.lose_machines() == 1
    assert ended(job)["status"] == "SUCCEEDED"
    assert names(tmp_path) == ["1", "2"]


def test_a_terminated_job_is_told_to_stop_and_not_tried_again(cloud, tmp_path, ended, eventually):
    job = submitted(cloud, tmp_path, ATTEMPTS, environment={"WAIT": "1"})
    eventually(lambda: names(tmp_path) == ["1"])
    cloud.client("batch").terminate_job(jobId=job, reason="enough")
    found = ended(job)
    assert (found["status"], found["statusReason"]) == ("FAILED", "enough")
    assert names(tmp_path) == ["1"]


def test_overrides_hold_8192_characters(cloud, tmp_path):
    with pytest.raises(ClientError, match="8192"):
        submitted(cloud, tmp_path, "", environment={"LONG": "x" * 8192})


# --- Limits of the stores -------------------------------------------------------------------------


def test_an_item_holds_400_kb(cloud):
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""
    table = cloud.client("dynamodb").list_tables()["TableNames"][0]
    item = {"pk": {"S": "large"}, "sk": {"S": "item"}, "data": {"S": "x" * 410_000}}
    with pytest.raises(ClientError, match="Item size"):
        cloud.client("dynamodb").put_item(TableName=table, Item=item)


def test_an_execution_takes_256_kib(cloud):
    """https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""
    machine = "arn:aws:states:us-east-1:123456789012:stateMachine:fanfold-main-express"
    with pytest.raises(ClientError, match="ValidationException"):
        cloud.client("stepfunctions").start_execution(stateMachineArn=machine, input=json.dumps("x" * 262_144))


def test_a_history_is_refused_and_not_made_up(cloud):
    arn = "arn:aws:states:us-east-1:123456789012:execution:fanfold-main-distributed:any"
    with pytest.raises(ClientError, match="does not emulate the history"):
        cloud.client("stepfunctions").get_execution_history(executionArn=arn)


@pytest.mark.parametrize("where", [{}, {"max_workers": 40}, {"instance_type": "small"}], ids=str)
def test_what_still_runs_is_ended_before_all_is_forgotten(on_cloud, eventually, tmp_path, where):
    """Else it would write into the table, and into the cache, of the test that comes next."""
    job = fanfold.submit(held, range(50), folder=str(tmp_path), collect=False, **where)
    eventually(lambda: begun(tmp_path))
    on_cloud.forget()
    (tmp_path / "go").touch()
    tables = on_cloud.client("dynamodb")
    (table,) = tables.list_tables()["TableNames"]
    assert fanfold.submit(squared, range(3), collect=False).results() == [0, 1, 4]
    assert job.id not in str(tables.scan(TableName=table)["Items"])


def test_a_fault_meets_so_many_requests_of_its_service_alone(on_cloud):
    on_cloud.refuse("throttle", "dynamodb", times=2)
    on_cloud.client("s3").list_buckets()
    answer = on_cloud.client("dynamodb").list_tables()
    assert answer["ResponseMetadata"]["RetryAttempts"] == 2
    on_cloud.refuse("throttle", "dynamodb", times=3)
    assert on_cloud.end_faults() == 3
