"""The queue that the workers of a bundle share: whole messages, each read by exactly one worker."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from fanfold.execution.calls import Call
from fanfold.execution.channel import RETIRE, Called, pack_call, unpack_call

#: Longest message: what a pipe takes as one packet (PIPE_BUF). Longer arguments go through a file.
_MESSAGE_BYTES = 4096
#: Room in a pipe: a slot of 4 KiB for each message. Unprivileged processes may have this much (pipe-max-size).
_PIPE_BYTES = 1 << 20


class CallQueue:
    """Calls on their way to whichever worker is free first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._entry, self.exit = _message_pipe()
        os.set_blocking(self._entry, False)
        os.set_blocking(self.exit, False)  # the workers share this description, and its mode with it

    def put(self, number: int, assignment: int, call: Call) -> bool:
        """Queue one call; False where the kernel's queue is full for now."""
        called = Called(number, assignment, call.index, call.attempt, False, call.arguments.encode())
        message = pack_call(called)
        if len(message) > _MESSAGE_BYTES:
            self._spilled(number).write_bytes(called.arguments)
            message = pack_call(called._replace(spilled=True, arguments=b""))
        return self._write(message)

    def put_retirement(self) -> bool:
        """Have one worker, whichever comes to it first, end itself."""
        return self._write(RETIRE)

    def _write(self, message: bytes) -> bool:
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
                message = os.read(self.exit, _MESSAGE_BYTES)
            except BlockingIOError:
                return
            if message == RETIRE:
                continue
            number = unpack_call(message).number
            self._spilled(number).unlink(missing_ok=True)
            yield number

    @property
    def empty(self) -> bool:
        """True where every call has been taken by a worker."""
        import select

        poll = select.poll()  # select.select takes no descriptor above 1023
        poll.register(self.exit, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Workers that wait for a call see the end of the queue."""
        os.close(self._entry)
        os.close(self.exit)

    def _spilled(self, number: int) -> Path:
        return self._folder / f"{number}.arguments"


def _message_pipe() -> tuple[int, int]:
    """Where messages go in and where they come out, in order, each to one reader."""
    if sys.platform != "linux":  # macOS has neither packet pipes nor SEQPACKET; its local datagrams do not get lost
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        return ours.detach(), theirs.detach()
    exit_, entry = os.pipe2(os.O_DIRECT | os.O_CLOEXEC)  # O_DIRECT: each write is a packet, and each read one packet
    with suppress(OSError):  # a user with very many pipes has to do with 16 messages
        fcntl.fcntl(entry, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return entry, exit_
