"""The bytes between a pool and its workers.

A call is a message: its numbers and its arguments; several short calls are one message, a chunk. Answers are a stream:
what came of a call (`Finished`), which was taken (`Started`). What most calls end with, a small result and nothing
printed, has a compact form, and so have those of a chunk together (`Results`): writing and reading each as JSON would
take a quarter of a no-op call's time.

Imported by workers: cheap standard library only.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import accumulate, chain, pairwise
from operator import eq
from struct import Struct, error
from typing import TYPE_CHECKING, Any, TypeAlias

from fanfold.contract.layout import INLINE_RESULT_BYTES
from fanfold.contract.records import NamedTuple
from fanfold.core.models import sha256

if TYPE_CHECKING:
    from pathlib import Path

#: What a fork server says to its pool: `p` a worker was forked, `x` one has ended; its process id and wait status.
FORKED = Struct("<cqi")
#: What a pool says to its fork server in the place of a worker's folder: fork another server, which imports packages.
PRELOAD = b"\0"
#: The pool asks a hung worker by this signal where it hangs, before it kills it; the interpreter's own dump answers.
WHERE_SIGNAL = signal.SIGUSR2
#: A worker whose pipes were closed by its UDF ends with this code.
EXIT_PIPES_CLOSED = 97
#: And with this one where it can open no more files: its UDF has left as many open as it may, or lowered the limit.
EXIT_NO_FILES = 98


class Started(NamedTuple):
    """A worker has taken a call: its number, when (seconds since 1970), and the number of the log it prints to.

    With it it has taken the calls after it, `count` in all: it begins each of them once it has claimed it (`claims`).
    """

    call: int
    at: float
    log: int
    count: int = 1  # type: ignore[assignment]  # nor is tuple.count


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


class Results(NamedTuple):
    """Small results of calls that were taken together, in columns: the first call's number and that of the last, as
    in `range`; of each when it ended, seconds, CPU seconds, its codec, sha256 and bytes; and the worker's peak in MiB.

    `returned` are calls that the worker gives back, as it has not begun them.
    """

    first: int
    stop: int
    at: Sequence[float]
    duration_s: Sequence[float]
    cpu_s: Sequence[float]
    peak_memory_mib: float
    codecs: Sequence[str]
    sha256: Sequence[bytes]
    bodies: Sequence[bytes]
    returned: Sequence[int] = ()

    @property
    def numbers(self) -> range:
        """The numbers of these calls."""
        return range(self.first, self.stop)

    def each(self) -> Iterator[Finished]:
        """The same, one by one."""
        columns = zip(self.at, self.duration_s, self.cpu_s, self.codecs, self.sha256, self.bodies, strict=True)
        for number, (at, duration_s, cpu_s, codec, digest, body) in enumerate(columns, self.first):
            packed = Packed(codec, len(body), digest, None)
            yield Finished(number, at, duration_s, cpu_s, self.peak_memory_mib, packed, None, body)

    def without_last(self) -> tuple[Results, Finished]:
        """The same without the last, and that one by itself."""
        *_, last = self.each()
        first, stop, at, duration_s, cpu_s, peak_mib, codecs, digests, bodies, returned = self
        used = at[:-1], duration_s[:-1], cpu_s[:-1], peak_mib
        return Results(first, stop - 1, *used, codecs[:-1], digests[:-1], bodies[:-1], returned), last


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


#: What a worker says.
Answer: TypeAlias = "Started | Finished | Results | Asked"


class Garbled(ValueError):
    """What came is no answer of a worker's."""


#: number, assignment, index, attempt, what follows; of a chunk: the first number, and how many there are as its index
_CALL = Struct("<QIIHB")
#: The arguments follow, or are in a file; or for each call of a chunk `_OF_CHUNK`, and then their arguments.
_INLINE, _SPILLED, _CHUNK = range(3)
#: index, attempt, bytes of the arguments
_OF_CHUNK = Struct("<IHH")
#: call, at, log, count
_STARTED = Struct("<cQdIH")
#: call, at, seconds, CPU seconds, MiB, bytes of the codec's name, bytes of the body, sha256
_SMALL = Struct("<cQddddBH32s")
#: The first byte of that one.
_ENDED = ord("f")
#: first, count, calls returned, MiB, CPU seconds a second, bytes of the bodies; then `RESULT` of each, and all bodies
_MANY = Struct("<cQHHddI")
_OF_MANY = ord("m")
#: when one of these ended, its seconds, bytes of its codec's name and of its result, which are the bodies, and sha256
RESULT = Struct("<ddBH32s")
#: A call, where its number alone is told.
NUMBER = Struct("<Q")
#: bytes of the JSON, bytes of the body
_LONG = Struct("<cII")

