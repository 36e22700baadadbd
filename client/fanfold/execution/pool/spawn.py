"""How a pool gets its worker processes: forked by a fork server, or, where that cannot be, started one by one."""

from __future__ import annotations

import _socket
import array
import json
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fanfold.core.processes import close_private, keep_private, unforked
from fanfold.execution.channel import FORKED, PRELOAD

if TYPE_CHECKING:
    from fanfold.execution.calls import Assignment, Interpreter
    from fanfold.source.load import Bundle

_PACKAGE_ROOT = Path(__file__).resolve().parents[3]
#: `-c` puts '' on the path: the folder a job was submitted from must not be importable here, its modules travel.
#: What is imported stays for ever, and so gives a collector nothing to do.
_PROGRAM = (
    "import gc, sys; gc.disable(); sys.path[:] = filter(None, sys.path); sys.path.append(sys.argv.pop(1));"
    "from fanfold.execution.worker.{module} import main; gc.enable(); main()"
)
#: What has been killed and is not over by then is stuck in the kernel.
_STUCK_AFTER_S = 5.0


class Child(Protocol):
    """A worker's process, as the pool that asked for it sees it."""

    @property
    def pid(self) -> int:
        """Its process id; may wait until that is known."""

    def poll(self) -> int | None:
        """Its return code, negative for a signal; None while it lives."""

    def wait(self, timeout_s: float) -> int | None:
        """As `poll`, after at most that time."""

    def kill(self, *, tree: bool) -> None:
        """End it and, where it may have started any (`tree`), all processes that it has started."""

    def close(self) -> None:
        """Let go of what belongs to it here."""


class Spawner(Protocol):
    """Makes workers."""

    #: To be watched for reading, with `is_done_for` to be called then; -1 for none.
    fd: int

    def start(self, folder: Path, pipes: list[int]) -> Child:
        """A worker that has these descriptors (`worker.Pipes`)."""

    def preloading(self, packages: tuple[str, ...], threads: int) -> Spawner:
        """Another, whose workers come with these packages imported, for so many threads in each."""

    def is_done_for(self, now: float) -> bool:
        """Whether it can make no more, once what it says is noted; by `now`, in time.monotonic seconds."""

    def close(self) -> int:
        """End it, and its workers with it; its return code."""


def spawner(environment: dict[str, str] | None, interpreter: Interpreter) -> Spawner:
    """What makes workers here. `environment` is what they see beside the interpreter's own; None: as here."""
    python, variables, *_ = interpreter
    if python or variables:
        environment = _within(python, {**(os.environ if environment is None else environment), **dict(variables)})
    if sys.platform != "linux":
        return Launcher(environment, python)
    early = _early_one() if environment is None and not python else None
    return early or ForkServerClient(environment, python)


def surroundings() -> tuple[dict[str, str], str]:
    """What a process that is started now sees of this one: environment and folder."""
    try:
        return dict(os.environ), os.getcwd()
    except FileNotFoundError:  # somebody has removed the folder
        return dict(os.environ), ""


# An interpreter takes 40 ms to start, which can pass while a first caller still imports what it needs.

#: The fork server that was started early, by which process, and what it has seen.
_early: list[tuple[int, tuple[dict[str, str], str], ForkServerClient]] = []
#: Which processes have had theirs.
_had: set[int] = set()


def start_early() -> None:
    """Start what the first pool of this process forks its workers from."""
    if sys.platform == "linux" and os.getpid() not in _had:
        _had.add(os.getpid())
        _early.append((os.getpid(), surroundings(), ForkServerClient(None, "")))


def _early_one() -> ForkServerClient | None:
    """What was started early, where nothing that it has seen is another by now; what is of no use ends."""
    while _early:
        pid, seen, server = _early.pop()
        if pid != os.getpid():  # its descriptor was closed as this process was forked
            server.forget()
        elif seen == surroundings():
            return server
        else:
            server.close()
    return None


def _within(python: str, environment: dict[str, str]) -> dict[str, str]:
    """What an activated venv has: programs that a UDF starts by their names are those of its packages."""
    if not python:
        return environment
    programs = os.path.dirname(python)
    path = os.pathsep.join(filter(None, [programs, environment.get("PATH", os.defpath)]))
    return {**environment, "PATH": path, "VIRTUAL_ENV": os.path.dirname(programs)}


