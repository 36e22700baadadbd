"""Lambda, as far as one environment of a function is concerned: the real runtime client in a process.

A deadline that passes kills the process, as Lambda does; the next invocation gets a new one.
https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from tests.aws.processes import Starter, start_process
from tests.aws.runtime_api import RuntimeApi

#: What a process's exit code is, and a container's, that the kernel has ended for its memory.
_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
HANDLER = "fanfold_runtime.realtime.handler"


class Answer(NamedTuple):
    """What an invocation came to: `error` is None, or AWS's name for what happened; milliseconds it took."""

    error: str | None
    payload: dict[str, Any]
    took_ms: float


class LambdaHost:
    """One execution environment at a time of one function."""

    def __init__(
        self, environment: dict[str, str], *, folder: Path, handler: str = HANDLER, start: Starter = start_process
    ) -> None:
        self.environment = environment
        self._folder = folder
        self._handler = handler
        self._start_command = start
        self._closed = False
        self._lock = threading.Lock()
        self.api: RuntimeApi | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "function.log"

    def invoke(self, payload: Any, *, timeout_s: float = 120.0, memory_mib: int = 4096) -> Answer:
        """Invoke the function once; its environment is started where there is none."""
        if self.process is None or self.process.poll() is not None:
            self._end()
            with self._lock:
                self._start(memory_mib)
        began = time.perf_counter()
        self.api.give(json.dumps(payload).encode(), time.time() + timeout_s)
        kind, body = self._outcome(timeout_s)
        took_ms = (time.perf_counter() - began) * 1000
        told = json.loads(body or b"{}")
        return Answer(None if kind == "response" else told.get("errorType", kind), told, took_ms)

    def close(self) -> None:
        """End the environment, if there is one, and start no other."""
        with self._lock:
            self._closed = True
        self._end()

    def _end(self) -> None:
        if self.process is not None:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
        if self.api is not None:
            self.api.close()
            self.api = None

    def _outcome(self, timeout_s: float) -> tuple[str, bytes]:
        """The answer, or how Lambda names its absence. These shapes are as seen from real functions, not documented.

        That all of an environment is reset on both: see the restarts in the runtime environment's life cycle.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                return self.api.answers.get(timeout=0.02)
            except queue.Empty:
                code = self.process.poll()
                if code is not None:
                    how = "signal: killed" if code in _KILLED else f"exit status {code}"
                    return _error("Runtime.ExitError", f"Runtime exited with error: {how}")
        self._end()
        return _error("Sandbox.Timedout", f"Task timed out after {timeout_s:.2f} seconds")

    def _start(self, memory_mib: int) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime"""
        if self._closed:
            raise RuntimeError("the function is gone")
        temporary = self._folder / "tmp"  # a restart keeps its content: see "Restart", in the life cycle
        temporary.mkdir(exist_ok=True)
        self.api = RuntimeApi()
        environment = {
            "_HANDLER": self._handler,
            "AWS_LAMBDA_RUNTIME_API": self.api.address,
            "AWS_LAMBDA_FUNCTION_NAME": "fanfold-test-run-0",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mib),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            **self.environment,
        }
        command = ["python", "-m", "awslambdaric", self._handler]
        with self.log.open("ab") as log:
            self.process = self._start_command(command, environment, temporary, log, memory_mib)


def _error(kind: str, message: str) -> tuple[str, bytes]:
    return "error", json.dumps({"errorType": kind, "errorMessage": message}).encode()
