"""The bytes between a pool and its workers.

A call is a message: its numbers and its arguments. Answers are a stream: what came of a call (`Finished`), which call
was taken (`Started`). What most calls end with, a small result and nothing printed, has a compact form: writing and
reading it as JSON would take a quarter of a no-op call's time.

Imported by workers: cheap standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from struct import Struct, error
from typing import Any, TypeAlias

from fanfold.contract.records import NamedTuple

#: What a fork server says to its pool: `p` a worker was forked, `x` one has ended; its process id and wait status.
FORKED = Struct("<cqi")
#: What a pool says to its fork server in the place of a worker's folder: fork another server, which imports packages.
PRELOAD = b"\0"
#: A worker whose pipes were closed by its UDF ends with this code.
EXIT_PIPES_CLOSED = 97
#: And with this one where it can open no more files: its UDF has left as many open as it may, or lowered the limit.
EXIT_NO_FILES = 98


class Started(NamedTuple):
    """A worker has taken a call: its number, when (seconds since 1970), and the number of the log it prints to."""

    call: int
    at: float
    log: int


class Packed(NamedTuple):
    """A result on its way to the pool: in the same message, or in a file where it is large."""

    codec: str
    size: int
    sha256: bytes
    file: str | None
    #: What the files were that it names, and its arguments (`worker.marks`).
    marks: dict[str, str] | None = None


class Finished(NamedTuple):
    """What came of a call: a result (`output`, and `body` where it is small) or an `error`; and what it took.

    Seconds, CPU seconds, MiB; `printed` is the number of the log it left, `tainted` that its worker must go.
    """

    call: int
    at: float
    duration_s: float
    cpu_s: float
    peak_memory_mib: float
    output: Packed | None
    error: dict[str, Any] | None
    body: bytes
    printed: int | None = None
    tainted: bool = False


class Called(NamedTuple):
    """A call as its worker reads it: its number, its assignment's, which run and attempt of the job it is."""

    number: int
    assignment: int
    index: int  # type: ignore[assignment]  # tuple.index is of no use here
    attempt: int
    spilled: bool
    arguments: bytes


class Asked(NamedTuple):
    """What a run asks of its pool while it runs: the call's number, the question's, what it is about, and its bytes."""

    call: int
    question: int
    facts: dict[str, Any]
    body: bytes = b""


#: What a pool has to say to a question: facts, and bytes.
Reply: TypeAlias = tuple[dict[str, Any], bytes]


class Garbled(ValueError):
    """What came is no answer of a worker's."""


_CALL = Struct("<QIIH?")
_STARTED = Struct("<cQdI")
#: call, at, seconds, CPU seconds, MiB, bytes of the codec's name, bytes of the body, sha256
_SMALL = Struct("<cQddddBH32s")
#: The first byte of that one.
_ENDED = ord("f")
#: bytes of the JSON, bytes of the body
_LONG = Struct("<cII")

#: In place of a call: the worker that reads it ends.
RETIRE = b"r"

#: In a worker's folder: where it reads what the pool replies to its questions.
REPLIES = "replies"

_to_json = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def pack_call(number: int, assignment: int, run: tuple[int, int], arguments: bytes, *, spilled: bool = False) -> bytes:
    """A call on its way to a worker, of a run's index and attempt; `spilled` where its arguments are in a file."""
    return _CALL.pack(number, assignment, *run, spilled) + arguments


def unpack_call(message: bytes) -> Called:
    """The call that a message holds."""
    number, assignment, index, attempt, spilled = _CALL.unpack_from(message)
    return Called(number, assignment, index, attempt, spilled, message[_CALL.size :])


def pack_started(call: int, at: float, log: int) -> bytes:
    """A `Started` on its way to the pool."""
    return _STARTED.pack(b"s", call, at, log)


def pack_finished(done: Finished) -> bytes:
    """A `Finished` on its way to the pool."""
    told = done.output
    if told is None or told.file is not None or told.marks or done.printed is not None or done.tainted:
        return _pack_long(done)
    codec = told.codec.encode()
    head = _SMALL.pack(
        *(b"f", done.call, done.at, done.duration_s, done.cpu_s, done.peak_memory_mib),
        *(len(codec), len(done.body), told.sha256),
    )
    return head + codec + done.body