#: In place of a call: the worker that reads it ends.
RETIRE = b"r"

#: Who has asked something reads what comes within this many milliseconds.
_READ_WITHIN_MS = 2_000
#: In a worker's folder: where it reads what the pool replies to its questions.
REPLIES = "replies"
#: There too: the small results of the calls that it has taken together, as soon as it has them (`SoFar`).
SO_FAR = "so-far"
#: first, count, bytes of the bodies, MiB; then `RESULT` of each, with room for as many as a chunk has, and the bodies.
_SO_FAR = Struct("<QIId")
CHUNK_CALLS = 32

_to_json = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def pack_call(number: int, assignment: int, run: tuple[int, int], arguments: bytes, *, spilled: bool = False) -> bytes:
    """A call on its way to a worker, of a run's index and attempt; `spilled` where its arguments are in a file."""
    return _CALL.pack(number, assignment, *run, _SPILLED if spilled else _INLINE) + arguments


def pack_chunk(first: int, assignment: int, calls: Sequence[tuple[int, int, str]]) -> bytes:
    """Calls on their way to one worker, each of a run's index, attempt and arguments; `first` is the first's number."""
    indexes, attempts, texts = zip(*calls, strict=True)
    arguments = [text.encode() for text in texts]
    about = map(_OF_CHUNK.pack, indexes, attempts, map(len, arguments))
    return _CALL.pack(first, assignment, len(calls), 0, _CHUNK) + b"".join([*about, *arguments])


def numbers_in(message: bytes) -> range:
    """The numbers of the calls that a message holds."""
    number, _, count, _, kind = _CALL.unpack_from(message)
    return range(number, number + (count if kind == _CHUNK else 1))


def unpack_calls(message: bytes) -> list[Called]:
    """The calls that a message holds."""
    number, assignment, index, attempt, kind = _CALL.unpack_from(message)
    if kind != _CHUNK:
        return [Called(number, assignment, index, attempt, kind == _SPILLED, message[_CALL.size :])]
    at = _CALL.size + index * _OF_CHUNK.size
    called = []
    for run, attempt_of, size in _OF_CHUNK.iter_unpack(message[_CALL.size : at]):
        called.append(Called(number, assignment, run, attempt_of, False, message[at : at + size]))
        number, at = number + 1, at + size
    return called


def pack_started(call: int, at: float, log: int, count: int = 1) -> bytes:
    """A `Started` on its way to the pool."""
    return _STARTED.pack(b"s", call, at, log, count)


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


def pack_numbers(numbers: Sequence[int]) -> bytes:
    """Calls by their numbers, one after the other."""
    return b"".join(map(NUMBER.pack, numbers))


