"""A process of its own that reads results for the page: tables, shapes, looks at values, files, comparisons.

To read results takes pandas, pyarrow and what the results weigh, and holds the interpreter for long stretches. In the
process that serves the pages that would stay for ever, and every viewer would wait for it. This one is started when
somebody asks, and ended when nobody has asked for a while.
"""

from __future__ import annotations

import atexit
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from itertools import count
from multiprocessing.connection import Connection
from typing import Any

from fanfold.core.processes import program_of
from fanfold.errors import FanfoldError

#: It is ended when nobody has asked for this long.
_IDLE_S = 120.0
_PROGRAM = program_of("fanfold.workbench.results_child")


class ResultsProcess:
    """At most one child at a time, for all viewers. Any thread may ask; each waits for its own answer."""

    def __init__(self, idle_s: float = _IDLE_S) -> None:
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._child: _Child | None = None
        atexit.register(self.close)

    def ask(self, what: str, *arguments: Any) -> Any:
        """Have an action of `results_child` carried out; waits for its answer.

        Raises `FanfoldError` in the words of the child, or where it has ended.
        """
        return self._running().ask(what, arguments).result()

    @property
    def is_busy(self) -> bool:
        """Whether somebody waits for an answer."""
        return self._child is not None and self._child.idle_s() == 0.0

    def end_if_idle(self) -> None:
        """End the child where nobody has asked for a while, and with it all that it holds."""
        with self._lock:
            if self._child is not None and self._child.idle_s() > self._idle_s:
                self._end()

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None

    def _running(self) -> _Child:
        with self._lock:
            if self._child is None or self._child.has_ended:
                self._child = _Child()
            return self._child


class _Child:
    """One child, and who waits for its answers."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for the page, which ends this one
            )
        self._connection = Connection(ours.detach())
        self._lock = threading.Lock()
        self._numbers, self._waiting = count(), dict[int, Future[Any]]()
        self._asked_at, self.has_ended = time.monotonic(), False
        threading.Thread(target=self._receive, name="fanfold-results", daemon=True).start()

    def ask(self, what: str, arguments: tuple[Any, ...]) -> Future[Any]:
        answer: Future[Any] = Future()
        with self._lock:
            self._asked_at = time.monotonic()
            self._waiting[number := next(self._numbers)] = answer
            with suppress(OSError):  # it has ended, and then those who wait are told so
                self._connection.send((number, what, arguments))
            if self.has_ended:
                self._fail()
        return answer

    def idle_s(self) -> float:
        """Seconds since somebody asked; 0 while somebody waits."""
        return 0.0 if self._waiting else time.monotonic() - self._asked_at

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _receive(self) -> None:
        """Hand each answer to who waits for it, until the child has ended."""
        with suppress(EOFError, OSError), self._connection:
            while True:
                number, error, value = self._connection.recv()
                answer = self._waiting.pop(number)
                self._asked_at = time.monotonic()
                answer.set_result(value) if error is None else answer.set_exception(_as_error(*error))
        with self._lock:
            self.has_ended = True
            self._fail()

    def _fail(self) -> None:
        code = self._process.wait()
        while self._waiting:
            _, answer = self._waiting.popitem()
            answer.set_exception(
                FanfoldError(
                    f"What reads results for the page has ended (exit code {code}), as it does where memory runs out.",
                    next_step="read fewer of them: `fanfold.get_job(...).collect(to=...)` writes them in parts.",
                )
            )


def _as_error(message: str, next_step: str) -> FanfoldError:
    return FanfoldError(message, next_step=next_step)