def _program(module: str, python: str) -> list[str]:
    return [python or sys.executable, "-c", _PROGRAM.format(module=module), str(_PACKAGE_ROOT)]


# Each worker of a bundle imports what the UDF imports. Where there are several, they are forked from a process that has
# imported the costly part: less CPU, and memory that they share.

#: Packages that take long to import, start no threads by that, and read nothing of their environment but how many
#: threads they may start.
_PRELOADED = ("numpy", "pandas")
#: What a UDF's file may do before it imports them, so that they would be others, or otherwise.
_BEFORE_IMPORT = ("environ", "putenv", "sys.path", "sys.modules", "meta_path", "addsitedir")


def interpreter_of(assignment: Assignment, *, workers: int, threads: int) -> Interpreter:
    """What the workers of a job come from, of which there may be so many, with so many threads in each."""
    plain = assignment.interpreter
    if sys.platform != "linux" or (workers == 1 and not assignment.fresh):
        return plain
    try:
        text = assignment.bundle.read_bytes()
    except OSError:  # an executor's has none; where a job's is gone, each run says so
        return plain
    if not any(f'"{name}"'.encode() in text for name in _PRELOADED):
        return plain
    # Not above: until they were imported, no fork server would start.
    from fanfold.errors import CaptureError
    from fanfold.source.load import Bundle

    try:
        preloaded = preloaded_by(Bundle.from_bytes(text))
    except CaptureError:  # damaged, or a newer Fanfold's, which each run says
        return plain
    return plain._replace(preloaded=preloaded, threads=threads) if preloaded else plain


def preloaded_by(bundle: Bundle) -> tuple[str, ...]:
    """What is imported where several workers of a bundle are forked from; nothing where each imports for itself."""
    texts = " ".join(source.text for source in bundle.sources)
    if set(_PRELOADED).isdisjoint(bundle.imports) or any(word in texts for word in _BEFORE_IMPORT):
        return ()
    if "pandas" in bundle.imports:
        return ("pandas",)  # which imports numpy, and its random numbers: all such UDFs may come from one process
    return ("numpy", "numpy.random") if "random" in texts else ("numpy",)  # from numpy 2 on the latter are apart


# Linux: one interpreter is started, which forks the workers.


