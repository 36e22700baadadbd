"""What AWS's errors mean to those who meet them: which action on which resource failed, why, and what to do.

Every error of botocore goes through `explain`: `tests/aws/test_failures.py` holds that for all classes that it has.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from fanfold.core.refusals import refusal_in
from fanfold.errors import ConfigurationError, DeploymentGone, FanfoldError, SignInNeeded, StoreError, StoreUnavailable

_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_UNKNOWN_KEYS = {
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "AuthFailure",
    "IncompleteSignature",
    "InvalidToken",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "InvalidIdentityToken",
    "IDPRejectedClaim",
}
#: What AWS says of the time of a request that a wrong clock has signed
#: (https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html).
_CLOCK_CODES = {"RequestTimeTooSkewed", "RequestInTheFuture"}
_CLOCK_WORDS = re.compile(r"Signature (expired|not yet current)|difference between the request time", re.I)
_DENIED = re.compile(r"(KMS\.?)?Access_?Denied|Unauthorized|^NotAuthorized|^403$|^Forbidden|^OptInRequired$", re.I)
_GONE = {
    "ResourceNotFoundException",
    "NoSuchBucket",
    "StateMachineDoesNotExist",
    "StateMachineDeleting",
    "ParameterNotFound",
    "TableNotFoundException",
}
_THROTTLED = re.compile(
    r"Throttl|TooManyRequests|SlowDown|RequestLimitExceeded|ProvisionedThroughputExceeded|BandwidthLimitExceeded|Rate",
    re.I,
)
#: Batch, for one, has no code of its own for it, but these words.
_THROTTLE_WORDS = re.compile(r"Too ?Many ?Requests|Rate exceeded|reduce your request rate|Throttling", re.I)
#: What passes by itself and comes with a status of 4xx all the same
#: (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html,
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html,
#: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html,
#: https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html).
_PASSES = re.compile(
    r"^(RequestTimeout|IncompleteBody|BadDigest|XAmzContent|OperationAborted|ConditionalRequestConflict|IDPCommunication"
    r"|PriorRequestNotComplete|TransactionConflict|TransactionInProgress|LimitExceededException|ExecutionLimitExceeded"
    r"|Internal|Service(Unavailable|Exception|Error)|ServerException|DependencyTimeout|KeyUnavailable|KMSInternal)",
    re.I,
)
_SAYS = re.compile(r"not authorized to perform:? (?P<action>[\w:]+)(?: on resource:? (?P<resource>[^\s]+))?")
_HTML = re.compile(r"<!doctype html|<html|<head[ >]|<body[ >]", re.I)

#: IAM's name for an operation, where it is not the operation's own.
_ACTIONS = {
    "s3:HeadObject": "s3:GetObject",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:UploadPart": "s3:PutObject",
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:CopyObject": "s3:PutObject",
    "s3:UploadPartCopy": "s3:PutObject",
    "lambda:Invoke": "lambda:InvokeFunction",
}
_PREFIXES = {"stepfunctions": "states", "service-quotas": "servicequotas"}


#: What to do where no policy allows it.
USER_POLICY = "attach the deployment's user policy (the stack's output UserPolicy) to the identity in use."

#: Classes of botocore that tell of credentials that are not there, or no longer good.
_SIGN_IN = ("NoCredentials", "PartialCredentials", "CredentialRetrieval", "SSO", "Token", "Login", "RefreshWithMFA")
#: What else botocore raises where AWS has not answered: how the class's name begins, what it becomes, what it says.
_UNANSWERED: tuple[tuple[tuple[str, ...], type[FanfoldError], str, str], ...] = (
    (
        ("ProfileNotFound",),
        ConfigurationError,
        "{said}.",
        "`aws configure list-profiles` lists those there are; choose one with configure(profile=...).",
    ),
    (
        ("NoRegionError", "InvalidRegionError"),
        ConfigurationError,
        "No AWS region is set that there can be: {said}.",
        "set AWS_REGION, or call configure(region=...), such as eu-central-1.",
    ),
    (
        ("ProxyConnectionError",),
        StoreUnavailable,
        "The proxy did not let {action} on {on} through: {said}.",
        "check HTTPS_PROXY and NO_PROXY, and whether the proxy wants a password.",
    ),
    (
        ("SSLError",),
        StoreUnavailable,
        "The connection for {action} on {on} is not one to AWS: {said}.",
        "where a company's proxy opens TLS, set AWS_CA_BUNDLE to its certificate.",
    ),
    (
        (
            *("Config", "Invalid", "Unknown", "MissingDependency", "Unsupported", "EndpointProvider", "InfiniteLoop"),
            "ValueError",
        ),
        ConfigurationError,
        "The AWS configuration of this machine does not allow {action} on {on}: {said}.",
        "check ~/.aws/config and the AWS_... variables; `aws configure list` shows what is in use.",
    ),
)


def explain(error: Exception, service: str, operation: str, on: str) -> FanfoldError:
    """Fanfold's error for any of botocore's; `on` names the resource that the call was about."""
    response: Mapping[str, Any] = getattr(error, "response", None) or {}
    action = _action(service, getattr(error, "operation_name", operation) or operation)
    if _HTML.search(str(error)):
        return answered_by_a_page(service, operation, on)
    if not response:
        return _never_answered(error, action, on)
    failure = _refused(error, action, on)
    if isinstance(failure, ConfigurationError) or type(failure) is StoreError:
        failure.refused = True  # of a call that AWS has answered with a 4xx that stays so, nothing has come
    return failure


def _refused(error: Exception, action: str, on: str) -> FanfoldError:
    code = error_code(error)
    if code in _CLOCK_CODES or _CLOCK_WORDS.search(str(error)):
        return _clock_is_wrong(error, action)
    if code in _EXPIRED | _UNKNOWN_KEYS:
        return _signed_in_wrongly(code, action, on)
    if _DENIED.search(code):
        return _denied(str(error), action, on)
    if code in _GONE:
        return DeploymentGone(
            f"{on} does not exist for these credentials in this region ({action} answered {code}).",
            next_step="check the region and the account, or whether the deployment has been removed.",
        )
    return _failed(error, code, action, on)


def error_code(error: Exception) -> str:
    """AWS's name for an error; nothing where AWS did not answer."""
    response: Mapping[str, Any] = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def is_throttle(code: str, status: int, words: str) -> bool:
    """Whether AWS has refused a call for now, by what it calls that: nothing has come of it, whatever the status."""
    return bool(_THROTTLED.search(code) or status == 429 or _THROTTLE_WORDS.search(words))


