"""A fault proxy: any request, of any service and operation, meets what it may meet on AWS before moto sees it.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors
"""

from __future__ import annotations

import calendar
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication

#: Status, code and message of what is answered, by what it is called.
_ERRORS = {
    "throttle": ("400 Bad Request", "ThrottlingException", "Rate exceeded"),
    "server error": ("500 Internal Server Error", "InternalError", "We encountered an internal error."),
    "unavailable": ("503 Service Unavailable", "ServiceUnavailable", "Please reduce your request rate."),
    "denied": ("403 Forbidden", "AccessDeniedException", "with an explicit deny in a service control policy"),
    "clock": ("400 Bad Request", "InvalidSignatureException", ""),
    "expired": ("400 Bad Request", "ExpiredTokenException", "The security token included in the request is expired"),
}
#: What some services call it.
_CODES = {
    ("clock", "s3"): "RequestTimeTooSkewed",
    ("throttle", "dynamodb"): "ProvisionedThroughputExceededException",
    ("throttle", "s3"): "SlowDown",
    ("throttle", "lambda"): "TooManyRequestsException",
    ("throttle", "sts"): "Throttling",
    ("denied", "sts"): "AccessDenied",
    ("expired", "sts"): "ExpiredToken",
    ("denied", "s3"): "AccessDenied",
    ("expired", "s3"): "ExpiredToken",
}
#: A request is good for so long before and after it was signed
#: (https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html,
#: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html).
_GOOD_FOR_S = {"s3": 900}
_OTHERS_GOOD_FOR_S = 300
_STAMP = "%Y%m%dT%H%M%SZ"
#: Seconds that "slow" takes.
_SLOW_S = 0.5
_PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Your company's proxy</body></html>"
#: Everything that a request can meet: an error, lateness, a connection that is closed before or after the call went
#: through, and a page of a proxy.
KINDS = (*_ERRORS, "slow", "closed", "answer lost", "page")
#: What calls of the emulated services themselves say of their caller: no proxy of a company's is in their way.
BY_AWS = "an-emulated-service"
#: Services that speak XML; the others speak JSON.
_XML = {"s3", "sts"}


@dataclass
class Fault:
    """What `left` of the coming requests meet, every n-th of those to a service, or one operation of it."""

    kind: str
    service: str
    operation: str
    left: int
    every: int
    seen: int = 0

    def meets(self, service: str, operation: str) -> bool:
        """Whether a request meets it."""
        if not self.left or self.service != service or self.operation not in ("", operation):
            return False
        self.seen += 1
        if self.seen % self.every:
            return False
        self.left -= 1
        return True


