"""The way to AWS: one pooled client a service and process, and one place where its errors become Fanfold's."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from fanfold.errors import ConfigurationError, FanfoldError, StoreError

if TYPE_CHECKING:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

T = TypeVar("T")
R = TypeVar("R")

#: Calls side by side at most, and as many connections for each service.
CONCURRENCY = 16
#: Adaptive retries back off for up to 20 s each: together they outlast a throttle of a minute.
_ATTEMPTS = 10
#: Who invokes a function goes on trying by itself, and tells of a throttle, which it has to hear of for that.
_FEW_ATTEMPTS = {"lambda": 2}
#: The same for a person who waits to hear whether AWS answers at all: no answer is one as well.
_HASTY_ATTEMPTS, _HASTY_TIMEOUT_S = 2, 5.0
#: Seconds to wait for an answer; an invoked function answers when its run has ended.
_READ_TIMEOUT_S = {"lambda": 150.0}
_DEFAULT_READ_TIMEOUT_S = 30.0


class Refused(Exception):
    """AWS said no in a way that the caller asked to be told of: a condition that does not hold, a key not there."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Account:
    """An AWS account, as one set of credentials sees it. Any thread may use it; a forked child gets its own clients.

    `patient`: whether calls are to outlast what passes, such as a throttle; or tell within seconds that nobody answers.
    """

    def __init__(self, *, region: str | None = None, profile: str | None = None, patient: bool = True) -> None:
        self._region, self._profile, self._patient = region, profile, patient
        self._lock = threading.Lock()
        self._pid = 0
        self._session: boto3.Session | None = None
        self._clients: dict[str, Any] = {}
        self._threads: ThreadPoolExecutor | None = None

    def call(
        self, service: str, operation: str, *, on: str, expected: Collection[str] = (), **parameters: Any
    ) -> dict[str, Any]:
        """One call, such as `call("dynamodb", "get_item", on=table, ...)`; `on` names the resource in errors.

        Raises `Refused` for the error codes that are `expected`, `ConfigurationError` and `StoreError` for others.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer: dict[str, Any] = getattr(self.client(service), operation)(**parameters)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in expected:
                raise Refused(code) from error
            raise explained(error, service, operation, on) from error
        except BotoCoreError as error:
            raise explained(error, service, operation, on) from error
        return answer

    def client(self, service: str) -> Any:
        """The process's one client of a service. Raises `ConfigurationError`."""
        if self._pid != os.getpid():
            self._start_afresh()
        found = self._clients.get(service)
        if found is None:
            with self._lock:  # sessions are not safe to share while they make clients
                found = self._clients.get(service) or self._new_client(service)
                self._clients[service] = found
        return found

    def each(self, work: Callable[[T], R], things: Iterable[T]) -> Iterator[R]:
        """`work` on each of the things, some side by side; in order."""
        several = list(things)
        if len(several) < 2:
            return map(work, several)
        if self._pid != os.getpid():
            self._start_afresh()
        if self._threads is None:
            self._threads = ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="fanfold-aws")
        try:
            return self._threads.map(work, several)
        except RuntimeError:  # the interpreter is ending, and lets no thread begin anything any more
            return map(work, several)

    @property
    def region(self) -> str:
        """The region in use, as the clients found it."""
        return str(self.client("dynamodb").meta.region_name)

    def _start_afresh(self) -> None:
        # Connections and threads of a parent are of no use to a forked child.
        with self._lock:
            self._pid, self._session, self._clients, self._threads = os.getpid(), None, {}, None

    def _new_client(self, service: str) -> Any:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        try:
            if self._session is None:
                # boto3 reads AWS_DEFAULT_REGION alone; AWS's command line and its other SDKs read this one, and first.
                region = self._region or os.environ.get("AWS_REGION") or None
                self._session = boto3.Session(region_name=region, profile_name=self._profile)
            wait_s = _READ_TIMEOUT_S.get(service, _DEFAULT_READ_TIMEOUT_S)
            attempts = _FEW_ATTEMPTS.get(service, _ATTEMPTS) if self._patient else _HASTY_ATTEMPTS
            config = Config(
                retries={"mode": "adaptive", "max_attempts": attempts},
                max_pool_connections=CONCURRENCY,
                connect_timeout=10 if self._patient else _HASTY_TIMEOUT_S,
                read_timeout=wait_s if self._patient else _HASTY_TIMEOUT_S,
                tcp_keepalive=True,
                parameter_validation=False,  # of what this package has written itself; a third of a call's CPU
            )
            return self._session.client(service, config=config)  # type: ignore[call-overload]
        except BotoCoreError as error:
            raise explained(error, service, "a client", "") from error


# What AWS's errors mean to whoever met them: which action on which resource failed, and what to do.

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
