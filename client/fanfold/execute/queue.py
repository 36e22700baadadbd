"""The queue that all workers of a pool share: a socket pair of whole messages, each read by exactly one worker."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from fanfold.execute import wire

#: Whole messages, in order, one reader each. macOS has no SEQPACKET for local sockets; its datagrams do not get lost.
MESSAGE_SOCKET = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM


class CallQueue:
    """Calls on their way to whichever worker is free first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        ours, theirs = socket.socketpair(socket.AF_UNIX, MESSAGE_SOCKET)
        self._entry, self.exit = ours.detach(), theirs.detach()
        os.set_blocking(self._entry, False)
        os.set_blocking(self.exit, False)  # the workers share this description, and its mode with it

    def put(self, number: int, assignment: int, arguments: bytes) -> bool:
        """Queue one call; False where the kernel's queue is full for now."""
        spilled = len(arguments) > wire.MESSAGE_BYTES
        if spilled:
            self._spilled(number).write_bytes(arguments)
            arguments = b""
        message = wire.pack_call(number, assignment, arguments, spilled=spilled)
        try:
            os.write(self._entry, message)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ENOBUFS):  # macOS says ENOBUFS
                raise
            return False
        return True

    def drain(self) -> Iterator[int]:
        """Take back every call that no worker has taken; their numbers."""
        while True:
            try:
                number = wire.unpack_call(wire.receive(self.exit))[0]
            except BlockingIOError:
                return
            self._spilled(number).unlink(missing_ok=True)
            yield number

    @property
    def empty(self) -> bool:
        """True where every call has been taken by a worker."""
        import select

        return not select.select([self.exit], [], [], 0)[0]

    def close(self) -> None:
        """Workers that wait for a call see the end of the queue."""
        os.close(self._entry)
        os.close(self.exit)

    def _spilled(self, number: int) -> Path:
        return self._folder / f"{number}.arguments"
