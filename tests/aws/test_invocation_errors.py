"""Every error of Lambda's Invoke has an answer; what a run's end is called follows from its name and its cause."""

from __future__ import annotations

import botocore.session
import pytest

from fanfold.contract.invocation import ERRORS, Answer, answer_to, names
from fanfold.core.models import THROTTLED, RunStatus
from fanfold.stores.aws.failed_executions import classified, machine_failure, was_refused_for_now
from tests.cloud.aws_errors import SUBMIT_THROTTLES, THROTTLE_MESSAGE

#: Of Step Functions' own making: Invoke itself has none of that name.
OF_STEP_FUNCTIONS = {"AWSLambdaException", "SdkClientException", "ClientExecutionTimeoutException"}


def test_every_error_of_invoke_in_botocore_s_model_has_an_answer():
    model = botocore.session.get_session().get_service_model("lambda").operation_model("Invoke")
    assert {shape.name for shape in model.error_shapes} == set(ERRORS) - OF_STEP_FUNCTIONS


@pytest.mark.parametrize("name", names(Answer.THROTTLED, Answer.NOT_READY))
@pytest.mark.parametrize("prefix", ["", "Lambda."])
def test_a_run_that_was_refused_before_it_began_costs_no_try(name, prefix):
    status, error = classified(prefix + name, "why")
    assert status is RunStatus.FAILED
    assert (error.type, error.infrastructure) == (THROTTLED, True)
    assert name in error.message


@pytest.mark.parametrize("name", names(Answer.FINAL))
def test_what_does_not_pass_by_itself_is_not_tried_again(name):
    _, error = classified(f"Lambda.{name}", "why")
    assert error.infrastructure is (name == "ResourceNotFoundException")  # deployed anew: the client looks again


@pytest.mark.parametrize("name", names(Answer.RETRY))
def test_an_error_of_lambda_s_own_is_worth_another_try(name):
    assert classified(f"Lambda.{name}", "why")[1].infrastructure


def test_names_are_known_with_and_without_the_prefix_of_step_functions():
    assert answer_to("Lambda.ENINotReadyException") is answer_to("ENINotReadyException") is Answer.NOT_READY
    assert answer_to("Lambda.SomethingNew") is None


def unknown(message):
    """The cause that Step Functions gives where Lambda's answer has no error type."""
    said = "The cause could not be determined because Lambda did not return an error type. Returned payload: "
    return f'{said}{{"errorMessage":"{message}"}}'


@pytest.mark.parametrize(
    ("name", "cause", "status"),
    [
        ("Lambda.Unknown", unknown("2026-01-01 abc Task timed out after 120.00 seconds"), "timed_out"),
        ("Sandbox.Timedout", "RequestId: abc Error: Task timed out after 120.00 seconds", "timed_out"),
        ("States.Timeout", "", "timed_out"),
        ("Lambda.Unknown", unknown("RequestId: abc Error: Runtime exited with error: signal: killed"), "out_of_memory"),
        ("Runtime.ExitError", "RequestId: abc Error: Runtime exited with error: signal: killed", "out_of_memory"),
        ("Runtime.OutOfMemory", "", "out_of_memory"),
        ("Runtime.ExitError", "RequestId: abc Error: Runtime exited with error: exit status 137", "out_of_memory"),
        ("Extension.Crash", "RequestId: abc Error: exit status 1", "failed"),
        ("Lambda.Unknown", unknown("RequestId: abc Process exited before completing request"), "failed"),
        ("Lambda.Unknown", unknown("RequestId: abc Error: Runtime exited with error: exit status 1"), "failed"),
        ("Runtime.ExitError", "RequestId: abc Error: Runtime exited with error: signal: segmentation fault", "failed"),
    ],
)
def test_one_name_stands_for_several_ends_and_the_cause_tells_which(name, cause, status):
    told, error = classified(name, cause)
    assert told is RunStatus(status)
    assert error.infrastructure is (status == "failed")


