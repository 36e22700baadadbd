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
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from fanfold.contract.layout import ENV_CONFINED
from fanfold.contract.records import NamedTuple
from fanfold.execution import channel
from fanfold.execution.channel import Called, Finished
from fanfold.execution.worker.perform import JobContext, LoadedUdf, perform, spare_files
from fanfold.execution.worker.sandbox import Sandbox
from fanfold.source.load import MainSpec

if TYPE_CHECKING:
    from fanfold.execution.worker.chunk import Chunks

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


#: What a message of the queue has at most; a larger buffer would take a microsecond of each call.
_MESSAGE_BYTES = 4096


def main() -> None:
    """Perform calls until the pool's end of the queue closes. As a program of its own."""

    *pipes, lifeline = map(int, sys.argv[1:-1])
    folder = sys.argv[-1]
    del sys.argv[1:]
    die_with_the_pool(lifeline)
    name_main()
    run(Pipes(*pipes), folder)
    os._exit(0)  # an ordinary exit would wait for threads that a UDF has left behind


def name_main() -> None:
    """Say, for processes that a UDF spawns, what their `__main__` is."""
    sys.modules["__main__"].__spec__ = MainSpec()  # type: ignore[assignment]


class Pipes(NamedTuple):
    """What is between a worker and its pool: it reads `calls` until there are no more, and answers on `replies`.

    In a crash it writes to `trace` where it stands. Of calls that it has taken together it writes the numbers to
    `offers`, and reads each from `claims` before it begins it: the pool may read there what is to go to another worker.
    """

    calls: int
    replies: int
    trace: int
    claims: int
    offers: int


def run(pipes: Pipes, folder: str, on_children: Callable[[], None] = lambda: None) -> None:
    """Perform calls until there are no more."""
    if ENV_CONFINED in os.environ:
        from fanfold.execution.worker.confined import confine

        confine(os.environ[ENV_CONFINED])
    for fd in pipes:
        os.set_inheritable(fd, False)  # programs that the UDF starts have no part in this
    faulthandler.enable(pipes.trace)
    faulthandler.register(channel.WHERE_SIGNAL, pipes.trace, all_threads=True)
    spare_files.keep()
    Worker(pipes, Sandbox(folder, on_children)).serve()


#: `carried.CARRIED`, which is imported where it is needed only.
_CARRIED = "carried"


class Worker:
    """The loop: take a call from the shared queue, perform it, answer."""

    #: That of this process, where it is a worker.
    of_this_process: ClassVar[Worker | None] = None

    def __init__(self, pipes: Pipes, sandbox: Sandbox) -> None:
        Worker.of_this_process = self
        self.pid = os.getpid()
        #: The call under way, its job, and since when (time.monotonic seconds).
        self.now: tuple[Called, JobContext, float] | None = None
        self._calls, self._replies, _, *self._for_chunks = pipes
        self._chunks: Chunks | None = None
        self._sandbox = sandbox
        self._udf: LoadedUdf | None = None
        self._jobs: dict[int, JobContext] = {}
        self._folder = os.path.dirname(sandbox.folder)
        #: What no file has that a UDF may open under the number of a pipe that it has closed.
        flags = fcntl.fcntl(self._replies, fcntl.F_GETFL)
        fcntl.fcntl(self._replies, fcntl.F_SETFL, flags | os.O_APPEND)
        self._pipes = _flags(self._calls, self._replies)

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
            calls = channel.unpack_calls(message)
            if len(calls) > 1:
                answer = self._serve_chunk(calls, answer)
            else:
                self._say_started(answer, calls)
                answer = self._answered(calls[0])

    def _serve_chunk(self, calls: list[Called], answer: bytes) -> bytes:
        """Perform calls that were taken together, as far as the pool does not take them back; the last answer."""
        if self._chunks is None:
            from fanfold.execution.worker.chunk import Chunks  # for short calls alone

            self._chunks = Chunks(self._sandbox, *self._for_chunks)
        self._chunks.claims.offer([called.number for called in calls[1:]])
        job = self._job(calls[0].assignment)
        while calls:
            self._say_started(answer, calls)
            given = self._chunks.decoded(calls, job) if self._sandbox.is_quiet(calls, job) else None
            if given is not None:
                answer, calls = self._chunks.perform(calls, given, job)
                self._end_if_tainted(answer)
            else:
                answer, calls = self._answered(calls[0]), calls[1:]
            if calls and not self._chunks.claims.claim(calls[0].number):
                return answer + channel.pack_returned([called.number for called in calls])
        return answer

    def _say_started(self, answer: bytes, calls: list[Called]) -> None:
        """Say what came of the last call, and in the same breath which are taken now."""
        self._say(answer + channel.pack_started(calls[0].number, time.time(), self._sandbox.log_number, len(calls)))

    def _answered(self, called: Called) -> bytes:
        """What came of one call, to be said. Does not return where no other call may come to this process."""
        job = self._job(called.assignment)
        if job.is_sealed:
            called = job.with_key(called)
        if called.spilled:
            called = self._unspilled(called)
        self.now = called, job, time.monotonic()
        answer = channel.pack_finished(self._performed(called, job))
        self.now = None
        self._end_if_tainted(answer)
        return answer

    def _end_if_tainted(self, answer: bytes) -> None:
        """The next call deserves a clean process: answer, and wait to be killed."""
        if self._sandbox.tainted:
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
            if self._sandbox.is_touched:
                if _flags(self._calls, self._replies) != self._pipes:
                    os._exit(channel.EXIT_PIPES_CLOSED)
                self._wait_for_none()

    def _wait_for_none(self) -> None:
        """Have no reading wait, whatever the UDF has made of it: what is to be said must not wait for another call."""
        for fd in (self._calls, *(self._for_chunks[:1] if self._chunks is not None else ())):
            with suppress(OSError):  # the UDF has closed it, as who reads it next will see
                if not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK:
                    os.set_blocking(fd, False)

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
