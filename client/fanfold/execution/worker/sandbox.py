"""What a call finds around it in a worker, and what it must not leave behind for the next one.

Imported by workers: cheap standard library only.
"""

import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from types import FrameType
from typing import Any

from fanfold.contract.layout import ENV_MOUNT, ENV_RUN, ENV_SOURCE
from fanfold.execution.channel import Finished
from fanfold.execution.worker.interpreter import InterpreterState, reaches_the_interpreter, restore_builtins
from fanfold.execution.worker.perform import Assignment, Outcome
from fanfold.execution.worker.usage import CpuTime, PeakMemory
from fanfold.source.bundle import Bundle
from fanfold.source.load import is_loaded_source

#: Left-over memory worth a full garbage collection before the next call.
_COLLECT_ABOVE_MIB = 64.0
#: prctl(2)
_PR_SET_CHILD_SUBREAPER = 36


class Surroundings:
    """Output, environment and usage of one worker, call after call.

    Output is captured at the file descriptors, so that C code and child processes are heard as well. A call that
    printed anything leaves its log file to the pool; the next call gets a new one, so what an old child still
    prints cannot reach another run's log.
    """

    def __init__(self, log_folder: str) -> None:
        self.folder = log_folder
        self.log_number = -1
        self._log = -1
        self.stained = False
        self._memory = PeakMemory()
        self._next_log()
        sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
        self._streams = sys.stdout, sys.stderr
        self._threads = len(sys._current_frames())
        self._pid = os.getpid()
        self._flush_native: Callable[[Any], Any] | None = None
        self._interpreter: InterpreterState | None = None
        self._folder = _standing(log_folder)
        self._argv, self._path, self._path_entries = sys.argv[:], sys.path, sys.path[:]
        self._variables = os.environ
        self._environ: dict[bytes, bytes] = {}
        self._job_id = ""
        self._cpu = CpuTime()

    def expect(self, bundle: Bundle) -> None:
        """Take note of what calls of this bundle can do, before it is loaded. Those that import nothing cost no more.

        A UDF with imports may print through C, whose buffers are flushed then; it may fork, and its orphans are
        adopted; and it may change what the whole interpreter goes by.
        """
        if not reaches_the_interpreter(bundle):
            return
        if self._flush_native is None or self._interpreter is None:
            self._flush_native = _native_flush()
            _adopt_orphans()
            self._interpreter = InterpreterState()
        self._interpreter.expect(bundle)

    def tidy(self) -> None:
        """Undo what the UDF has changed for all code of this process: as soon as it is over, before its result is kept.

        What cannot be undone, or may be meant by a library that stays imported, is left to a new process.
        """
        if restore_builtins():
            self.stained = True
        if self._interpreter is not None and not self._interpreter.restore():
            self.stained = True

    def hold(self, call: int, assignment: Assignment, perform: Callable[[], Outcome]) -> Finished:
        """Perform one call of a job within its own output and environment; what came of it and what it took."""
        if assignment.job_id != self._job_id:
            self._enter(assignment)
        self._memory.restart()
        began = time.perf_counter()
        outcome = copy_context().run(perform)  # a context variable, such as Decimal's precision, is the run's own
        if os.getpid() != self._pid:
            self._flush()
            os._exit(outcome.output is None)  # a child that the UDF forked and let go on: not our answer
        duration_s = time.perf_counter() - began
        cpu_s = self._cpu.since_last(duration_s)
        self._flush()
        peak_mib = self._memory.peak_mib(duration_s)
        printed = self._log_number_if_used()
        self._restore()
        self.stained = self._has_leftovers()
        return Finished(call, time.time(), duration_s, cpu_s, peak_mib, *outcome, printed, self.stained)

    def _enter(self, assignment: Assignment) -> None:
        """Say in the environment, also for processes that the UDF starts, what job this is a run of."""
        os.environ[ENV_RUN] = self._job_id = assignment.job_id
        os.environ[ENV_SOURCE] = assignment.source
        if assignment.mount:
            os.environ[ENV_MOUNT] = assignment.mount
        # The mapping behind os.environ: comparing it takes 1 µs, decoding every variable of os.environ 40.
        self._environ = os.environ._data.copy()  # type: ignore[attr-defined]

    def _next_log(self) -> None:
        self.log_number += 1
        previous = self._log
        flags = os.O_CREAT | os.O_RDWR | os.O_APPEND
        self._log = os.open(f"{self.folder}/{self.log_number}.log", flags, 0o600)
        os.dup2(self._log, 1)
        os.dup2(self._log, 2)
        if previous >= 0:
            os.close(previous)

    def _flush(self) -> None:
        """Bring all output to the file, also where the UDF replaced or closed the streams."""
        ours = self._streams
        for stream in (getattr(sys, "stdout", None), getattr(sys, "stderr", None)):
            if stream is not ours[0] and stream is not ours[1]:
                with suppress(BaseException):  # the UDF's own stream, or none
                    stream.flush()  # type: ignore[union-attr]
        for stream in ours:
            try:
                stream.flush()
            except (OSError, ValueError):  # closed, or still full of what could not be written: the next would print it
                self.stained = True
        sys.stdout, sys.stderr = ours
        if self._flush_native:
            self._flush_native(None)

    def _log_number_if_used(self) -> int | None:
        if not os.fstat(self._log).st_size:
            os.dup2(self._log, 1)  # the UDF may have closed or redirected them
            os.dup2(self._log, 2)
            return None
        used = self.log_number
        self._next_log()
        return used

    def _restore(self) -> None:
        """Undo what the UDF may have changed for whatever runs next in this process."""
        os.environ = self._variables  # noqa: B003  the UDF may have put another mapping in its place
        if os.environ._data != self._environ:  # type: ignore[attr-defined]
            os.environ.clear()
            os.environ.update({os.fsdecode(name): os.fsdecode(value) for name, value in self._environ.items()})
            time.tzset()  # C keeps what it has read of TZ
        try:
            moved = os.getcwd() != self._folder
        except FileNotFoundError:  # it removed the folder it stood in
            moved = True
        if moved:
            try:
                os.chdir(self._folder)
            except OSError:  # nor can this process go on there
                self.stained = True
        sys.argv = self._argv[:]
        sys.path = self._path
        sys.path[:] = self._path_entries
        signal.setitimer(signal.ITIMER_REAL, 0)
        if self._memory.left_mib() > _COLLECT_ABOVE_MIB:
            gc.collect()

    def _has_leftovers(self) -> bool:
        """True where a child process is alive, or a thread still runs the UDF's own code.

        A library's idle thread (a connection pool, a progress monitor) is no leftover: it belongs to a module that
        stays imported, and a new process for each call would make every call pay that import again.
        """
        if self.stained or _has_living_children():
            return True
        frames = sys._current_frames()
        return len(frames) > self._threads and (
            any(_runs_users_code(frame) for frame in frames.values()) or _will_run_users_code()
        )


def _standing(otherwise: str) -> str:
    """The folder this process stands in, or another where somebody has removed it."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        os.chdir(otherwise)
        return otherwise


def _adopt_orphans() -> None:
    """Become the parent of what the UDF's children leave behind, so that a daemon of theirs is seen and ended."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _native_flush() -> Callable[[Any], Any]:
    """C's `fflush`; ctypes is imported only in workers that run code with imports of its own."""
    import ctypes

    flush: Callable[[Any], Any] = ctypes.CDLL(None).fflush
    return flush


def _has_living_children() -> bool:
    while True:
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if not ended:
            return True


def _runs_users_code(frame: FrameType | None) -> bool:
    while frame is not None:
        if is_loaded_source(frame.f_code.co_filename):
            return True
        frame = frame.f_back
    return False


def _will_run_users_code() -> bool:
    """Whether a thread waits to call the UDF's code later, such as a timer."""
    import threading

    for thread in threading.enumerate():
        target = getattr(thread, "function", None) or getattr(thread, "_target", None)
        code = getattr(target, "__code__", None)
        if code is not None and is_loaded_source(code.co_filename):
            return True
    return False