@pytest.mark.parametrize(
    ("cause", "says"),
    [
        (
            '{"Status":"FAILED","Attempts":[{"Container":{"ExitCode":137,"Reason":"OutOfMemoryError: Container killed'
            ' due to memory usage"},"StatusReason":"Essential container in task exited"}]}',
            "its container used up its memory (Essential container in task exited; OutOfMemoryError: Container killed"
            " due to memory usage; exit code 137)",
        ),
        (
            '{"Status":"FAILED","Attempts":[{"Container":{"Reason":"CannotPullContainerError: pull image manifest"},'
            '"StatusReason":"Task failed to start"}]}',
            "the image could not be pulled (Task failed to start; CannotPullContainerError: pull image manifest)",
        ),
        (
            '{"Status":"FAILED","StatusReason":"Host EC2 (instance i-1) terminated."}',
            "its host was lost, as after a Spot interruption (Host EC2 (instance i-1) terminated.)",
        ),
        (
            '{"Status":"FAILED","StatusReason":"ECS was unable to assume the role arn:aws:iam::1:role/x"}',
            "its job role was refused (ECS was unable to assume the role arn:aws:iam::1:role/x)",
        ),
        (
            '{"Status":"FAILED","Attempts":[{"Container":{"Reason":"CannotPullContainerError: write: no space left on'
            ' device"},"StatusReason":"Task failed to start"}]}',
            "the disk of its host was full: the setting disk_size_gb enlarges it (Task failed to start;"
            " CannotPullContainerError: write: no space left on device)",
        ),
        (
            '{"Status":"FAILED","Attempts":[{"Container":{"Reason":"DockerTimeoutError: Could not transition to'
            ' started; timed out after waiting 4m0s"},"StatusReason":"Task failed to start"}]}',
            "Docker on its host did not answer in time (Task failed to start; DockerTimeoutError: Could not transition"
            " to started; timed out after waiting 4m0s)",
        ),
        (
            '{"Status":"FAILED","Attempts":[{"Container":{"ExitCode":139},"StatusReason":"Essential container in task'
            ' exited"}]}',
            "it crashed in native code (a segmentation fault) (Essential container in task exited; exit code 139)",
        ),
        ('{"Status":"FAILED","StatusReason":"Something new"}', "Something new"),
    ],
)
def test_why_a_machine_ended_is_said_in_batch_s_words_and_ours(cause, says):
    assert machine_failure("States.TaskFailed", cause) == says


def test_a_start_that_batch_throttled_to_the_end_says_so():
    assert machine_failure("Batch.AWSBatchException", "Too Many Requests (Service: AWSBatch)").startswith(
        "AWS Batch throttled the job's start through all retries"
    )


@pytest.mark.parametrize(
    ("name", "cause", "for_now"),
    [
        *((name, THROTTLE_MESSAGE, True) for name in SUBMIT_THROTTLES),
        ("Batch.ThrottledRequest", "", True),
        ("Batch.ClientException", "You have exceeded the request rate: RequestLimitExceeded", True),
        ("Batch.ServerException", "These errors are usually caused by a server issue.", True),
        ("Batch.BatchException", "The service is unavailable (Service: Batch, Status Code: 503)", True),
        ("Batch.SdkClientException", "Unable to execute HTTP request: Connect to batch timed out", True),
        ("Batch.ClientException", "JobQueue fanfold-main-c5-large not found (Service: Batch, Status Code: 400)", False),
        ("Batch.AccessDeniedException", "is not authorized to perform: batch:SubmitJob (Status Code: 403)", False),
        ("States.TaskFailed", '{"StatusReason": "Throttled by its own program"}', False),
    ],
)
def test_what_batch_did_not_take_for_now_is_told_from_what_it_never_will(name, cause, for_now):
    assert was_refused_for_now(name, cause) is for_now


NOT_ITS_OWN = "User: arn:aws:sts::1:assumed-role/express/fanfold is not authorized to perform: lambda:InvokeFunction on"


@pytest.mark.parametrize(
    ("name", "cause", "kind", "again", "next_step"),
    [
        ("Lambda.AWSLambdaException", "Rate exceeded (Service: AWSLambda)", THROTTLED, True, ""),
        ("Lambda.RequestLimitExceeded", "Request limit exceeded.", THROTTLED, True, ""),
        ("Lambda.AWSLambdaException", NOT_ITS_OWN, "Lambda.AWSLambdaException", True, "has another function by now"),
        ("AccessDeniedException", NOT_ITS_OWN, "AccessDeniedException", True, "has another function by now"),
        ("Lambda.ResourceNotFoundException", "", "Lambda.ResourceNotFoundException", True, "another function"),
        ("Lambda.ServiceException", "", "Lambda.ServiceException", True, "retry()"),
        ("Lambda.KMSDisabledException", "", "Lambda.KMSDisabledException", False, "who runs the deployment"),
        ("Runtime.ImportModuleError", "No module", "Runtime.ImportModuleError", True, "make deploy"),
        ("States.DataLimitExceeded", "", "States.DataLimitExceeded", False, "file in S3"),
        ("ConfigurationError", "There is no secret.\n  Next: set it.", "ConfigurationError", True, "set it."),
    ],
)
def test_what_lambda_failed_at_is_not_told_as_the_udf_s_fault(name, cause, kind, again, next_step):
    _, error = classified(name, cause)
    assert (error.type, error.infrastructure) == (kind, again)
    assert next_step in error.next_step
    assert "Next:" not in error.message
    assert "fix the UDF" not in error.next_step