class ForkServerClient:
    """The pool's side of the fork server (`worker.fork_server`)."""

    def __init__(
        self, environment: dict[str, str] | None, python: str, begin: Callable[[int], ServerProcess] | None = None
    ) -> None:
        """`begin` starts the process that is to serve that socket; None: an interpreter of its own."""
        with unforked():  # a child that had its end of the socket would keep this one from seeing it end
            self._socket, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
            self.fd = self._socket.fileno()
            keep_private(self.fd)
            self._process: ServerProcess = (
                SpawnedProcess(_program("fork_server", python), environment, theirs.fileno())
                if begin is None
                else begin(theirs.fileno())
            )
            theirs.close()
        self._unborn: deque[ForkedChild] = deque()
        self._living: dict[int, ForkedChild] = {}
        self.ended = False

    def start(self, folder: Path, pipes: list[int]) -> ForkedChild:
        """Ask for a worker; its process id comes later."""
        child = ForkedChild(self)
        self._unborn.append(child)
        self._ask(os.fsencode(folder), pipes)
        return child

    def preloading(self, packages: tuple[str, ...], threads: int) -> ForkServerClient:
        """Another like it, forked from it, that imports these packages before it forks workers."""

        def begin(control: int) -> ServerProcess:
            self._ask(PRELOAD + json.dumps([packages, threads]).encode(), [control])
            return PreloadingProcess()

        return ForkServerClient(None, "", begin)

    def read(self) -> None:
        """Take note of all that it has said."""
        while not self.ended and self._receive(_socket.MSG_DONTWAIT):
            pass

    def wait(self, until: float) -> None:
        """Wait for the next thing that it says, but not longer than `until` (time.monotonic seconds)."""
        import select

        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        if not self.ended and poll.poll(max(0.0, until - time.monotonic()) * 1000):
            self._receive(0)

    def is_done_for(self, now: float) -> bool:
        """Whether it has ended, or is ended here: what it was asked for long ago (time.monotonic) it does not do."""
        self.read()  # what it has said while this process was held up
        if self._unborn and now - self._unborn[0].asked_at > SILENT_S:
            self.give_up()
        return self.ended

    def give_up(self) -> None:
        """It does not answer, though it may be there: it is no more use."""
        self._process.kill()
        self._note_end()

    def _ask(self, what: bytes, fds: list[int]) -> None:
        """Say something to it. Where it has ended, so has what was asked for, before it began.

        Where much is unread it waits to be heard, while this would wait for it: each says no more until the other
        reads.
        """
        import select

        ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", fds))]
        until = time.monotonic() + SILENT_S
        poll = select.poll()
        poll.register(self.fd, select.POLLIN | select.POLLOUT)
        while not self.ended and not self._sent(what, ancillary):
            if time.monotonic() > until:
                self.give_up()
            poll.poll(1000)
            self.read()
        if self.ended:
            self._note_end()

    def _sent(self, what: bytes, ancillary: list[tuple[int, int, array.array[int]]]) -> bool:
        try:
            self._socket.sendmsg([what], ancillary, _socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            self.ended = True
        return True

    def forget(self) -> None:
        """Leave it to the process that this one was forked from."""
        self._socket.detach()

    def close(self) -> int:
        """It ends its workers, and all that they have started, before it ends itself."""
        with suppress(OSError):  # it has ended already
            self._socket.shutdown(_socket.SHUT_WR)
        until = time.monotonic() + _STUCK_AFTER_S
        while not self.ended and time.monotonic() < until:
            self.wait(until)
        self._socket.detach()
        close_private(self.fd)
        return self._process.end(by_force=not self.ended)

    def _receive(self, flags: int) -> bool:
        try:
            said = self._socket.recv(FORKED.size, flags)
        except BlockingIOError:
            return False
        except OSError:
            said = b""
        if not said:
            self._note_end()
            return False
        kind, pid, status = FORKED.unpack(said)
        if kind == b"p":
            child = self._living[pid] = self._unborn.popleft()
            child.born(pid)
        elif pid in self._living:
            self._living.pop(pid).code = os.waitstatus_to_exitcode(status)
        return True

    def _note_end(self) -> None:
        """It is gone, and by the kernel's doing its workers are as well."""
        self.ended = True
        code = self._process.poll()
        for child in [*self._unborn, *self._living.values()]:
            child.born(child.known_pid)
            child.code = -signal.SIGKILL if code is None or child.known_pid else code
        self._unborn.clear()
        self._living.clear()


class ServerProcess(Protocol):
    """The process of a fork server."""

    def kill(self) -> None:
        """End it at once, as far as that is for this process to do."""

    def poll(self) -> int | None:
        """Its return code; None while it lives, or where that is not known."""

    def end(self, *, by_force: bool) -> int:
        """Wait until it has ended; its return code."""


class PreloadingProcess:
    """A child of another fork server, which waits for it, and ends it with itself."""

    def kill(self) -> None:
        """Its parent ends it with itself."""

    def poll(self) -> int | None:
        """Not known here."""
        return None

    def end(self, *, by_force: bool) -> int:  # noqa: ARG002  its parent does
        """It has closed its socket, or its parent ends it."""
        return 0


#: A fork takes a millisecond, and the import of packages before it some seconds: one that is asked for a worker and has
#: made none by then will make none.
SILENT_S = 60.0
#: What the fork server's end of the socket is called there.
_CONTROL = 3


class SpawnedProcess:
    """An interpreter in a session of its own. `subprocess` would take longer to import than it to start."""

    def __init__(self, program: list[str], environment: dict[str, str] | None, control: int) -> None:
        others = [(os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable()]
        self._pid = os.posix_spawn(
            program[0],
            [*program, str(_CONTROL)],
            os.environ if environment is None else environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, control, _CONTROL),
                *others,
            ],
            setsid=True,
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # Python ignores them: what a UDF starts must not
        )
        self._code: int | None = None

    def poll(self) -> int | None:
        """Its return code; None while it lives."""
        if self._code is None:
            try:
                pid, status = os.waitpid(self._pid, os.WNOHANG)
            except ChildProcessError:  # this process takes no note of its children, or another part of it did
                pid, status = self._pid, 0
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def kill(self) -> None:
        """End it at once."""
        if self.poll() is None:
            os.kill(self._pid, signal.SIGKILL)

    def end(self, *, by_force: bool) -> int:
        """Wait until it has ended; its return code."""
        until, pause_s = time.monotonic() + _STUCK_AFTER_S, 0.0001
        if by_force:
            self.kill()
        while self.poll() is None and time.monotonic() < until:
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 0.01)
        if self.poll() is None and not by_force:  # it has closed its socket, and yet lives
            return self.end(by_force=True)
        return self.poll() or 0


