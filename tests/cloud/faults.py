"""Faults of services: requests are refused as AWS refuses them, or kept waiting, before moto sees them.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication

#: What is answered, by what it is called: status, content type and body.
_ANSWERS = {
    "throttled table": (
        "400 Bad Request",
        "application/x-amz-json-1.0",
        b'{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",'
        b'"message":"The level of configured provisioned throughput for the table was exceeded."}',
    ),
    "failing bucket": (
        "500 Internal Server Error",
        "application/xml",
        b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>InternalError</Code>'
        b"<Message>We encountered an internal error. Please try again.</Message></Error>",
    ),
}
#: What is only late, by what it is called: seconds.
_DELAYS_S = {"slow table": 0.5, "slow bucket": 0.5}
#: The service that each fault is one of, as requests are signed for it.
_SERVICES = {"throttled table": "dynamodb", "slow table": "dynamodb", "failing bucket": "s3", "slow bucket": "s3"}


class Faults:
    """Stands before moto, and lets requests through or not."""

    def __init__(self) -> None:
        self._left: Counter[str] = Counter()
        self._every = 1
        self._seen = 0
        self._lock = threading.Lock()

    def install(self) -> None:
        """Look at every request from now on."""
        passed_on: Callable[..., Iterable[bytes]] = DomainDispatcherApplication.__call__

        def answer(app: Any, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            fault = self._fault_of(environ)
            if fault in _DELAYS_S:
                time.sleep(_DELAYS_S[fault])
            if fault not in _ANSWERS:
                return passed_on(app, environ, start_response)
            status, kind, body = _ANSWERS[fault]
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
            return [body]

        DomainDispatcherApplication.__call__ = answer

    def refuse(self, fault: str, times: int, every: int = 1) -> None:
        """Answer so to `times` of the requests that it fits, of which every n-th."""
        if fault not in _SERVICES:
            raise LookupError(fault)
        with self._lock:
            self._left[fault], self._every, self._seen = times, every, 0

    def mend(self) -> int:
        """Let everything through again; how many requests were still to be refused."""
        with self._lock:
            left = self._left.total()
            self._left.clear()
        return left

    def _fault_of(self, environ: dict[str, Any]) -> str | None:
        """The fault that a request meets: by the service that it was signed for."""
        signed_for = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].split("/")
        service = signed_for[3] if len(signed_for) > 3 else ""
        with self._lock:
            fault = next((one for one, left in self._left.items() if left > 0 and _SERVICES[one] == service), None)
            if fault is None:
                return None
            self._seen += 1
            if self._seen % self._every:
                return None
            self._left[fault] -= 1
            return fault
