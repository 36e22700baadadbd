"""The bytes between a pool and its workers.

A call is a message: its numbers and its arguments. Answers are a stream: what came of a call (`Finished`), which call
was taken (`Started`). What most calls end with, a small result and nothing printed, has a compact form: writing and
reading it as JSON would take a quarter of a no-op call's time.

Imported by workers: cheap standard library only.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import Any, NamedTuple


class Started(NamedTuple):
    """A worker has taken a call: its number, when (seconds since 1970), and the number of the log it prints to."""

    call: int
    at: float
    log: int


class Told(NamedTuple):
    """A result as a worker tells it: in the same message, or in a file where it is large."""

    codec: str
    size: int
    sha256: bytes
    file: str | None


class Finished(NamedTuple):
    """What came of a call: a result (`output`, and `body` where it is small) or an `error`; and what it took.

    Seconds, CPU seconds, MiB; `printed` is the number of the log it left, `stained` that its worker must go.
    """

    call: int
    at: float
    duration_s: float
    cpu_s: float
    peak_memory_mib: float
    output: Told | None
    error: dict[str, Any] | None
    body: bytes
    printed: int | None = None
    stained: bool = False


_CALL = Struct("<QI?")
_STARTED = Struct("<cQdI")
#: call, at, seconds, CPU seconds, MiB, bytes of the codec's name, bytes of the body, sha256
_SMALL = Struct("<cQdfffBH32s")
#: bytes of the JSON, bytes of the body
_LONG = Struct("<cII")

_to_json = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def pack_call(call: int, assignment: int, arguments: bytes, *, spilled: bool = False) -> bytes:
    """A call on its way to a worker; `spilled` where its arguments are in a file instead."""
    return _CALL.pack(call, assignment, spilled) + arguments


def unpack_call(message: bytes) -> tuple[int, int, bool, bytes]:
    """Call, assignment, whether the arguments are in a file, and the arguments."""
    call, assignment, spilled = _CALL.unpack_from(message)
    return call, assignment, spilled, message[_CALL.size :]


def pack_started(call: int, at: float, log: int) -> bytes:
    """A `Started` on its way to the pool."""
    return _STARTED.pack(b"s", call, at, log)


def pack_finished(done: Finished) -> bytes:
    """A `Finished` on its way to the pool."""
    told = done.output
    if told is None or told.file is not None or done.printed is not None or done.stained:
        return _pack_long(done)
    codec = told.codec.encode()
    head = _SMALL.pack(
        *(b"f", done.call, done.at, done.duration_s, done.cpu_s, done.peak_memory_mib),
        *(len(codec), len(done.body), told.sha256),
    )
    return head + codec + done.body


def unpack_answers(stream: bytes) -> tuple[list[Started | Finished], bytes]:
    """The answers that are whole, and the beginning of the one that is not."""
    answers: list[Started | Finished] = []
    at = 0
    while at < len(stream):
        answer, end = _UNPACK[stream[at]](stream, at)
        if end > len(stream):
            break
        answers.append(answer)
        at = end
    return answers, stream[at:]


def _unpack_started(stream: bytes, start: int) -> tuple[Started, int]:
    end = start + _STARTED.size
    return (_NOTHING if end > len(stream) else Started(*_STARTED.unpack_from(stream, start)[1:])), end


def _unpack_small(stream: bytes, start: int) -> tuple[Finished, int]:
    if start + _SMALL.size > len(stream):
        return _NOTHING, start + _SMALL.size
    _, call, at, duration_s, cpu_s, mib, codec_size, size, sha256 = _SMALL.unpack_from(stream, start)
    middle = start + _SMALL.size + codec_size
    end = middle + size
    codec = stream[middle - codec_size : middle].decode()
    told = Told(codec, size, sha256, None)
    return Finished(call, at, duration_s, cpu_s, mib, told, None, stream[middle:end]), end


def _pack_long(done: Finished) -> bytes:
    *numbers, told, error, _, printed, stained = done
    output = told and (told.codec, told.size, told.sha256.hex(), told.file)
    text = _to_json([numbers, output, error, printed, stained]).encode()
    return _LONG.pack(b"l", len(text), len(done.body)) + text + done.body


def _unpack_long(stream: bytes, start: int) -> tuple[Finished, int]:
    if start + _LONG.size > len(stream):
        return _NOTHING, start + _LONG.size
    _, text_size, body_size = _LONG.unpack_from(stream, start)
    middle = start + _LONG.size + text_size
    end = middle + body_size
    if end > len(stream):
        return _NOTHING, end
    numbers, output, error, printed, stained = json.loads(stream[middle - text_size : middle])
    call, at, duration_s, cpu_s, mib = numbers
    told = output and Told(output[0], output[1], bytes.fromhex(output[2]), output[3])
    return Finished(call, at, duration_s, cpu_s, mib, told, error, stream[middle:end], printed, stained), end


#: Stands for an answer of which only the beginning has come.
_NOTHING: Any = None

_UNPACK: dict[int, Callable[[bytes, int], tuple[Any, int]]] = {
    ord("s"): _unpack_started,
    ord("f"): _unpack_small,
    ord("l"): _unpack_long,
}

# The queue that all workers of a pool share: whole messages, each read by exactly one worker.

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

    def put(self, number: int, assignment: int, arguments: bytes) -> bool:
        """Queue one call; False where the kernel's queue is full for now."""
        message = pack_call(number, assignment, arguments)
        if len(message) > _MESSAGE_BYTES:
            self._spilled(number).write_bytes(arguments)
            message = pack_call(number, assignment, b"", spilled=True)
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
                number = unpack_call(os.read(self.exit, _MESSAGE_BYTES))[0]
            except BlockingIOError:
                return
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