def unpack_numbers(data: bytes) -> list[int]:
    """The numbers that are whole: of a pipe a UDF may have read some bytes."""
    return [number for (number,) in NUMBER.iter_unpack(data[: len(data) // NUMBER.size * NUMBER.size])]


def pack_results(
    first: int, told: bytes, bodies: bytes, *, cpu_share: float, peak_mib: float, returned: Sequence[int]
) -> bytes:
    """`Results` on their way to the pool: `RESULT` of each, and what they are the sizes of."""
    count = len(told) // RESULT.size
    head = _MANY.pack(b"m", first, count, len(returned), peak_mib, cpu_share, len(bodies))
    return b"".join([head, told, bodies, pack_numbers(returned)])


def pack_returned(numbers: Sequence[int]) -> bytes:
    """`Results` of no call: these are given back, by whomever their numbers were read. Again is harmless."""
    return pack_results(numbers[0], b"", b"", cpu_share=1.0, peak_mib=0.0, returned=numbers)


def read_results(
    first: int, told: bytes, bodies: bytes, *, cpu_share: float, peak_mib: float, returned: Sequence[int] = ()
) -> Results:
    """The `Results` of which these are the parts. Raises `Garbled`."""
    count = len(told) // RESULT.size
    at, duration_s, codec_sizes, sizes, digests = zip(*RESULT.iter_unpack(told), strict=True) if count else [()] * 5
    cpu_s = duration_s if cpu_share == 1.0 else [int(seconds * cpu_share * 1e6) / 1e6 for seconds in duration_s]
    ends = [0, *accumulate(chain.from_iterable(zip(codec_sizes, sizes, strict=True)))]
    if ends[-1] != len(bodies):
        raise Garbled
    parts = [bodies[begin:end] for begin, end in pairwise(ends)]
    codecs = [codec.decode() for codec in parts[::2]]
    return Results(first, first + count, at, duration_s, cpu_s, peak_mib, codecs, digests, parts[1::2], returned)


class SoFar:
    """What a worker has by now of calls that it has taken together: it answers when all are over, and may die before.

    `memory` is of `SIZE` bytes, a file's that the pool reads: nothing that is done is lost, or waits for a slow call.
    """

    _BODIES = _SO_FAR.size + CHUNK_CALLS * RESULT.size
    #: With as much inline as results may have.
    SIZE = _BODIES + CHUNK_CALLS * (INLINE_RESULT_BYTES + 256)

    def __init__(self, memory: Any) -> None:
        self._memory = memory
        self._first = self._count = self._size = 0
        self._mib = 0.0

    def begin(self, first: int, mib: float) -> None:
        """Begin anew, with the call of that number, in a process that has so many MiB."""
        self._first, self._count, self._size, self._mib = first, 0, 0, mib
        _SO_FAR.pack_into(self._memory, 0, first, 0, 0, mib)

    def add(self, at: float, duration_s: float, codec: str, digest: bytes, body: bytes) -> None:
        """Keep the next call's result."""
        name = codec.encode()
        place = _SO_FAR.size + self._count * RESULT.size
        RESULT.pack_into(self._memory, place, at, duration_s, len(name), len(body), digest)
        begin = self._BODIES + self._size
        self._size += len(name) + len(body)
        self._memory[begin : self._BODIES + self._size] = name + body
        self._count += 1
        _SO_FAR.pack_into(self._memory, 0, self._first, self._count, self._size, self._mib)

    def answer(self, *, cpu_share: float, peak_mib: float, returned: Sequence[int]) -> bytes:
        """The `Results` on their way to the pool."""
        told = self._memory[_SO_FAR.size : _SO_FAR.size + self._count * RESULT.size]
        bodies = self._memory[self._BODIES : self._BODIES + self._size]
        return pack_results(self._first, told, bodies, cpu_share=cpu_share, peak_mib=peak_mib, returned=returned)

    @classmethod
    def read_through(cls, read: Callable[[int, int], bytes]) -> Results | None:
        """The same as `read`, of what `read(size, at)` gives; None where the worker has begun other calls meanwhile."""
        memory = read(cls.SIZE, 0)
        return cls.read(memory) if read(NUMBER.size, 0) == memory[: NUMBER.size] else None

    @classmethod
    def read(cls, memory: bytes) -> Results | None:
        """The results that are whole, as another process reads them while they are written."""
        if len(memory) < cls.SIZE:
            return None
        first, count, size, mib = _SO_FAR.unpack_from(memory)
        told = memory[_SO_FAR.size : _SO_FAR.size + count * RESULT.size]
        try:
            results = read_results(first, told, memory[cls._BODIES : cls._BODIES + size], cpu_share=1.0, peak_mib=mib)
        except ValueError:
            return None
        is_whole = all(map(eq, results.sha256, (sha256(body).digest() for body in results.bodies)))
        return results if is_whole else None


def pack_asked(asked: Asked) -> bytes:
    """An `Asked` on its way to the pool."""
    return _pack_json(b"q", asked[:3], asked.body)


def pack_reply(question: int, facts: dict[str, Any], body: bytes) -> bytes:
    """What the pool has to say to a question, on its way to the worker that has asked it."""
    return _pack_json(b"r", (question, facts), body)


def unpack_reply(stream: bytes) -> tuple[tuple[int, dict[str, Any], bytes] | None, bytes]:
    """The first reply, or None where it is not whole yet; and what comes after it."""
    said, body, end = _unpack_json(stream, 0)
    return (None, stream) if end > len(stream) else ((*said, body), stream[end:])


def write_whole(fd: int, data: bytes) -> None:
    """Write all of it to a pipe, whose reader waits for it: a user who has very many pipes gets small ones.

    Raises `TimeoutError` where nobody reads, and `OSError`.
    """
    import select

    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    while data:
        if not poll.poll(_READ_WITHIN_MS):
            raise TimeoutError("nobody reads what was asked for")
        with suppress(BlockingIOError):
            data = data[os.write(fd, data) :]


def unpack_answers(stream: bytes) -> tuple[list[Answer], bytes]:
    """The answers that are whole, and the beginning of the one that is not. Raises `Garbled`.

    The `Started` of a call whose end follows at once, as a short one's does, is left out: its end says all there is.
    """
    answers: list[Answer] = []
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


def _unpack_started(stream: bytes, start: int) -> tuple[Started | Finished | Results | None, int]:
    """What began, or its end where that follows at once."""
    end = start + _STARTED.size
    if end > len(stream):
        return None, end
    began = Started(*_STARTED.unpack_from(stream, start)[1:])
    if end < len(stream) and stream[end] in _ENDS:
        over, whole = _UNPACK[stream[end]](stream, end)
        if over is not None and whole <= len(stream) and _says_all(over, began):
            return over, whole
    return began, end


def _says_all(over: Finished | Results, began: Started) -> bool:
    return isinstance(over, Finished) or len(over.numbers) + len(over.returned) == began.count


def _unpack_many(stream: bytes, start: int) -> tuple[Results | None, int]:
    told = start + _MANY.size
    if told > len(stream):
        return None, told
    _, first, count, left, peak_mib, cpu_share, size = _MANY.unpack_from(stream, start)
    bodies = told + count * RESULT.size
    middle, end = bodies + size, bodies + size + left * NUMBER.size
    if end > len(stream):
        return None, end
    parts, returned = (stream[told:bodies], stream[bodies:middle]), unpack_numbers(stream[middle:end])
    return read_results(first, *parts, cpu_share=cpu_share, peak_mib=peak_mib, returned=returned), end


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

#: What may follow a `Started` at once, and says all that it says.
_ENDS = (_ENDED, _OF_MANY)

_UNPACK: dict[int, Callable[[bytes, int], tuple[Any, int]]] = {
    ord("s"): _unpack_started,
    _ENDED: _unpack_small,
    _OF_MANY: _unpack_many,
    ord("l"): _unpack_long,
    ord("q"): _unpack_asked,
}


# The queue that the workers of a bundle share: whole messages, each read by exactly one worker.

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
        os.set_blocking(self.exit, False)

    def put(self, number: int, assignment: int, call: tuple[int, int, str], key: bytes = b"") -> bool:
        """Queue one call, and what opens the secrets it is given; False where the kernel's queue is full for now."""
        arguments = call[2].encode()
        message = pack_call(number, assignment, call[:2], key + arguments)
        if len(message) > _MESSAGE_BYTES:
            self._spilled(number).write_bytes(arguments)
            message = pack_call(number, assignment, call[:2], key, spilled=True)
        return self._write(message)

    def put_chunk(self, first: int, assignment: int, calls: Sequence[tuple[int, int, str]]) -> bool | None:
        """Queue calls for one worker, numbered from `first` on; None where they are too long for one message."""
        message = pack_chunk(first, assignment, calls)
        return None if len(message) > _MESSAGE_BYTES else self._write(message)

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
            numbers = numbers_in(message)
            if len(numbers) == 1:
                self._spilled(numbers[0]).unlink(missing_ok=True)
            yield from numbers

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


def opened_again(fd: int) -> int:
    """Another descriptor of the same pipe: whether reading from one of them waits is nothing to the other."""
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # not Linux
        return os.dup(fd)


def _message_pipe() -> tuple[int, int]:
    """Where messages go in and where they come out, in order, each to one reader."""
    if sys.platform != "linux":  # macOS has neither packet pipes nor SEQPACKET; its local datagrams do not get lost
        import socket

        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        return ours.detach(), theirs.detach()
    exit_, entry = os.pipe2(os.O_DIRECT | os.O_CLOEXEC)  # O_DIRECT: each write is a packet, and each read one packet
    with suppress(OSError):  # a user with very many pipes has to do with 16 messages
        fcntl.fcntl(entry, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return entry, exit_
