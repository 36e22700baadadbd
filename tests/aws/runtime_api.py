"""Lambda's Runtime API, of one execution environment: its runtime client asks here for invocations, and answers.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import queue
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_FUNCTION_ARN = "arn:aws:lambda:us-east-1:123456789012:function:run-0"


class RuntimeApi:
    """Each environment has one of its own, at an address of its own: what one that died still asked for is nobody's."""

    def __init__(self) -> None:
        #: What the environment answered: the last part of the path (`response`, or `error`), and the body.
        self.answers: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._next: queue.Queue[tuple[bytes, float] | None] = queue.Queue()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def give(self, payload: bytes, deadline: float) -> None:
        """Have the environment take an invocation that must have ended at `deadline`, in seconds since the epoch."""
        self._next.put((payload, deadline))

    def close(self) -> None:
        """Answer nothing any more, and let go of who waits."""
        self._next.put(None)
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                given = api._next.get()
                if given is None:
                    self.close_connection = True
                    return
                body, deadline = given
                self.send_response(200)
                for name, value in {
                    "Content-Type": "application/json",
                    "Content-Length": str(len(body)),
                    "Lambda-Runtime-Aws-Request-Id": f"request-{time.time_ns()}",
                    "Lambda-Runtime-Deadline-Ms": str(int(deadline * 1000)),
                    "Lambda-Runtime-Invoked-Function-Arn": _FUNCTION_ARN,
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                body = self._body()
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()
                self.wfile.flush()
                api.answers.put((self.path.rpartition("/")[2], body))

            def _body(self) -> bytes:
                if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = b""
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