def may_have_signed_in_again(error: Exception) -> bool:
    """Whether other credentials, if there are any by now, might do better."""
    return error_code(error) in _EXPIRED | _UNKNOWN_KEYS or (
        not error_code(error) and type(error).__name__.startswith(_SIGN_IN)
    )


def _failed(error: Exception, code: str, action: str, on: str) -> StoreError:
    response: Mapping[str, Any] = getattr(error, "response", None) or {}
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) or 0)
    if is_throttle(code, status, str(error)):
        throttled = StoreUnavailable(
            f"AWS kept throttling {action} on {on} ({code}) through all retries.",
            next_step="wait a minute: what was recorded is kept (`fanfold doctor` shows the account's limits).",
        )
        throttled.refused = True
        return throttled
    kind = StoreUnavailable if status >= 500 or _PASSES.search(code) else StoreError
    return kind(
        f"{action} on {on} failed: {error}.",
        next_step="try again in a minute; if it stays, ask who runs AWS in your company.",
    )


def _signed_in_wrongly(code: str, action: str, on: str) -> SignInNeeded:
    if code in _EXPIRED:
        return SignInNeeded(
            f"The AWS credentials in use have expired; {action} on {on} was refused.",
            next_step="sign in again (`aws sso login`, or whatever gave you the credentials).",
        )
    return SignInNeeded(
        f"AWS does not accept the credentials in use ({code}); {action} on {on} was refused.",
        next_step="check the keys with `aws sts get-caller-identity`, or choose others: configure(profile=...).",
    )


