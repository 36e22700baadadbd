"""What AWS's errors mean to whoever met them: which action on which resource failed, and what to do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fanfold.errors import ConfigurationError, FanfoldError, StoreError

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_UNKNOWN_KEYS = {
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "AuthFailure",
    "IncompleteSignature",
}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized", "403", "Forbidden"}
_GONE = {"ResourceNotFoundException", "NoSuchBucket", "StateMachineDoesNotExist", "ParameterNotFound"}
_THROTTLED = re.compile(
    r"Throttl|TooManyRequests|SlowDown|RequestLimitExceeded|ProvisionedThroughputExceeded|Rate", re.I
)
_SAYS = re.compile(r"not authorized to perform:? (?P<action>[\w:]+)(?: on resource:? (?P<resource>[^\s]+))?")

#: IAM's name for an operation, where it is not the operation's own.
_ACTIONS = {
    "s3:HeadObject": "s3:GetObject",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:UploadPart": "s3:PutObject",
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "s3:DeleteObjects": "s3:DeleteObject",
    "lambda:Invoke": "lambda:InvokeFunction",
}
_PREFIXES = {"stepfunctions": "states", "service-quotas": "servicequotas"}


def explained(error: BotoCoreError | ClientError, service: str, operation: str, on: str) -> FanfoldError:
    """Fanfold's error for AWS's; `on` names the resource that the call was about."""
    response: dict[str, Any] = getattr(error, "response", {})
    code = str(response.get("Error", {}).get("Code", ""))
    action = _action(service, getattr(error, "operation_name", operation))
    if not response:
        return _never_answered(error, action, on)
    if code in _EXPIRED | _UNKNOWN_KEYS:
        return _signed_in_wrongly(code, action, on)
    if code in _DENIED:
        return _denied(str(error), action, on)
    if code in _GONE:
        return ConfigurationError(
            f"{on} does not exist for these credentials in this region ({action} answered {code}).",
            next_step="check the region and the account, or whether the deployment has been removed.",
        )
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if _THROTTLED.search(code) or status == 429:
        return StoreError(
            f"AWS kept throttling {action} on {on} ({code}), however long it was tried.",
            next_step="call again in a minute: what was recorded is kept. `fanfold doctor` shows the account's limits.",
        )
    return StoreError(f"{action} on {on} failed: {error}.", next_step="call again; if it stays, ask who runs AWS here.")


def _signed_in_wrongly(code: str, action: str, on: str) -> ConfigurationError:
    if code in _EXPIRED:
        return ConfigurationError(
            f"The AWS credentials in use have expired; {action} on {on} was refused.",
            next_step="sign in again (`aws sso login`, or whatever gave you the credentials), then call again.",
        )
    return ConfigurationError(
        f"AWS does not accept the credentials in use ({code}); {action} on {on} was refused.",
        next_step="check the keys with `aws sts get-caller-identity`, or choose others: configure(profile=...).",
    )


def _never_answered(error: Exception, action: str, on: str) -> FanfoldError:
    kind = type(error).__name__
    if "Credential" in kind or "SSO" in kind or "Token" in kind or kind in ("LoginError", "InvalidConfigError"):
        return ConfigurationError(
            f"There are no AWS credentials to call {action} with ({str(error).rstrip('.')}).",
            next_step="run `aws configure` or `aws sso login`, set AWS_PROFILE, or call configure(profile=...).",
        )
    if kind == "ProfileNotFound":
        return ConfigurationError(
            f"{str(error).rstrip('.')}.",
            next_step="`aws configure list-profiles` lists those there are; choose one with configure(profile=...).",
        )
    if kind in ("NoRegionError", "InvalidRegionError"):
        return ConfigurationError(
            "No AWS region is set.", next_step="set AWS_REGION, or call configure(region=...), such as eu-central-1."
        )
    return StoreError(
        f"AWS did not answer {action} on {on}: {str(error).rstrip('.')}.",
        next_step="check the network and the region, then call again: what was recorded is kept.",
    )


def _denied(message: str, action: str, on: str) -> ConfigurationError:
    says = _SAYS.search(message)
    if says:  # AWS's own words beat what can be guessed
        action, on = says["action"], says["resource"] or on
    return ConfigurationError(
        f"These credentials may not do {action} on {on}.",
        next_step="attach the deployment's user policy (the stack's output UserPolicy) to the identity in use.",
    )


def _action(service: str, operation: str) -> str:
    camel = "".join(part[:1].upper() + part[1:] for part in operation.split("_"))
    name = f"{_PREFIXES.get(service, service)}:{camel}"
    return _ACTIONS.get(name, name)
