"""The way to AWS: one pooled client a service and process, and one place where its errors become Fanfold's."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from fanfold.core.processes import Locked
from fanfold.errors import ConfigurationError, StoreError
from fanfold.stores.aws.clock import ServiceClock
from fanfold.stores.aws.failures import (
    answered_by_a_page,
    error_code,
    explain,
    is_a_page,
    is_throttle,
    may_have_signed_in_again,
)

if TYPE_CHECKING:
    import boto3

_log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

#: Calls side by side at most, and as many connections for each service.
CONCURRENCY = 16
#: Adaptive retries back off for up to 20 s each: together they outlast a throttle of a minute.
_ATTEMPTS = 10
#: The code that invokes functions tries again by itself, and reports each throttle: boto3 must not hide them.
_FEW_ATTEMPTS = {"lambda": 2}
#: The same for a person who asks whether AWS answers at all: silence is an answer as well.
_HASTY_ATTEMPTS, _HASTY_TIMEOUT_S = 2, 5.0
#: Seconds to wait for an answer; an invoked function answers when its run has ended, and a table at once.
_READ_TIMEOUT_S = {"lambda": 150.0, "dynamodb": 10.0}
_DEFAULT_READ_TIMEOUT_S = 30.0
#: What these clients call themselves. A package must not import the one that it is in.
_NAME = f"fanfold/{sys.modules['fanfold'].__version__}"
#: After so many seconds a call without an answer is given up, where who calls tries again by itself (see `within`).
_PATIENCE_S: ContextVar[float | None] = ContextVar("_PATIENCE_S", default=None)
#: Pauses before a call is made again that a proxy's web page answered, which botocore takes for an answer.
_PAGE_PAUSES_S = (0.2, 1.0, 3.0)


class Refused(Exception):
    """AWS said no in a way that the caller asked to be told of: a condition that does not hold, a key not there."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Account(Locked):
    """An AWS account, as one set of credentials sees it. Any thread may use it; a forked child gets its own clients.

    `patient`: whether calls are to outlast what passes, such as a throttle; or tell within seconds that nobody answers.
    """

    def __init__(self, *, region: str | None = None, profile: str | None = None, patient: bool = True) -> None:
        super().__init__()
        self._region, self._profile, self._patient = region, profile, patient
        self._pid = 0
        self._session: boto3.Session | None = None
        #: What the session's clients sign with.
        self._keys: tuple[str | None, ...] | None = None
        self.clients: dict[str, Any] = {}
        self._threads: ThreadPoolExecutor | None = None
        #: When the call that a thread makes is given up.
        self._calls = threading.local()
        #: AWS's time, as its answers tell it.
        self.clock = ServiceClock()

    def call(
        self, service: str, operation: str, *, on: str, expected: Collection[str] = (), **parameters: Any
    ) -> dict[str, Any]:
        """One call, such as `call("dynamodb", "get_item", on=table, ...)`; `on` names the resource in errors.

        Where the credentials have expired and others are there by now, it is made again with those. Raises `Refused`
        for the error codes that are `expected`, `ConfigurationError` and `StoreError` for others.
        """
        answer = self._call(service, operation, on, expected, parameters)
        for pause_s in _PAGE_PAUSES_S if self._patient else ():
            if not is_a_page(answer):
                return answer
            time.sleep(pause_s)  # the call never came to AWS: to make it again is harmless
            answer = self._call(service, operation, on, expected, parameters)
        if is_a_page(answer):
            raise answered_by_a_page(service, operation, on)
        return answer

    def _call(
        self, service: str, operation: str, on: str, expected: Collection[str], parameters: dict[str, Any]
    ) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        for may_renew in (True, False):
            session, began, patience_s = self._session, time.monotonic(), _PATIENCE_S.get()
            self._calls.ends_at = None if patience_s is None else began + patience_s
            self._calls.may_have_arrived = False
            try:
                client = self.client(service)
                _keys_of(self._session)  # renews those that are about to expire, with an error that has a name
                answer: dict[str, Any] = getattr(client, operation)(**parameters)
            except (ClientError, BotoCoreError, ResponseParserError) as error:
                code = error_code(error)
                _log.debug(
                    "%s.%s on %s: %s after %.3f s", service, operation, on, code or error, time.monotonic() - began
                )
                if code and code in expected:
                    raise Refused(code) from error
                if may_renew and may_have_signed_in_again(error) and self._renew(session):
                    continue
                failure = explain(error, service, operation, on)
                if self._calls.may_have_arrived and isinstance(failure, (StoreError, ConfigurationError)):
                    failure.refused = False  # an earlier try of it may have done what the last one was refused
                raise failure from error
            except KeyError:  # botocore's parser, of the one protocol for which a page is an answer without a result
                return {"ResponseMetadata": {"HTTPHeaders": {"content-type": "text/html"}}}
            took_s = time.monotonic() - began
            _log.debug("%s.%s on %s: %.3f s", service, operation, on, took_s)
            self.clock.note(answer, took_s)
            return answer
        raise AssertionError("the second try returns or raises")

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """While it is entered, calls of this thread that get no answer are given up after so many seconds, about.

        By default a call goes on for minutes: who waits for a job would be told nothing meanwhile.
        """
        before = _PATIENCE_S.get()
        token = _PATIENCE_S.set(seconds if before is None else min(seconds, before))
        try:
            yield
        finally:
            _PATIENCE_S.reset(token)

    def _end_patience(
        self, response: Any = None, caught_exception: Any = None, operation: Any = None, **_: Any
    ) -> None:
        """Keep botocore from calling again where the time for the call is over. Raises what it was answered."""
        from botocore.exceptions import ClientError

        if caught_exception is not None or (response is not None and _may_have_arrived(*response)):
            self._calls.may_have_arrived = True
        ends_at = getattr(self._calls, "ends_at", None)
        if ends_at is None or time.monotonic() < ends_at:
            return
        if caught_exception is not None:
            raise caught_exception
        if response is not None and response[0].status_code >= 300:
            raise ClientError(response[1], operation.name)

    def pages(
        self,
        service: str,
        operation: str,
        *,
        on: str,
        token: tuple[str, str] = ("NextToken", "NextToken"),
        **parameters: Any,
    ) -> Iterator[dict[str, Any]]:
        """Every page of an answer that AWS gives in pieces, one call a page. Raises what `call` raises.

        `token`: what the service names its token in an answer, and in the request for the next page.
        """
        answered, asked = token
        while True:
            answer = self.call(service, operation, on=on, **parameters)
            yield answer
            if not answer.get(answered):
                return
            parameters[asked] = answer[answered]

    def read(self, body: Any, *, service: str, operation: str, on: str) -> bytes:
        """All bytes of an answer. Raises `StoreUnavailable` where the connection breaks while they come."""
        from botocore.exceptions import BotoCoreError
        from urllib3.exceptions import HTTPError

        try:
            data: bytes = body.read()
        except (BotoCoreError, HTTPError, OSError) as error:
            raise explain(error, service, operation, on) from error
        return data

    def client(self, service: str) -> Any:
        """The process's one client of a service. Raises `ConfigurationError`."""
        if self._pid != os.getpid():
            self._start_afresh()
        found = self.clients.get(service)
        if found is None:
            with self.lock:  # sessions are not safe to share while they make clients
                found = self.clients.get(service) or self._new_client(service)
                self.clients[service] = found
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
            return self._threads.map(_in_this_context(work), several)
        except RuntimeError:  # the interpreter is ending, and lets no thread begin anything any more
            return map(work, several)

    @property
    def region(self) -> str:
        """The region in use, as the clients found it."""
        return str(self.client("dynamodb").meta.region_name)

    def _start_afresh(self) -> None:
        # Connections and threads of a parent are of no use to a forked child.
        with self.lock:
            self._pid, self._session, self.clients, self._threads = os.getpid(), None, {}, None

    def _renew(self, used: boto3.Session | None) -> bool:
        """Take up credentials that are new on disk or in the environment; whether there are any.

        A session never looks again at what it has found: another program may have renewed the keys, and a notebook
        or a page lives for longer than an hour.
        """
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError

        with self.lock:
            if self._session is not used:
                return True  # another thread has
            try:
                fresh = boto3.Session(region_name=self._wanted_region(), profile_name=self._profile)
                keys = _keys_of(fresh)
                if keys in (None, self._keys):
                    return False
            except (BotoCoreError, ClientError):
                return False
            self._session, self._keys, self.clients = fresh, keys, {}
            return True

    def _wanted_region(self) -> str | None:
        # boto3 reads AWS_DEFAULT_REGION alone; AWS's command line and its other SDKs read this one, and first.
        return self._region or os.environ.get("AWS_REGION") or None

    def _new_client(self, service: str) -> Any:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            if self._session is None:
                self._session = boto3.Session(region_name=self._wanted_region(), profile_name=self._profile)
                self._keys = _keys_of(self._session)
            wait_s = _READ_TIMEOUT_S.get(service, _DEFAULT_READ_TIMEOUT_S)
            attempts = _FEW_ATTEMPTS.get(service, _ATTEMPTS) if self._patient else _HASTY_ATTEMPTS
            config = Config(
                retries={"mode": "adaptive", "max_attempts": attempts},
                max_pool_connections=CONCURRENCY,
                connect_timeout=10 if self._patient else _HASTY_TIMEOUT_S,
                read_timeout=wait_s if self._patient else _HASTY_TIMEOUT_S,
                tcp_keepalive=True,
                user_agent_extra=_NAME,  # CloudTrail shows it as the caller
                parameter_validation=False,  # of what this package has written itself; a third of a call's CPU
            )
            client = self._session.client(service, config=config)  # type: ignore[call-overload]
        except (BotoCoreError, ClientError, ValueError) as error:  # ValueError: an address or a number that is none
            raise explain(error, service, "", service) from error
        client.meta.events.register("needs-retry", self._end_patience)
        return client