def pack_asked(asked: Asked) -> bytes:
    """An `Asked` on its way to the pool."""
    return _pack_json(b"q", asked[:3], asked.body)


def pack_reply(question: int, facts: dict[str, Any], body: bytes) -> bytes:
    """What the pool has to say to a question, on its way to the worker that has asked it."""
    return _pack_json(b"r", (question, facts), body)


def unpack_reply(stream: bytes) -> tuple[tuple[int, dict[str, Any], bytes] | None, bytes]:
    """The first reply, or None where it is not whole yet; and what comes after it."""
    if len(stream) < _LONG.size:
        return None, stream
    [question, facts], body, end = _unpack_json(stream, 0)
    return (None, stream) if end > len(stream) else ((question, facts, body), stream[end:])


def unpack_answers(stream: bytes) -> tuple[list[Started | Finished | Asked], bytes]:
    """The answers that are whole, and the beginning of the one that is not. Raises `Garbled`.

    The `Started` of a call whose end follows at once, as a short one's does, is left out: its end says all there is.
    """
    answers: list[Started | Finished | Asked] = []
    at, size = 0, len(stream)
    while at < size:
        try:
            answer, end = _UNPACK[stream[at]](stream, at)
        except (KeyError, ValueError, TypeError, error) as failure:
            raise Garbled from failure
        if end > size:
            break
        if answer is not None:
            answers.append(answer)
        at = end
    return answers, stream[at:]


def _unpack_started(stream: bytes, start: int) -> tuple[Started | Finished | None, int]:
    """What began, or its end where that follows at once."""
    end = start + _STARTED.size
    if end + _SMALL.size <= len(stream) and stream[end] == _ENDED:
        over, whole = _unpack_small(stream, end)
        if whole <= len(stream):
            return over, whole
    return (None if end > len(stream) else Started(*_STARTED.unpack_from(stream, start)[1:])), end


def _unpack_small(stream: bytes, start: int) -> tuple[Finished | None, int]:
    body = start + _SMALL.size
    if body > len(stream):
        return None, body
    _, call, at, duration_s, cpu_s, mib, codec_size, size, sha256 = _SMALL.unpack_from(stream, start)
    middle = body + codec_size
    end = middle + size
    told = Packed(stream[body:middle].decode(), size, sha256, None)
    return Finished(call, at, duration_s, cpu_s, mib, told, None, stream[middle:end]), end


def _pack_long(done: Finished) -> bytes:
    *numbers, told, error, _, printed, tainted = done
    output = told and (told.codec, told.size, told.sha256.hex(), told.file, told.marks)
    return _pack_json(b"l", (numbers, output, error, printed, tainted), done.body)


def _unpack_long(stream: bytes, start: int) -> tuple[Finished, int]:
    said, body, end = _unpack_json(stream, start)
    if end > len(stream):
        return _NOTHING, end
    numbers, output, error, printed, tainted = said
    call, at, duration_s, cpu_s, mib = numbers
    told = output and Packed(output[0], output[1], bytes.fromhex(output[2]), *output[3:])
    return Finished(call, at, duration_s, cpu_s, mib, told, error, body, printed, tainted), end


def _unpack_asked(stream: bytes, start: int) -> tuple[Asked, int]:
    said, body, end = _unpack_json(stream, start)
    return (_NOTHING if end > len(stream) else Asked(said[0], said[1], said[2], body)), end


def _pack_json(kind: bytes, said: Any, body: bytes) -> bytes:
    text = _to_json(said).encode()
    return _LONG.pack(kind, len(text), len(body)) + text + body


def _unpack_json(stream: bytes, start: int) -> tuple[Any, bytes, int]:
    """What was said, its body, and where both end: beyond the stream where not all of it is there."""
    if start + _LONG.size > len(stream):
        return _NOTHING, b"", start + _LONG.size
    _, text_size, body_size = _LONG.unpack_from(stream, start)
    middle = start + _LONG.size + text_size
    end = middle + body_size
    said = _NOTHING if end > len(stream) else json.loads(stream[middle - text_size : middle])
    return said, stream[middle:end], end


#: Stands for an answer of which only the beginning has come.
_NOTHING: Any = None

_UNPACK: dict[int, Callable[[bytes, int], tuple[Any, int]]] = {
    ord("s"): _unpack_started,
    ord("f"): _unpack_small,
    ord("l"): _unpack_long,
    ord("q"): _unpack_asked,
}
