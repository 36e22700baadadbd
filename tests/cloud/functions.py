"""Lambda: every function's real handler under the real runtime client, in a few environments each.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from fanfold.contract.cloud import REALTIME_ENTRYPOINT
from tests.aws.lambda_host import Answer, LambdaHost
from tests.aws.processes import Starter, start_process
from tests.cloud.aws_errors import INACTIVE_MESSAGE
from tests.cloud.containers import Contain, as_it_is
from tests.cloud.images import Images
from tests.cloud.refusals import NotEmulated

#: A function's environments here. AWS starts another where all are busy; here the call waits for one.
ENVIRONMENTS = int(os.environ.get("FANFOLD_TEST_ENVIRONMENTS", "2"))
#: A synchronous request or response: 6 MB. As messages of the service give the number, it is 100 bytes more.
PAYLOAD_BYTES = 6_291_556


class Throttled(Exception):
    """As many invocations as the account may have at once are under way."""


class Inactive(Exception):
    """The function was not called for weeks, or was just deployed, and gets ready."""


class PayloadTooLarge(Exception):
    """The request is larger than an invocation takes."""


class Configuration(NamedTuple):
    """What of a function's configuration is real here."""

    environment: Mapping[str, str]
    handler: str
    timeout_s: float
    memory_mib: int
    image: str = ""
    name: str = ""


def configuration(
    environment: Mapping[str, str], *, entry_point: list[str], command: list[str], timeout_s: float, memory_mib: int
) -> Configuration:
    """The configuration of a container image's function. Raises `NotEmulated` where no runtime client would start."""
    if entry_point != REALTIME_ENTRYPOINT or len(command) != 1:
        raise NotEmulated(f"a function that starts with {entry_point} {command}")
    return Configuration(environment, command[0], timeout_s, memory_mib)


class Functions:
    """The account's functions. Any thread may invoke."""

    def __init__(
        self,
        find: Callable[[str], Configuration],
        *,
        folder: Path,
        environment: Mapping[str, str],
        start: Starter = start_process,
        contain: Contain = as_it_is,
        images: Images | None = None,
        keys: Mapping[str, str] | None = None,
    ) -> None:
        """`keys`: what functions sign with, by their handler."""
        self._find = find
        self._keys = keys or {}
        self._start, self._contain, self._images = start, contain, images
        self._folder = folder
        self._environment = environment
        self._functions: dict[str, _Function] = {}
        self._lock = threading.Lock()
        self._under_way = 0
        #: How many invocations were refused because of the concurrency.
        self.throttled = 0
        self.concurrency: int | None = None
        #: For how many seconds after the next call all calls are refused, as of a function that wakes up.
        self._sleeps_s, self._awake_at = 0.0, 0.0
        #: How many invocations were refused because of that.
        self.refused_asleep = 0

    def put_to_sleep(self, seconds: float) -> None:
        """Refuse calls until so many seconds after the next one."""
        with self._lock:
            self._sleeps_s, self._awake_at, self.refused_asleep = seconds, 0.0, 0

    def _check_awake(self) -> None:
        with self._lock:
            if not self._sleeps_s:
                return
            self._awake_at = self._awake_at or time.monotonic() + self._sleeps_s
            if time.monotonic() < self._awake_at:
                self.refused_asleep += 1
                raise Inactive(INACTIVE_MESSAGE)
            self._sleeps_s = 0.0

    def invoke(self, name: str, body: bytes) -> Answer:
        """What an invocation comes to.

        Raises `Throttled`, `Inactive`, `PayloadTooLarge`, and `LookupError` for an unknown one.
        """
        function = self._function(name.rpartition(":")[2])
        if len(body) > PAYLOAD_BYTES:
            raise PayloadTooLarge(f"{len(body)} bytes exceeded the maximum of {PAYLOAD_BYTES}")
        self._check_awake()
        with self._lock:
            if self.concurrency is not None and self._under_way >= self.concurrency:
                self.throttled += 1
                raise Throttled("Rate Exceeded.")
            self._under_way += 1
        try:
            return _within_limits(function.invoke(body))
        finally:
            with self._lock:
                self._under_way -= 1

    def _function(self, name: str) -> _Function:
        with self._lock:
            if name not in self._functions:
                folder = self._folder / name
                folder.mkdir(parents=True)
                found = self._find(name)
                key = self._keys.get(found.handler)
                environment = {**self._environment, **({"AWS_ACCESS_KEY_ID": key} if key else {})}
                self._functions[name] = _Function(found, folder, environment, self._starter(found.image))
            return self._functions[name]

    def _starter(self, image: str) -> Starter:
        """What starts environments of an image."""

        def start(command: list[str], *surroundings: Any) -> Any:
            inside = command if self._images is None else self._images.command(image, command)
            return self._start(self._contain(inside, None), *surroundings)

        return start

    def strike_busy(self, how: signal.Signals, *, of: str = "") -> int:
        """End every environment that is in the middle of an invocation with a signal; how many. `of`: a handler."""
        functions = [one for one in self._functions.values() if of in ("", one.handler)]
        return sum(function.strike_busy(how) for function in functions)

    @property
    def are_idle(self) -> bool:
        """Whether no invocation is under way."""
        with self._lock:
            return not self._under_way

    def close(self) -> None:
        for function in self._functions.values():
            function.close()


class _Function:
    def __init__(
        self, configuration: Configuration, folder: Path, environment: Mapping[str, str], start: Starter
    ) -> None:
        self._configuration = configuration
        variables = {**environment, **configuration.environment}
        if configuration.name:
            variables["AWS_LAMBDA_FUNCTION_NAME"] = configuration.name
        self._hosts: list[LambdaHost] = []
        for number in range(ENVIRONMENTS):
            place = folder / str(number)
            place.mkdir()
            self._hosts.append(LambdaHost(variables, folder=place, handler=configuration.handler, start=start))
        self._idle = list(self._hosts)
        self._free = threading.Condition()

    @property
    def handler(self) -> str:
        """What it calls."""
        return self._configuration.handler

    def invoke(self, body: bytes) -> Answer:
        with self._free:
            self._free.wait_for(lambda: self._idle)
            host = self._idle.pop()
        limits = self._configuration
        try:
            return host.invoke(json.loads(body), timeout_s=limits.timeout_s, memory_mib=limits.memory_mib)
        finally:
            with self._free:
                self._idle.append(host)
                self._free.notify()

    def strike_busy(self, how: signal.Signals) -> int:
        struck = 0
        for host in self._hosts:
            process = host.process
            if host not in self._idle and process is not None and process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, how)
                    struck += 1
        return struck

    def close(self) -> None:
        for host in self._hosts:
            host.close()


def _within_limits(answer: Answer) -> Answer:
    """The answer, or what Lambda answers in its place where it is too large."""
    if len(json.dumps(answer.payload)) <= PAYLOAD_BYTES:
        return answer
    told = f"Response payload size exceeded maximum allowed payload size ({PAYLOAD_BYTES} bytes)."
    error = "Function.ResponseSizeTooLarge"
    return Answer(error, {"errorType": error, "errorMessage": told}, answer.took_ms)
