"""The way to AWS: one pooled client a service and process, and one place where its errors become Fanfold's."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from fanfold.stores.aws.failures import explained

if TYPE_CHECKING:
    import boto3

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
