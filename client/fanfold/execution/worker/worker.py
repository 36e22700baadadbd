"""The worker: a process that performs calls of one bundle, one at a time, until its pool goes away.

It is forked by the fork server, or, where that cannot be, started as a program of its own: `__main__` of the user's
script is never imported again. Every import here is paid by every pool's start: standard library only, and little.
"""

from __future__ import annotations

import errno
import faulthandler
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import ClassVar

from fanfold.contract.layout import ENV_CONFINED
from fanfold.execution import channel
from fanfold.execution.channel import Called, Finished
from fanfold.execution.worker.perform import JobContext, LoadedUdf, perform, spare_files
from fanfold.execution.worker.sandbox import Sandbox
from fanfold.source.load import MainSpec

# How a worker that is a program of its own ends with its pool; forked ones end with their server.


def die_with_the_pool(lifeline: int) -> None:
    """Have the kernel kill this process and its children when the pool's process ends, however it ends.

    The pool alone holds the other end of `lifeline` and never writes to it. Where the kernel cannot signal on its
    closing (not Linux), a thread waits for that instead.
    """
    os.set_inheritable(lifeline, False)
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


#: The pool asks a hung worker by this signal where it hangs, before it kills it.
WHERE_SIGNAL = signal.SIGUSR2
#: What a message of the queue has at most; a larger buffer would take a microsecond of each call.
_MESSAGE_BYTES = 4096


def main() -> None:
    """Perform calls until the pool's end of the queue closes. As a program of its own."""

    calls, replies, trace, lifeline, folder = (*map(int, sys.argv[1:5]), sys.argv[5])
    del sys.argv[1:]
    die_with_the_pool(lifeline)
    name_main()
    run(calls, replies, trace, folder)
    os._exit(0)  # an ordinary exit would wait for threads that a UDF has left behind


def name_main() -> None:
    """Say, for processes that a UDF spawns, what their `__main__` is."""
    sys.modules["__main__"].__spec__ = MainSpec()  # type: ignore[assignment]


def run(calls: int, replies: int, trace: int, folder: str, on_children: Callable[[], None] = lambda: None) -> None:
    """Read `calls` until there are no more, answer on `replies`; in a crash write to `trace` where this stands."""
    if ENV_CONFINED in os.environ:
        from fanfold.execution.worker.confined import confine

        confine(os.environ[ENV_CONFINED])
    for fd in (calls, replies, trace):
        os.set_inheritable(fd, False)  # programs that the UDF starts have no part in this
    faulthandler.enable(trace)
    faulthandler.register(WHERE_SIGNAL, trace, all_threads=True)
    spare_files.keep()
    Worker(calls, replies, Sandbox(folder, on_children)).serve()


#: `carried.CARRIED`, which is imported where it is needed only.
_CARRIED = "carried"


