"""A process of its own that does for the page what would hold its interpreter: it is asked, and answers when it knows.

The loop that serves all viewers shares one interpreter with whatever else its process does. What computes for long is
done by another process, which is started when somebody asks, and ended when nobody has asked for a while.
"""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import count
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

from fanfold.core.processes import program_of
from fanfold.errors import FanfoldError, SignInNeeded

#: A child that has closed its end is over by then.
_GONE_S = 10.0


class AskedProcess:
    """At most one child at a time, for all viewers. Any thread may ask; each waits for its own answer.

    `module` is what the child runs, which calls `answer` with its actions. `gone` is how its end is told, with the next
    step, to those who wait for it then.
    """

    def __init__(self, module: str, *, idle_s: float, gone: tuple[str, str]) -> None:
        self._program, self._idle_s, self._gone = program_of(module), idle_s, gone
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self._is_over = False
        atexit.register(self.close)

    def ask(self, what: str, *arguments: Any) -> Any:
        """Have an action of the child carried out; waits for its answer.

        Raises `FanfoldError` in the words of the child, or where it has ended.
        """
        return self._running().ask(what, arguments).result()

    @property
    def is_busy(self) -> bool:
        """Whether somebody waits for an answer."""
        return self._child is not None and self._child.idle_s() == 0.0

    def start(self) -> None:
        """Have it running before somebody asks."""
        self._running()

    def end_if_idle(self) -> None:
        """End the child where nobody has asked for a while, and with it all that it holds."""
        with self._lock:
            if self._child is not None and self._child.idle_s() > self._idle_s:
                self._end()

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._end()

    def close_for_good(self) -> None:
        """End the child, and start none any more: who asks is told that it has ended."""
        with self._lock:
            self._is_over = True
            self._end()

    def _end(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None

    def _running(self) -> _Child:
        with self._lock:
            if self._is_over:
                raise FanfoldError("The page is ending.", next_step="start it again: `fanfold workbench`.")
            if self._child is None or self._child.has_ended:
                self._child = _Child(self._program, self._gone)
            return self._child


class _Child:
    """One child, and who waits for its answers."""

    def __init__(self, program: str, gone: tuple[str, str]) -> None:
        self._gone = gone
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", program, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for the page, which ends this one
            )
        self._connection = Connection(ours.detach())
        self._lock = threading.Lock()
        self._numbers, self._waiting = count(), dict[int, Future[Any]]()
        self._asked_at, self.has_ended = time.monotonic(), False
        threading.Thread(target=self._receive, name="fanfold-answers", daemon=True).start()

    def ask(self, what: str, arguments: tuple[Any, ...]) -> Future[Any]:
        answer: Future[Any] = Future()
        with self._lock:
            self._asked_at = time.monotonic()
            self._waiting[number := next(self._numbers)] = answer
            try:
                self._connection.send((number, what, arguments))
            except OSError:  # it has ended, and then those who wait are told so
                pass
            except BaseException:  # what cannot be sent is not waited for
                del self._waiting[number]
                raise
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
        """Hand each answer to who waits for it, until the child has ended, or says what cannot be read."""
        unread: BaseException | None = None
        try:
            with suppress(EOFError, OSError), self._connection:
                while True:
                    number, error, value = self._connection.recv()
                    answer = self._waiting.pop(number)
                    self._asked_at = time.monotonic()
                    answer.set_result(value) if error is None else answer.set_exception(_as_error(*error))
        except BaseException as error:  # noqa: BLE001  those who wait are to hear of it
            unread = error
            self._process.kill()
        with self._lock:
            self.has_ended = True
            self._fail(unread)

    def _fail(self, unread: BaseException | None = None) -> None:
        words, next_step = self._gone
        said = words.format(code=self._code()) + (f" What it had said could not be read: {unread!r}." if unread else "")
        while self._waiting:
            _, answer = self._waiting.popitem()
            failure = FanfoldError(said, next_step=next_step)
            failure.__cause__ = unread
            answer.set_exception(failure)

    def _code(self) -> int:
        try:
            return self._process.wait(_GONE_S)
        except subprocess.TimeoutExpired:  # it says nothing any more, and yet lives
            self._process.kill()
            return self._process.wait()


def _as_error(message: str, next_step: str, needs_sign_in: bool) -> FanfoldError:
    return (SignInNeeded if needs_sign_in else FanfoldError)(message, next_step=next_step)


# The child's side.


def answer(actions: Mapping[str, Callable[..., Any]], threads: int) -> None:
    """Answer until the other end is closed, which it is when the page's process has ended, however that was."""
    connection, lock = Connection(int(sys.argv[1])), threading.Lock()
    pool = ThreadPoolExecutor(threads)
    try:
        while True:
            number, what, arguments = connection.recv()
            done = pool.submit(actions[what], *arguments)
            done.add_done_callback(partial(_send, connection, lock, number))
    except (EOFError, OSError):
        os._exit(0)  # whatever is still being read, nobody waits for it
    except BaseException:  # noqa: BLE001  its threads may go on for long, and those who wait are to hear of it now
        traceback.print_exc()
        os._exit(1)


def _send(connection: Connection, lock: threading.Lock, number: int, done: Future[Any]) -> None:
    error, value, words = done.exception(), None, None
    if error is None:
        value = done.result()
    elif isinstance(error, FanfoldError):
        words = (error.message, error.next_step, isinstance(error, SignInNeeded))
    else:
        traceback.print_exception(error)
        words = (f"{type(error).__name__}: {error}", "", False)
    try:
        said = ForkingPickler.dumps((number, words, value))
    except Exception as unsent:  # noqa: BLE001  the user's own __reduce__
        traceback.print_exception(unsent)
        words = (f"The answer could not be sent: {type(unsent).__name__}: {unsent}", "", False)
        said = ForkingPickler.dumps((number, words, None))
    with lock:
        connection.send_bytes(said)
