"""The fork server: a blank interpreter, with all imported that a worker needs, which forks workers on request.

A fork takes 1 ms where an interpreter takes 40 to start, so a bundle, or each run of `fresh=True`, can have processes
of its own. It is also the parent of whatever workers leave behind: their children are ended with them, all but the
resource trackers of multiprocessing, which see for themselves that they are alone, and then remove the shared memory
that is left.

Linux only. Cheap standard library only: every import here is paid by every pool's start.
"""

import _signal  # type: ignore[import-not-found]
import _socket
import gc
import json
import os
import select
import sys
import time
from contextlib import suppress
from importlib import import_module
from typing import Any

from fanfold.execution.channel import FORKED, PRELOAD
from fanfold.execution.worker import worker
from fanfold.execution.worker.interpreter import (
    PR_SET_CHILD_SUBREAPER,
    PR_SET_PDEATHSIG,
    children_of,
    is_tracker,
    prctl,
    remove_run_folders,
    wait_for_child,
)
from fanfold.execution.worker.sandbox import share_threads

_REQUEST_BYTES = 1 << 16
_FDS = 5
_FD_BYTES = 4
#: What has been killed and still is not gone by then is stuck in the kernel.
_STUCK_AFTER_S = 3.0


def main() -> None:
    """Serve the pool at the other end of the socket until that closes."""
    control = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, int(sys.argv[1]))
    os.set_inheritable(control.fileno(), False)
    del sys.argv[1:]
    worker.name_main()
    gc.freeze()  # what is here is for ever: a worker's collections need not copy its pages
    ForkServer(control).serve()


class ForkServer:
    """Forks workers, tells how each has ended, and ends what it has left behind."""

    def __init__(self, control: Any) -> None:
        self._control = control
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        self._workers: dict[int, str] = {}
        #: Other servers like it, forked from it (`_become_server`), which see for themselves that the pool is gone.
        self._servers: set[int] = set()
        self._woken, self._wake = os.pipe()
        for fd in (self._woken, self._wake):
            os.set_blocking(fd, False)
        _signal.set_wakeup_fd(self._wake)
        _signal.signal(_signal.SIGCHLD, _take_note)
        #: Workers say here that they are about to run code that may start processes.
        self._heard, self._say = os.pipe()
        self._may_have_children = False

    def serve(self) -> None:
        """Do what the pool asks for until it is gone; then end everything."""
        poll = select.poll()
        for fd in (self._control.fileno(), self._woken, self._heard):
            poll.register(fd, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if self._heard in ready:
                self._may_have_children |= bool(os.read(self._heard, 4096))
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._reap()
            if self._control.fileno() in ready and not self._answer_request():
                break
        self._end()

    def _answer_request(self) -> bool:
        """Fork the worker that the pool asks for; False where the pool is gone."""
        try:
            folder, ancillary, _, _ = self._control.recvmsg(_REQUEST_BYTES, _socket.CMSG_SPACE(_FDS * _FD_BYTES))
        except ConnectionError:
            return False
        if not folder:
            return False
        data = ancillary[0][2]
        fds = [int.from_bytes(data[at : at + _FD_BYTES], sys.byteorder) for at in range(0, len(data), _FD_BYTES)]
        parent, is_worker = os.getpid(), folder[:1] != PRELOAD
        pid = os.fork()
        if not pid:
            if is_worker:
                self._become_worker(parent, folder.decode(), fds)
            self._become_server(parent, *json.loads(folder[1:]), *fds)
        for fd in fds:
            os.close(fd)
        if is_worker:
            self._workers[pid] = folder.decode()
            self._tell(b"p", pid, 0)
        else:
            self._servers.add(pid)
        return True

    def _become_worker(self, parent: int, folder: str, fds: list[int]) -> None:
        try:
            self._part_from(parent)
            if "numpy.random" in sys.modules:  # Python's own random numbers see to that themselves
                sys.modules["numpy.random"].seed()
            worker.run(worker.Pipes(*fds), folder, on_children=self._announce_children)
            os._exit(0)  # an ordinary exit would wait for threads that a UDF has left behind
        except BaseException:  # noqa: BLE001  it must never return to the server's loop
            sys.excepthook(*sys.exc_info())
            os._exit(1)

    def _become_server(self, parent: int, packages: list[str], threads: int, control: int) -> None:
        """Import these packages, and serve the pool as its parent does: workers have them from the start."""
        try:
            self._part_from(parent)
            os.close(self._say)
            share_threads(threads)
            gc.disable()  # nothing of what is imported is garbage
            for package in packages:
                with suppress(Exception):  # then each worker says so
                    import_module(package)
            gc.freeze()
            gc.enable()
            ForkServer(_socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, control)).serve()
        finally:
            os._exit(1)  # it must never return to the other server's loop

    def _part_from(self, parent: int) -> None:
        """Have nothing in common with the server that this process was forked from, but end with it."""
        prctl(PR_SET_PDEATHSIG, _signal.SIGKILL)
        if os.getppid() != parent:  # it ended before this was set up
            os._exit(1)
        os.setpgid(0, 0)  # all of a pool's are one session: Linux may share its cores out by sessions (autogroup)
        _signal.set_wakeup_fd(-1)
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        self._control.close()
        for fd in (self._woken, self._wake, self._heard):
            os.close(fd)

    def _announce_children(self) -> None:
        os.write(self._say, b"c")

    def _tell(self, kind: bytes, pid: int, status: int) -> None:
        with suppress(OSError):  # the pool is gone, which the next look at the socket says as well
            self._control.send(FORKED.pack(kind, pid, status))

    def _reap(self) -> None:
        """Take note of what has ended, end what that has left behind, and only then tell the pool."""
        ended = list(self._ended())
        if not ended:
            return
        if self._may_have_children:
            self._end_orphans()
        for pid, status in ended:
            remove_run_folders(self._workers.pop(pid))
            self._tell(b"x", pid, status)

    def _ended(self) -> list[tuple[int, int]]:
        ended: list[tuple[int, int]] = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return ended
            if not pid:
                return ended
            self._servers.discard(pid)
            if pid in self._workers:
                ended.append((pid, status))

    def _end_orphans(self) -> None:
        """End every child that is no worker, and what these leave, until there are none but resource trackers."""
        deadline = time.monotonic() + _STUCK_AFTER_S
        while time.monotonic() < deadline:
            known = self._workers.keys() | self._servers
            orphans = [pid for pid in children_of(os.getpid()) if pid not in known and not is_tracker(pid)]
            if not orphans:
                return
            for pid in orphans:
                _kill(pid)
            for pid in orphans:
                wait_for_child(pid, deadline)

    def _end(self) -> None:
        for pid in self._workers:
            _kill(pid)
        deadline = time.monotonic() + _STUCK_AFTER_S
        for pid in list(self._workers):
            wait_for_child(pid, deadline)
            remove_run_folders(self._workers.pop(pid))
        for pid in self._servers:
            wait_for_child(pid, deadline)
        self._servers.clear()
        self._end_orphans()
        os._exit(0)


def _take_note(*_: object) -> None:
    """A handler there must be, or the signal would not wake the loop."""


def _kill(pid: int) -> None:
    with suppress(OSError):
        os.kill(pid, _signal.SIGKILL)
