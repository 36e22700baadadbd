"""The worker: a child interpreter that performs calls, one at a time, until its pool goes away.

It is started as a program of its own, so `__main__` of the user's script is never imported again. Every import here
is paid by every worker's start: standard library only, and little of it.
"""

import faulthandler
import fcntl
import json
import os
import signal
import sys
import time

from fanfold.execution import channel as wire
from fanfold.execution.worker import perform
from fanfold.execution.worker.sandbox import Surroundings
from fanfold.source.load import MainSpec

#: The pool asks a hung worker by this signal where it hangs, before it kills it.
WHERE_SIGNAL = signal.SIGUSR2
#: More than any message of the queue has.
_MESSAGE_BYTES = 1 << 16
#: Jobs whose compiled source is kept: several may be served in turn.
_REMEMBERED = 16


def main() -> None:
    """Perform calls until the pool's end of the queue closes."""
    calls, replies, lifeline, trace, log_folder = (*map(int, sys.argv[1:5]), sys.argv[5])
    del sys.argv[1:]
    for fd in (calls, replies, lifeline, trace):
        os.set_inheritable(fd, False)  # programs that the UDF starts have no part in this
    _die_with_the_pool(lifeline)
    sys.modules["__main__"].__spec__ = MainSpec()  # type: ignore[assignment]  # for processes that the UDF spawns
    faulthandler.enable(trace)
    faulthandler.register(WHERE_SIGNAL, trace, all_threads=True)
    Worker(calls, replies, Surroundings(log_folder)).serve()
    os._exit(0)  # an ordinary exit would wait for threads that a UDF has left behind


class Worker:
    """The loop: take a call from the shared queue, perform it, answer."""

    def __init__(self, calls: int, replies: int, surroundings: Surroundings) -> None:
        self._calls = calls
        self._replies = replies
        self._surroundings = surroundings
        self._assignments: dict[int, perform.Assignment] = {}
        self._loaded: dict[str, perform.Assignment] = {}
        self._folder = os.path.dirname(surroundings.folder)

    def serve(self) -> None:
        """Answer each call with what came of it; say in the same breath which call was taken next."""
        answer = b""
        while True:
            try:
                message = os.read(self._calls, _MESSAGE_BYTES)
            except BlockingIOError:
                if answer:
                    self._say(answer)
                    answer = b""
                message = self._wait_for_call()
            if not message:
                return
            call, assignment, spilled, arguments = wire.unpack_call(message)
            self._say(answer + wire.pack_started(call, time.time(), self._surroundings.log_number))
            if spilled:
                arguments = self._unspilled(call)
            answer = wire.pack_finished(self._perform(call, self._assignment(assignment), arguments.decode()))
            if self._surroundings.stained:  # the next call deserves a clean process: answer, and wait to be killed
                self._say(answer)
                while True:
                    signal.pause()

    def _say(self, answer: bytes) -> None:
        while answer:  # a signal may cut a write short
            answer = answer[os.write(self._replies, answer) :]

    def _wait_for_call(self) -> bytes:
        """The next message of the queue that all workers share; never a blocking read, another may be faster."""
        while True:
            _wait_readable(self._calls)
            try:
                return os.read(self._calls, _MESSAGE_BYTES)
            except BlockingIOError:
                continue

    def _perform(self, call: int, assignment: perform.Assignment, arguments: str) -> wire.Finished:
        result_file = f"{self._folder}/{call}.result"
        around = self._surroundings
        return around.hold(call, assignment, lambda: perform.perform(assignment, arguments, result_file, around.tidy))

    def _assignment(self, number: int) -> perform.Assignment:
        known = self._assignments.get(number)
        if known is None:
            with open(f"{self._folder}/assignment-{number}.json", encoding="utf-8") as file:
                told = file.read()
            if len(self._assignments) >= _REMEMBERED:
                self._assignments.clear()
                self._loaded.clear()
            known = self._loaded.get(told)  # a job that comes again, a run at a time, is not compiled anew
            if known is None:
                known = perform.Assignment(**json.loads(told), on_load=self._surroundings.expect)
                self._loaded[told] = known
            self._assignments[number] = known
        return known

    def _unspilled(self, number: int) -> bytes:
        path = f"{self._folder}/{number}.arguments"
        with open(path, "rb") as file:
            arguments = file.read()
        os.unlink(path)
        return arguments


def _die_with_the_pool(lifeline: int) -> None:
    """Have the kernel kill this process and its children when the pool's process ends, however it ends.

    The pool alone holds the other end of `lifeline` and never writes to it. Where the kernel cannot signal on its
    closing (not Linux), a thread waits for that instead.
    """
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
        if _closed(lifeline):  # the pool ended before this was set up
            os.killpg(0, signal.SIGKILL)
    else:
        import threading

        def wait_for_the_end() -> None:
            os.read(lifeline, 1)
            os.killpg(0, signal.SIGKILL)

        threading.Thread(target=wait_for_the_end, name="fanfold-lifeline", daemon=True).start()


def _closed(lifeline: int) -> bool:
    try:
        return os.read(lifeline, 1) == b""
    except BlockingIOError:
        return False


def _wait_readable(fd: int) -> None:
    import select

    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.poll()
