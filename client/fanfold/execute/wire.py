"""The bytes between a pool and its workers: one datagram a message.

A call is its numbers and its arguments. An answer is what came of a call (`Finished`), which call was taken
(`Started`), or one after the other. What most calls end with, a small result and nothing printed, has a compact form:
writing and reading it as JSON would take a quarter of a no-op call's time.

Imported by workers: cheap standard library only.
"""

import json
import os
from struct import Struct
from typing import Any, NamedTuple

#: Longest message that is sent as it is; longer arguments go through a file. Half of Linux's default socket buffer.
MESSAGE_BYTES = 96 * 1024


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


def unpack_answers(message: bytes) -> list[Started | Finished]:
    """The answers of one message."""
    answers: list[Started | Finished] = []
    at = 0
    while at < len(message):
        kind = message[at : at + 1]
        if kind == b"s":
            answers.append(Started(*_STARTED.unpack_from(message, at)[1:]))
            at += _STARTED.size
        else:
            answer, at = (_unpack_small if kind == b"f" else _unpack_long)(message, at)
            answers.append(answer)
    return answers


def receive(fd: int) -> bytes:
    """The next whole message on `fd`; empty where the other side is gone."""
    return os.read(fd, 2 * MESSAGE_BYTES)


def _unpack_small(message: bytes, start: int) -> tuple[Finished, int]:
    _, call, at, duration_s, cpu_s, mib, codec_size, size, sha256 = _SMALL.unpack_from(message, start)
    middle = start + _SMALL.size + codec_size
    codec = message[middle - codec_size : middle].decode()
    end = middle + size
    told = Told(codec, size, sha256, None)
    return Finished(call, at, duration_s, cpu_s, mib, told, None, message[middle:end]), end


def _pack_long(done: Finished) -> bytes:
    *numbers, told, error, _, printed, stained = done
    output = told and (told.codec, told.size, told.sha256.hex(), told.file)
    text = _to_json([numbers, output, error, printed, stained]).encode()
    return _LONG.pack(b"l", len(text), len(done.body)) + text + done.body


def _unpack_long(message: bytes, start: int) -> tuple[Finished, int]:
    _, text_size, body_size = _LONG.unpack_from(message, start)
    middle = start + _LONG.size + text_size
    end = middle + body_size
    numbers, output, error, printed, stained = json.loads(message[middle - text_size : middle])
    told = output and Told(output[0], output[1], bytes.fromhex(output[2]), output[3])
    call, at, duration_s, cpu_s, mib = numbers
    return Finished(call, at, duration_s, cpu_s, mib, told, error, message[middle:end], printed, stained), end