def _inheritable() -> list[int]:
    """Descriptors that a library of the caller's has opened for whatever process is started."""
    found = []
    for fd in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):
            if fd > _CONTROL and os.get_inheritable(fd):
                found.append(fd)
    return found


class ForkedChild:
    """A worker that the fork server has forked, or is about to."""

    def __init__(self, server: ForkServerClient) -> None:
        self._server = server
        #: When (time.monotonic seconds).
        self.asked_at = time.monotonic()
        self.known_pid: int = 0
        self._born = False
        self.code: int | None = None

    def born(self, pid: int) -> None:
        """The fork server has said which process it is; 0 where there will be none."""
        self.known_pid, self._born = pid, True

    @property
    def pid(self) -> int:
        """Its process id; 0 where it ended before it had one."""
        until = self.asked_at + SILENT_S
        while not self._born:
            self._server.wait(until)
            if time.monotonic() > until and not self._born:
                self._server.give_up()
        return self.known_pid

    def poll(self) -> int | None:
        """Its return code, once all that it had started is gone as well."""
        self._server.read()
        return self.code

    def wait(self, timeout_s: float) -> int | None:
        """As `poll`, after at most that time."""
        until = time.monotonic() + timeout_s
        while self.poll() is None and time.monotonic() < until:
            self._server.wait(until)
        return self.code

    def kill(self, *, tree: bool) -> None:  # noqa: ARG002  the fork server ends all that a worker leaves
        """End it."""
        if self.code is None and self.pid:
            with suppress(OSError):
                os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Nothing of it is here."""


# Elsewhere: each worker is an interpreter of its own.


class Launcher:
    """Starts interpreters."""

    fd = -1

    def __init__(self, environment: dict[str, str] | None, python: str) -> None:
        self._environment, self._python = environment, python

    def start(self, folder: Path, pipes: list[int]) -> LaunchedChild:
        """A worker, as an interpreter of its own."""
        return LaunchedChild(_program("worker", self._python), self._environment, folder, pipes)

    def preloading(self, packages: tuple[str, ...], threads: int) -> Launcher:  # noqa: ARG002
        """The same: an interpreter that is started has nothing imported."""
        return Launcher(self._environment, self._python)

    def is_done_for(self, now: float) -> bool:  # noqa: ARG002
        """It is no process."""
        return False

    def close(self) -> int:
        """Each worker is ended by itself."""
        return 0


class LaunchedChild:
    """A child interpreter in a session of its own, so that a Ctrl-C at the terminal is not for it."""

    def __init__(self, program: list[str], environment: dict[str, str] | None, folder: Path, pipes: list[int]) -> None:
        import subprocess

        watched, self._lifeline = os.pipe()  # nothing is ever written: its closing is the message
        keep_private(self._lifeline)
        self._process = subprocess.Popen(
            [*program, *map(str, [*pipes, watched]), str(folder)],
            stdin=subprocess.DEVNULL,
            pass_fds=[*pipes, watched],
            start_new_session=True,
            env=environment,
        )
        os.close(watched)
        from fanfold.execution.pool.tree import ProcessTree

        self.pid = self._process.pid
        self._tree = ProcessTree(self.pid)

    def poll(self) -> int | None:
        """Its return code, or None."""
        return self._process.poll()

    def wait(self, timeout_s: float) -> int | None:
        """As `poll`, after at most that time. What it had started must not outlive it."""
        import subprocess

        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        self._tree.kill_seen()
        self._kill_group()
        return code

    def kill(self, *, tree: bool) -> None:
        """End it and everything it has started, also what has left its session."""
        if tree:
            self._tree.kill()
        self._kill_group()

    def close(self) -> None:
        """Let go of its lifeline."""
        close_private(self._lifeline)

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