def _clock_is_wrong(error: Exception, action: str) -> ConfigurationError:
    response: Mapping[str, Any] = getattr(error, "response", None) or {}
    date = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    said = f"; AWS's clock says {date}" if date else ""
    return ConfigurationError(
        f"The clock of this machine is wrong: AWS refused {action} because of when it was signed{said} ({error}).",
        next_step="set the clock (NTP); in a virtual machine or WSL after sleep, restart its time service.",
    )


def is_a_page(answer: Mapping[str, Any]) -> bool:
    """Whether what botocore took for an answer is a web page: AWS's own answers have a request id."""
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    named = "x-amzn-requestid" in headers or "x-amz-request-id" in headers
    return not named and str(headers.get("content-type", "")).startswith("text/html")


def answered_by_a_page(service: str, operation: str, on: str) -> StoreUnavailable:
    """The error where something on the way to AWS has answered in its place."""
    page = f"A web page came back instead of AWS's answer to {_action(service, operation)} on {on}"
    if elsewhere := _named_elsewhere():
        return StoreUnavailable(
            f"{page}: what {elsewhere} names, {os.environ[elsewhere]}, does not know this call.",
            next_step=f"check that address, or unset {elsewhere} to reach AWS itself.",
        )
    return StoreUnavailable(
        f"{page}: a proxy or a sign-in page of the network stands in between.",
        next_step="sign in to the network or the VPN, or set HTTPS_PROXY and NO_PROXY so that AWS can be reached.",
    )


def _named_elsewhere() -> str | None:
    """The variable that has calls go elsewhere than to AWS, such as to the local cloud."""
    return min((name for name in os.environ if name.startswith("AWS_ENDPOINT_URL") and os.environ[name]), default=None)


def _never_answered(error: Exception, action: str, on: str) -> FanfoldError:
    kind, said = type(error).__name__, str(error).rstrip(".")
    if kind.startswith(_SIGN_IN):
        return SignInNeeded(
            f"There are no AWS credentials to call {action} with ({said}).",
            next_step="run `aws configure` or `aws sso login`, set AWS_PROFILE, or call configure(profile=...).",
        )
    if "Invalid header value" in said:  # it goes on with the signature, which is nobody's to read
        return SignInNeeded(
            f"The AWS credentials in use have a line break or another character in them that cannot be sent:"
            f" {action} on {on} was not called.",
            next_step="look at AWS_ACCESS_KEY_ID and AWS_SESSION_TOKEN, or where else the keys come from.",
        )
    for kinds, error_class, message, next_step in _UNANSWERED:
        if kind.startswith(kinds):
            return error_class(message.format(action=action, on=on, said=said), next_step=next_step)
    check = "check the network and the region; what was recorded is kept."
    if elsewhere := _named_elsewhere():
        local = "`make cloud`, where it is the local cloud"
        check = f"start what {elsewhere} names ({local}), or unset it to reach AWS itself."
    return StoreUnavailable(f"AWS did not answer {action} on {on}: {said}.", next_step=check)


def _denied(message: str, action: str, on: str) -> ConfigurationError:
    says = _SAYS.search(message)
    if says:  # AWS's own words beat what can be guessed
        action, on = says["action"], says["resource"] or on
    found = refusal_in(message)
    why = f": {found.who}" if found else ""
    said = f" AWS says: {message.rstrip('.')}." if says or found else ""
    return ConfigurationError(
        f"These credentials may not do {action} on {on}{why}.{said}",
        next_step=found.next_step if found else USER_POLICY,
    )


def _action(service: str, operation: str) -> str:
    camel = "".join(part[:1].upper() + part[1:] for part in operation.split("_")) or "*"
    name = f"{_PREFIXES.get(service, service)}:{camel}"
    return _ACTIONS.get(name, name)
