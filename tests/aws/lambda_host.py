"""Lambda, as far as one function is concerned: the real runtime client in a process, fed by a small Runtime API.

A deadline that passes kills the process, as Lambda does; the next invocation gets a new one.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
HANDLER = "fanfold_runtime.realtime.handler"


class Answer(NamedTuple):
    """What an invocation came to: `error` is None, or AWS's name for what happened; milliseconds it took."""

    error: str | None
    payload: dict[str, Any]
    took_ms: float


class LambdaHost:
    """One execution environment at a time of one function."""

    def __init__(self, environment: dict[str, str], *, folder: Path, handler: str = HANDLER) -> None:
        self._environment = environment
        self._folder = folder
        self._handler = handler
        self._number = 0
        self._next: queue.Queue[tuple[bytes, float]] = queue.Queue()
        self._answers: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._runtime_api())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "function.log"

    def invoke(self, payload: Any, *, timeout_s: float = 120.0, memory_mib: int = 4096) -> Answer:
        """Invoke the function once; its environment is started where there is none."""
        if self.process is None or self.process.poll() is not None:
            self._start(memory_mib)
        began = time.perf_counter()
        self._next.put((json.dumps(payload).encode(), time.time() + timeout_s))
        kind, body = self._outcome(timeout_s)
        took_ms = (time.perf_counter() - began) * 1000
        told = json.loads(body or b"{}")
        return Answer(None if kind == "response" else told.get("errorType", kind), told, took_ms)

    def close(self) -> None:
        self._kill()
        self._server.shutdown()
        self._server.server_close()

    def _outcome(self, timeout_s: float) -> tuple[str, bytes]:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                return self._answers.get(timeout=0.02)
            except queue.Empty:
                code = self.process.poll()
                if code is not None:
                    how = "signal: killed" if code == -signal.SIGKILL else f"exit status {code}"
                    return _error("Runtime.ExitError", f"Runtime exited with error: {how}")
        self._kill()
        return _error("Sandbox.Timedout", f"Task timed out after {timeout_s:.2f} seconds")

    def _start(self, memory_mib: int) -> None:
        self._number += 1
        temporary = self._folder / f"tmp{self._number}"
        temporary.mkdir()
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(ROOT / "client"), str(ROOT / "runtime"), str(ROOT)]),
            "TMPDIR": str(temporary),
            "_HANDLER": self._handler,
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.server_address[1]}",
            "AWS_LAMBDA_FUNCTION_NAME": "fanfold-test-run-0",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mib),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            **self._environment,
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "awslambdaric", self._handler],
                env=environment,
                cwd=temporary,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _kill(self) -> None:
        if self.process is not None:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def _runtime_api(self) -> type[BaseHTTPRequestHandler]:
        host = self

        class RuntimeApi(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                body, deadline = host._next.get()
                self.send_response(200)
                for name, value in {
                    "Content-Type": "application/json",
                    "Content-Length": str(len(body)),
                    "Lambda-Runtime-Aws-Request-Id": f"request-{time.time_ns()}",
                    "Lambda-Runtime-Deadline-Ms": str(int(deadline * 1000)),
                    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:123456789012:function:run-0",
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
                host._answers.put((self.path.rpartition("/")[2], body))

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

        return RuntimeApi


def _error(kind: str, message: str) -> tuple[str, bytes]:
    return "error", json.dumps({"errorType": kind, "errorMessage": message}).encode()
