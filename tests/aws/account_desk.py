"""The part of AWS that tells of an account's own limits, which moto does not: a server with answers to be set.

It stands in for Lambda, Batch and Service Quotas; boto3 talks to it over HTTP as it does to AWS.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SERVICES = ("LAMBDA", "BATCH", "SERVICE_QUOTAS")


@dataclass
class Desk:
    """What is answered; a status above 399 is refused with that and the code given."""

    address: str = ""
    concurrency: int = 1000
    unreserved: int = 900
    function: dict[str, Any] = field(default_factory=lambda: {"MemorySize": 4096, "State": "Active"})
    #: vCPUs by quota, the account's own and AWS's defaults.
    quotas: dict[str, float] = field(default_factory=dict)
    defaults: dict[str, float] = field(default_factory=lambda: {"L-1216C47A": 5.0})
    queue: dict[str, str] = field(default_factory=lambda: {"state": "ENABLED", "status": "VALID"})
    #: How many queues the region has in all.
    queues_there: int = 0
    machines: dict[str, str] = field(default_factory=lambda: {"status": "VALID"})
    #: Names of operations that these credentials may not do.
    denied: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def answer(self, operation: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.asked.append(operation)
        if operation in self.denied:
            return 403, {"__type": "AccessDeniedException", "message": "no"}
        return getattr(self, f"_{operation}")(body)

    def _account_settings(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        limit = {"ConcurrentExecutions": self.concurrency, "UnreservedConcurrentExecutions": self.unreserved}
        return 200, {"AccountLimit": limit, "AccountUsage": {}}

    def _configuration(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return 200, self.function

    def _quota(self, body: dict[str, Any], of: dict[str, float]) -> tuple[int, dict[str, Any]]:
        if body["QuotaCode"] not in of:
            return 400, {"__type": "NoSuchResourceException", "message": "none"}
        return 200, {"Quota": {"QuotaCode": body["QuotaCode"], "Value": of[body["QuotaCode"]]}}

    def _GetServiceQuota(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:  # noqa: N802 - AWS's name
        return self._quota(body, self.quotas)

    def _GetAWSDefaultServiceQuota(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:  # noqa: N802
        return self._quota(body, self.defaults)

    def _describejobqueues(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        order = [{"order": 1, "computeEnvironment": "arn:environment"}]
        names = body.get("jobQueues") or [f"queue-{n}" for n in range(self.queues_there)]
        queues = [{"jobQueueName": name, "computeEnvironmentOrder": order, **self.queue} for name in names]
        return 200, {"jobQueues": queues}

    def _describecomputeenvironments(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        assert body["computeEnvironments"] == ["arn:environment"]
        return 200, {"computeEnvironments": [{"computeEnvironmentArn": "arn:environment", **self.machines}]}


@contextmanager
def desk() -> Iterator[Desk]:
    """A desk that answers at its address until the end of the block."""
    answers = Desk()

    class Handler(BaseHTTPRequestHandler):
        def _respond(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
            target = self.headers.get("X-Amz-Target", "")
            operation = target.rpartition(".")[2] or self.path.rpartition("/")[2].replace("-", "_")
            status, told = answers.answer(operation, body)
            data = json.dumps(told).encode()
            self.send_response(status)
            if status >= 400:
                self.send_header("x-amzn-ErrorType", told["__type"])
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _respond  # noqa: N815 - the server's names

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    answers.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield answers
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