class Faults:
    """Stands before moto, and lets requests through or not."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._expired: frozenset[str] = frozenset()
        self._lock = threading.Lock()

    def install(self) -> None:
        """Look at every request from now on."""
        passed_on: Callable[..., Iterable[bytes]] = DomainDispatcherApplication.__call__

        def answer(app: Any, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            service, operation = _service_of(environ), _operation_of(environ)
            ours = BY_AWS not in environ.get("HTTP_USER_AGENT", "")
            kind = "clock" if _is_out_of_time(environ, service) else self._next(service, operation, ours=ours)
            if _key_of(environ) in self._expired:
                kind = "expired"
            if kind == "slow":
                time.sleep(_SLOW_S)
            if kind in (None, "slow"):
                return passed_on(app, environ, start_response)
            if kind == "answer lost":
                list(passed_on(app, environ, lambda *_, **__: None))
            else:
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            if kind in ("closed", "answer lost"):
                return _close(environ)
            return _say(start_response, *_answer(kind, service, environ.get("HTTP_X_AMZ_DATE", "")))

        DomainDispatcherApplication.__call__ = answer

    def refuse(self, kind: str, service: str, operation: str = "", times: int = 1, every: int = 1) -> None:
        """Have `times` of the coming requests to a service meet a fault, of which every n-th."""
        if kind not in KINDS:
            raise LookupError(kind)
        with self._lock:
            self._faults.append(Fault(kind, service, operation, times, every))

    def expire(self, key: str) -> None:
        """Refuse whatever these keys have signed, from now on."""
        self._expired |= {key}

    def end_faults(self) -> int:
        """Let everything through again; how many requests were still to be refused."""
        self._expired = frozenset()
        with self._lock:
            left = sum(fault.left for fault in self._faults)
            self._faults.clear()
        return left

    def _next(self, service: str, operation: str, *, ours: bool) -> str | None:
        with self._lock:
            may = [fault for fault in self._faults if ours or fault.kind != "page"]
            return next((fault.kind for fault in may if fault.meets(service, operation)), None)


def _key_of(environ: dict[str, Any]) -> str:
    """The access key that a request was signed with."""
    return str(environ.get("HTTP_AUTHORIZATION", "")).partition("Credential=")[2].partition("/")[0]


def _service_of(environ: dict[str, Any]) -> str:
    """The service that a request was signed for."""
    signed_for = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].split("/")
    return signed_for[3] if len(signed_for) > 3 else ""


def _operation_of(environ: dict[str, Any]) -> str:
    """The operation as its API calls it; of S3 the method, such as GET."""
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        return str(target).rpartition(".")[2]
    path = str(environ.get("PATH_INFO", ""))
    if path.endswith("/invocations"):
        return "Invoke"
    return path.rpartition("/")[2] if path.startswith("/v1/") else str(environ.get("REQUEST_METHOD", ""))


def _is_out_of_time(environ: dict[str, Any], service: str) -> bool:
    """Whether a request was signed by a clock that is wrong by more than AWS takes."""
    signed_at = _moment(environ.get("HTTP_X_AMZ_DATE", ""))
    return signed_at is not None and abs(time.time() - signed_at) > _GOOD_FOR_S.get(service, _OTHERS_GOOD_FOR_S)


def _moment(stamp: str) -> float | None:
    try:
        return float(calendar.timegm(time.strptime(stamp, _STAMP)))
    except ValueError:
        return None


def _of_clocks(service: str, signed: str) -> str:
    """What a service says of a request that was signed too early, or too late."""
    if service == "s3":
        return "The difference between the request time and the current time is too large."
    now = time.time()
    told = time.strftime(_STAMP, time.gmtime(now))
    late = (_moment(signed) or 0.0) <= now
    edge = time.strftime(_STAMP, time.gmtime(now + (-_OTHERS_GOOD_FOR_S if late else _OTHERS_GOOD_FOR_S)))
    if late:
        return f"Signature expired: {signed} is now earlier than {edge} ({told} - 5 min.)"
    return f"Signature not yet current: {signed} is still later than {edge} ({told} + 5 min.)"


def _answer(kind: str | None, service: str, signed: str) -> tuple[str, str, str, bytes]:
    if kind == "page":
        return "200 OK", "text/html", "", _PAGE
    status, code, message = _ERRORS[str(kind)]
    code, message = _CODES.get((str(kind), service), code), message or _of_clocks(service, signed)
    if service == "lambda" and kind == "throttle":
        status = "429 Too Many Requests"
    if service in _XML:
        error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        if service == "sts":
            error = f"<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>"
        return status, "application/xml", code, error.encode()
    return status, "application/x-amz-json-1.0", code, json.dumps({"__type": code, "message": message}).encode()


def _say(start_response: Callable[..., Any], status: str, content_type: str, code: str, body: bytes) -> Iterable[bytes]:
    headers = [("Content-Type", content_type), ("Content-Length", str(len(body)))]
    headers.append(("Date", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())))
    start_response(status, [*headers, ("x-amzn-errortype", code)] if code else headers)
    return [body]


def _close(environ: dict[str, Any]) -> Iterable[bytes]:
    """Break the connection: the caller never hears what came of it."""
    with suppress(OSError):
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError
