"""AWS on a bad day: throttled calls, and answers that are lost after the call went through.

The faults come in where botocore sends each try, so that its retries are those of the real thing.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.awsrequest import AWSResponse

from fanfold.stores.aws.account import Account

#: What a try comes to, by the operation's name: "throttle", "500 after", an answer, or None for what AWS says.
Mood = Callable[[str], str | dict[str, Any] | None]


def sometimes(share: float, seed: int = 1) -> Mood:
    """Throttles that share of all tries."""
    chance = random.Random(seed)
    return lambda operation: "throttle" if chance.random() < share else None


def for_a_while(seconds: float) -> Mood:
    """Throttles every try until so many seconds after the first."""
    began: list[float] = []

    def mood(_: str) -> str | None:
        if not began:
            began.append(time.monotonic())
        return "throttle" if time.monotonic() - began[0] < seconds else None

    return mood


def first_tries(answers: dict[str, Any]) -> Mood:
    """Throttles the first try of every operation; then `answers` stand in for those that moto has not."""
    tries: Counter[str] = Counter()

    def mood(operation: str) -> str | dict[str, Any] | None:
        tries[operation] += 1
        return "throttle" if tries[operation] <= 1 else answers.get(operation)

    return mood


def answer_lost(*operations: str, times: int = 1) -> Mood:
    """Loses the answers of the first so many calls of each of these operations, after they went through."""
    left = Counter(dict.fromkeys(operations, times))

    def mood(operation: str) -> str | None:
        if left[operation] <= 0:
            return None
        left[operation] -= 1
        return "500 after"

    return mood


@contextmanager
def bad_day(account: Account, mood: Mood, services: tuple[str, ...] = ()) -> Iterator[Counter[str]]:
    """Every try that leaves through this account's clients within may go wrong; counts those that did."""
    wrong: Counter[str] = Counter()
    handlers = []
    for service in services or tuple(account.clients):
        client = account.client(service)

        def interfere(request: Any, client: Any = client, event_name: str = "", **_: Any) -> AWSResponse | None:
            operation = event_name.rpartition(".")[2]
            what = mood(operation)
            if what is None:
                return None
            if isinstance(what, dict):
                return AWSResponse(request.url, 200, {}, _Raw(json.dumps(what).encode()))
            wrong[operation] += 1
            if what == "500 after":
                client._endpoint.http_session.send(request)
                return _response(request, 500, "InternalServerError")
            return _throttled(request, client.meta.service_model.service_name)

        client.meta.events.register("before-send", interfere)
        handlers.append((client, interfere))
    try:
        yield wrong
    finally:
        for client, handler in handlers:
            client.meta.events.unregister("before-send", handler)


def _throttled(request: Any, service: str) -> AWSResponse:
    if service == "s3":
        body = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
        return AWSResponse(request.url, 503, {"Content-Type": "application/xml"}, _Raw(body))
    if service == "sts":
        body = b"<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>"
        return AWSResponse(request.url, 400, {"Content-Type": "text/xml"}, _Raw(body))
    if service == "lambda":
        return _response(request, 429, "TooManyRequestsException")
    return _response(request, 400, "ThrottlingException")


def _response(request: Any, status: int, code: str) -> AWSResponse:
    message = "Rate exceeded" if status < 500 else "We have met an internal error."
    body = json.dumps({"__type": code, "message": message}).encode()
    return AWSResponse(request.url, status, {"x-amzn-errortype": code}, _Raw(body))


class _Raw:
    """The body of an answer, as urllib3 hands it out."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self._body

    def read(self, *_: Any, **__: Any) -> bytes:
        body, self._body = self._body, b""
        return body
