"""The account's limits as `fanfold doctor` asks for them, which moto does not tell: enough for what is tried here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication

#: What Lambda gives an account by default.
CONCURRENCY = 1000
#: vCPUs at once; a new account has 5, with which a large machine waits for ever.
VCPUS = 5000.0
_QUOTAS = ("GetServiceQuota", "GetAWSDefaultServiceQuota")


def install() -> None:
    """Answer what asks for limits, and pass everything else on to moto."""
    passed_on: Callable[..., Iterable[bytes]] = DomainDispatcherApplication.__call__

    def answer(app: Any, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        told = _told(environ)
        if told is None:
            return passed_on(app, environ, start_response)
        body = json.dumps(told).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    DomainDispatcherApplication.__call__ = answer


def _told(environ: dict[str, Any]) -> dict[str, Any] | None:
    if str(environ.get("PATH_INFO", "")).rstrip("/").endswith("/account-settings"):
        limit = {"ConcurrentExecutions": CONCURRENCY, "UnreservedConcurrentExecutions": CONCURRENCY}
        return {"AccountLimit": limit, "AccountUsage": {}}
    service, _, operation = str(environ.get("HTTP_X_AMZ_TARGET", "")).partition(".")
    if not service.startswith("ServiceQuotas") or operation not in _QUOTAS:
        return None
    asked = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
    return {"Quota": {"QuotaCode": asked["QuotaCode"], "Value": VCPUS}}