def _may_have_arrived(http: Any, answer: dict[str, Any]) -> bool:
    """Whether a try that was answered so may have done its work nevertheless."""
    error = answer.get("Error", {})
    code, words = str(error.get("Code", "")), str(error.get("Message", ""))
    return http.status_code >= 500 and not is_throttle(code, http.status_code, words)


def _in_this_context(work: Callable[[T], R]) -> Callable[[T], R]:
    """`work` as this thread would do it, in any other."""
    if _PATIENCE_S.get() is None:
        return work
    here = copy_context()
    return lambda thing: here.copy().run(work, thing)


def _keys_of(session: boto3.Session | None) -> tuple[str | None, ...] | None:
    """The keys that a session signs with; None without any. Raises botocore's `CredentialRetrievalError`.

    What gives keys is often a program or a file of somebody else's: botocore lets through what that runs into, and a
    RuntimeError where the new keys have expired as well.
    """
    from botocore.exceptions import CredentialRetrievalError

    try:
        credentials = session.get_credentials() if session is not None else None
        frozen = credentials.get_frozen_credentials() if credentials is not None else None
    except (OSError, ValueError, RuntimeError, AttributeError, LookupError, TypeError, EOFError) as error:
        said = f"{type(error).__name__}: {error}"
        raise CredentialRetrievalError(provider="the configured way to credentials", error_msg=said) from error
    return None if frozen is None else (frozen.access_key, frozen.secret_key, frozen.token)
