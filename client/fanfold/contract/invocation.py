"""What each error of Lambda's Invoke means for a run: try again at once, wait, or give up.

`tests/aws/test_invocation_errors.py` holds that every error of Invoke in botocore's model stands here.
https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors
https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html
"""

from collections.abc import Mapping
from enum import Enum


class Answer(Enum):
    """What to do about an error of Invoke."""

    #: As many functions run, or are being started, as may: the run has not begun.
    THROTTLED = "throttled"
    #: The function cannot run yet: it sleeps, was just deployed, or its network is being made. The run has not begun.
    NOT_READY = "not ready"
    #: The service itself failed. The run may have begun.
    RETRY = "retry"
    #: It does not pass by itself.
    FINAL = "final"


_THROTTLED, _NOT_READY, _RETRY, _FINAL = Answer.THROTTLED, Answer.NOT_READY, Answer.RETRY, Answer.FINAL

ERRORS: Mapping[str, Answer] = {
    "TooManyRequestsException": _THROTTLED,
    "EC2ThrottledException": _THROTTLED,
    "ENILimitReachedException": _THROTTLED,
    "SubnetIPAddressLimitReachedException": _THROTTLED,
    # An image function that nobody called for weeks is Inactive; waking it takes 40 to 106 s
    # (https://github.com/aws/aws-cdk/issues/20123, https://github.com/boto/boto3/issues/3788).
    "CodeArtifactUserPendingException": _NOT_READY,
    "CodeArtifactUserDeletedException": _NOT_READY,
    "ResourceConflictException": _NOT_READY,  # "the function is currently in the following state: Pending"
    "ResourceNotReadyException": _NOT_READY,
    "SnapStartNotReadyException": _NOT_READY,
    "ENINotReadyException": _NOT_READY,
    "EFSMountConnectivityException": _NOT_READY,
    "EFSMountFailureException": _NOT_READY,
    "EFSMountTimeoutException": _NOT_READY,
    "S3FilesMountConnectivityException": _NOT_READY,
    "S3FilesMountFailureException": _NOT_READY,
    "S3FilesMountTimeoutException": _NOT_READY,
    "ServiceException": _RETRY,
    "EC2UnexpectedException": _RETRY,
    "EFSIOException": _RETRY,
    "SnapStartTimeoutException": _RETRY,
    # What Step Functions calls errors that it met itself
    # (https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html#bp-lambda-serviceexception).
    "AWSLambdaException": _RETRY,
    "SdkClientException": _RETRY,
    "ClientExecutionTimeoutException": _RETRY,
    "CodeArtifactUserFailedException": _FINAL,
    "DurableExecutionAlreadyStartedException": _FINAL,
    "EC2AccessDeniedException": _FINAL,
    "InvalidParameterValueException": _FINAL,
    "InvalidRequestContentException": _FINAL,
    "InvalidRuntimeException": _FINAL,
    "InvalidSecurityGroupIDException": _FINAL,
    "InvalidSubnetIDException": _FINAL,
    "InvalidZipFileException": _FINAL,
    "KMSAccessDeniedException": _FINAL,
    "KMSDisabledException": _FINAL,
    "KMSInvalidStateException": _FINAL,
    "KMSNotFoundException": _FINAL,
    "ModeNotSupportedException": _FINAL,
    "NoPublishedVersionException": _FINAL,
    "RecursiveInvocationException": _FINAL,
    "RequestTooLargeException": _FINAL,
    "ResourceNotFoundException": _FINAL,
    "RuntimeAliasDeletedException": _FINAL,
    "RuntimeVersionDeletedException": _FINAL,
    "SerializedRequestEntityTooLargeException": _FINAL,
    "ServiceQuotaExceededException": _FINAL,
    "SnapStartException": _FINAL,
    "SnapStartRegenerationFailureException": _FINAL,
    "UnsupportedMediaTypeException": _FINAL,
}

#: Prefix of these names where Step Functions tells of them.
PREFIX = "Lambda."


def answer_to(name: str) -> Answer | None:
    """What to do about an error of that name, with or without Step Functions' prefix; None for one not known here."""
    return ERRORS.get(name.removeprefix(PREFIX))


def names(*answers: Answer) -> list[str]:
    """The errors that have one of these answers, sorted."""
    return sorted(name for name, answer in ERRORS.items() if answer in answers)