class Worker:
    """The loop: take a call from the shared queue, perform it, answer."""

    #: That of this process, where it is a worker.
    of_this_process: ClassVar[Worker | None] = None

    def __init__(self, calls: int, replies: int, sandbox: Sandbox) -> None:
        Worker.of_this_process = self
        self.pid = os.getpid()
        #: The call under way, its job, and since when (time.monotonic seconds).
        self.now: tuple[Called, JobContext, float] | None = None
        self._calls = calls
        self._replies = replies
        self._sandbox = sandbox
        self._udf: LoadedUdf | None = None
        self._jobs: dict[int, JobContext] = {}
        self._folder = os.path.dirname(sandbox.folder)
        #: What no file has that a UDF may open under the number of a pipe that it has closed.
        fcntl.fcntl(replies, fcntl.F_SETFL, fcntl.fcntl(replies, fcntl.F_GETFL) | os.O_APPEND)
        self._pipes = _flags(calls, replies)

    def serve(self) -> None:
        """Answer each call with what came of it; say in the same breath which call was taken next."""
        answer = b""
        while True:
            try:
                message = self._read()
            except BlockingIOError:
                if answer:
                    self._say(answer)
                    answer = b""
                message = self._wait_for_call()
            if not message or message == channel.RETIRE:
                self._say(answer)
                return
            called = channel.unpack_call(message)
            self._say(answer + channel.pack_started(called.number, time.time(), self._sandbox.log_number))
            job = self._job(called.assignment)
            if job.is_sealed:
                called = job.with_key(called)
            if called.spilled:
                called = self._unspilled(called)
            self.now = called, job, time.monotonic()
            answer = channel.pack_finished(self._performed(called, job))
            self.now = None
            if self._sandbox.tainted:  # the next call deserves a clean process: answer, and wait to be killed
                self._say(answer)
                while True:
                    signal.pause()

    @property
    def folder(self) -> str:
        """What is its own alone."""
        return self._sandbox.folder

    def say(self, asked: channel.Asked) -> None:
        """Ask the pool something while a call is under way."""
        self._say(channel.pack_asked(asked))

    def _read(self) -> bytes:
        try:
            return os.read(self._calls, _MESSAGE_BYTES)
        except BlockingIOError:
            raise
        except OSError:
            os._exit(channel.EXIT_PIPES_CLOSED)

    def _say(self, answer: bytes) -> None:
        try:
            while answer:  # a signal may cut a write short
                answer = answer[os.write(self._replies, answer) :]
        except OSError:
            os._exit(channel.EXIT_PIPES_CLOSED)

    def _wait_for_call(self) -> bytes:
        """The next message of the queue that all workers share; never a blocking read, another may be faster."""
        while True:
            _wait_readable(self._calls)
            try:
                return self._read()
            except BlockingIOError:
                continue

    def _performed(self, called: Called, job: JobContext) -> Finished:
        """What came of a call. Ends the process where the UDF has left it nothing to answer by, or no file to open."""
        try:
            return self._perform(called, job)
        except OSError as error:
            if error.errno == errno.EMFILE:
                os._exit(channel.EXIT_NO_FILES)
            raise
        finally:
            if self._sandbox.is_touched and _flags(self._calls, self._replies) != self._pipes:
                os._exit(channel.EXIT_PIPES_CLOSED)

    def _perform(self, called: Called, job: JobContext) -> Finished:
        result_file = f"{self._folder}/{called.number}.result"
        arguments = called.arguments.decode()
        tidy = self._sandbox.tidy
        if job.serializer == _CARRIED:  # an executor's own: no bundle, everything comes with the call
            from fanfold.execution.worker import carried

            return self._sandbox.hold(called, job, lambda: carried.perform(arguments, result_file, tidy))
        return self._sandbox.hold(called, job, lambda: perform(job, arguments, result_file, tidy))

    def _job(self, number: int) -> JobContext:
        job = self._jobs.get(number)
        if job is None:
            with open(f"{self._folder}/assignment-{number}.json", encoding="utf-8") as file:
                facts = json.load(file)
            if self._udf is None and facts["serializer"] == _CARRIED:
                from fanfold.execution.worker.carried import CarriedUdf

                self._udf = CarriedUdf(self._folder)
            elif self._udf is None:
                self._udf = LoadedUdf(facts["bundle"], facts["blobs"])
            job = self._jobs[number] = JobContext(self._udf, facts)
        return job

    def _unspilled(self, called: Called) -> Called:
        path = f"{self._folder}/{called.number}.arguments"
        with open(path, "rb") as file:
            arguments = file.read()
        os.unlink(path)
        return called._replace(arguments=arguments)


def _flags(*fds: int) -> list[int]:
    """How these are open; none of one that is closed. A fifth of what `fstat` takes."""
    try:
        return [fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_NONBLOCK for fd in fds]  # a run may have read from them
    except OSError:
        return []


def _wait_readable(fd: int) -> None:
    import select

    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.poll()
