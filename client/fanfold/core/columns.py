"""What a fold keeps of each run, one array a fact (a million runs take about 50 MB), and of other attempts."""

from __future__ import annotations

import os
import weakref
from array import array
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from math import isnan, nan
from typing import IO

from fanfold.contract.records import NamedTuple
from fanfold.core.models import Event, Output, RunStatus, Usage
from fanfold.core.processes import Locked

STATUSES = tuple(RunStatus)
CODES = {status: code for code, status in enumerate(STATUSES)}
_NO_USAGE = Usage(nan, nan, nan)


class Columns:
    """The terminal event that counts so far, of each of `count` runs; its output is in a spool.

    `attempts` holds -1 and the times NaN where nothing has ended yet. Times are seconds since 1970.
    """

    __slots__ = (
        "_offsets",
        "_sizes",
        "_spool",
        "attempts",
        "cpu_s",
        "duration_s",
        "ended_as",
        "finished_at",
        "peak_memory_mib",
    )

    def __init__(self, count: int) -> None:
        self.ended_as = bytearray(count)
        self.attempts = array("i", [-1]) * count
        self.finished_at = array("d", [nan]) * count
        self.duration_s = array("d", [nan]) * count
        self.cpu_s = array("d", [nan]) * count
        self.peak_memory_mib = array("d", [nan]) * count
        self._offsets = array("q", [0]) * count
        self._sizes = array("i", [0]) * count
        self._spool = Spool()

    def put(self, ends: Mapping[int, Event]) -> None:
        """Let these events be the ones that count, each of which ended a run."""
        ended_as, attempts, finished_at = self.ended_as, self.attempts, self.finished_at
        records = [_pack(event.id, event.output) for event in ends.values()]
        offset = self._spool.add(records)
        for (index, event), record in zip(ends.items(), records, strict=True):
            ended_as[index] = CODES[event.status]  # type: ignore[index]
            attempts[index] = event.attempt
            finished_at[index] = event.at
            self.duration_s[index], self.cpu_s[index], self.peak_memory_mib[index] = event.usage or _NO_USAGE
            self._offsets[index] = offset
            size = self._sizes[index] = len(record)
            offset += size

    def event_id(self, index: int) -> str:
        """The id of the terminal event that counts."""
        return self._record(index).partition(b"\n")[0].decode()

    def output(self, index: int) -> Output | None:
        """Where the result is kept, if there is one."""
        return _unpack(self._record(index))

    def inline(self, indexes: Sequence[int]) -> Iterator[tuple[int, bytes, bytes, bytes]]:
        """Of those runs whose result stands in its event: the run, and the result's codec, sha256 (hex) and bytes."""
        offsets, sizes = self._offsets, self._sizes
        records = self._spool.read_each([(offsets[index], sizes[index]) for index in indexes])
        for index, record in zip(indexes, records, strict=True):
            if b"\n" in record:
                _, codec, sha256, _, key, inline = record.split(b"\n", 5)
                if not key:
                    yield index, codec, sha256, inline

    def usage(self, index: int) -> Usage | None:
        """What the attempt took, if that is known."""
        duration_s = self.duration_s[index]
        if isnan(duration_s):
            return None
        return Usage(duration_s, self.cpu_s[index], self.peak_memory_mib[index])

    def _record(self, index: int) -> bytes:
        return self._spool.read(self._offsets[index], self._sizes[index])


def _pack(event_id: str, output: Output | None) -> bytes:
    if output is None:
        return event_id.encode()
    inline = output.inline
    head = f"{event_id}\n{output.codec}\n{output.sha256}\n{output.size}\n{output.key or ''}\n".encode()
    return head if inline is None else head + inline


def _unpack(record: bytes) -> Output | None:
    if b"\n" not in record:
        return None
    _, codec, sha256, size, key, inline = record.split(b"\n", 5)
    return Output(codec.decode(), sha256.decode(), int(size), None if key else inline, key.decode() or None)


# Bytes put aside while a job is followed: in memory at first, on disk once there are many.

#: Kept in memory; a job of ordinary size never touches the disk.
_MEMORY_BYTES = 32 << 20
_WRITE_BYTES = 1 << 18
_COPIED_BYTES = 1 << 20


class Spool(Locked):
    """Records that are written once, in any number, and read back by where they are.

    One thread at a time adds, without the lock, which would cost more than the rest; any number read meanwhile.
    """

    def __init__(self) -> None:
        super().__init__()
        self._memory = BytesIO()
        self._disk: IO[bytes] | None = None
        self._owner_pid = 0
        self._waiting: list[bytes] = []
        self._end = 0
        self._written_bytes = 0

    def add(self, records: Sequence[bytes]) -> int:
        """Put `records` aside, one after the other; returns where the first begins."""
        offset = self._end
        self._waiting += records
        self._end = offset + sum(map(len, records))
        if self._end - self._written_bytes > _WRITE_BYTES:
            with self.lock:
                self._write()
        return offset

    def read(self, offset: int, size: int) -> bytes:
        """The record of `size` bytes at `offset`."""
        return self.read_each([(offset, size)])[0]

    def read_each(self, places: Sequence[tuple[int, int]]) -> list[bytes]:
        """The records at these places, each an offset and a size."""
        with self.lock:
            if any(offset + size > self._written_bytes for offset, size in places):
                self._write()
            if self._disk is not None:  # a forked child shares the file's position, hence none is used
                fd = self._disk.fileno()
                return [os.pread(fd, size, offset) for offset, size in places]
            with self._memory.getbuffer() as memory:
                return [bytes(memory[offset : offset + size]) for offset, size in places]

    def _write(self) -> None:
        waiting = self._waiting.copy()  # all that there is now; more may come meanwhile
        count, data = len(waiting), b"".join(waiting)
        end = self._written_bytes + len(data)
        if self._disk is None and end > _MEMORY_BYTES:
            self._move_to_disk()
        elif self._disk is not None and self._owner_pid != os.getpid():
            self._part_from_parent(self._disk)
        file = self._disk or self._memory
        file.seek(self._written_bytes)
        file.write(data)
        file.flush()
        del self._waiting[:count]
        self._written_bytes = end  # with nothing called in between: there no Ctrl-C is raised

    def _move_to_disk(self) -> None:
        disk = self._opened()
        disk.write(self._memory.getbuffer())
        self._disk, self._owner_pid, self._memory = disk, os.getpid(), BytesIO()

    def _part_from_parent(self, shared: IO[bytes]) -> None:
        """What a forked child adds must not come to lie where its parent adds."""
        own = self._opened()
        for offset in range(0, self._written_bytes, _COPIED_BYTES):
            own.write(os.pread(shared.fileno(), min(_COPIED_BYTES, self._written_bytes - offset), offset))
        self._disk, self._owner_pid = own, os.getpid()

    def _opened(self) -> IO[bytes]:
        import tempfile  # costs 10 ms, and most jobs never need it

        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the finalizer
        weakref.finalize(self, file.close)
        return file


# What attempts took that do not count (any more): AWS bills them like those that do.
# Like the fold, it depends on which events there are, and neither on their order nor on how often they come.


class Ended(NamedTuple):
    """A terminal event that does not count: what its attempt took (NaN where that was not told) and when it ended."""

    attempt: int
    duration_s: float
    at: float


class Unmeasured(NamedTuple):
    """An attempt that began and of which nobody has told what it took; `ended_at` is when its end was noticed."""

    index: int  # type: ignore[assignment]  # tuple.index is of no use here
    attempt: int
    began_at: float
    ended_at: float | None


class Spending:
    """The attempts of a job's runs beside the one of each run that counts, which is in `columns`."""

    __slots__ = ("_begun", "_columns", "_machines", "_others")

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._others: dict[int, dict[str, Ended]] = {}
        self._begun: dict[int, dict[int, float]] = {}
        self._machines: dict[str, float] = {}

    def begin(self, index: int, attempt: int, at: float) -> None:
        """An attempt has begun."""
        columns = self._columns
        if columns.attempts[index] == attempt and not isnan(columns.duration_s[index]):
            return  # it has ended and told what it took, as nearly all do
        begun = self._begun.setdefault(index, {})
        begun[attempt] = min(at, begun.get(attempt, at))

    def end(self, index: int, event_id: str, ended: Ended) -> None:
        """A terminal event does not count, or does not any more."""
        if ended.attempt >= 0 and self._columns.event_id(index) != event_id:
            self._others.setdefault(index, {})[event_id] = ended

    def replace(self, index: int) -> None:
        """The terminal event that has counted so far is about to be replaced."""
        columns, attempt = self._columns, self._columns.attempts[index]
        if attempt >= 0:
            ended = Ended(attempt, columns.duration_s[index], columns.finished_at[index])
            self._others.setdefault(index, {})[columns.event_id(index)] = ended

    def settle(self, index: int, event_id: str) -> None:
        """The terminal event that counts is another now: an attempt that it measures needs no start any more."""
        others = self._others.get(index)
        if others is not None:
            others.pop(event_id, None)
        begun = self._begun.get(index)
        if begun is not None and not isnan(self._columns.duration_s[index]):
            begun.pop(self._columns.attempts[index], None)
            if not begun:
                del self._begun[index]

    def see_machine(self, name: str, at: float) -> None:
        """A machine has told something of itself at a moment."""
        self._machines[name] = min(at, self._machines.get(name, at))

    def first_seen(self, machine: str) -> float:
        """When a machine told of itself for the first time (seconds since 1970)."""
        return self._machines[machine]

    def superseded_s(self) -> list[float]:
        """The seconds of each attempt that was measured and does not count."""
        ends = (ended for others in self._others.values() for ended in others.values())
        return [ended.duration_s for ended in ends if not isnan(ended.duration_s)]

    def unmeasured(self) -> Iterator[Unmeasured]:
        """The attempts that began and of which no terminal event tells what they took."""
        for index, begun in self._begun.items():
            ends = self._ends_of(index)
            measured = {ended.attempt for ended in ends if not isnan(ended.duration_s)}
            for attempt, began_at in begun.items():
                if attempt not in measured:
                    noticed = [ended.at for ended in ends if ended.attempt == attempt]
                    yield Unmeasured(index, attempt, began_at, max(noticed, default=None))

    def _ends_of(self, index: int) -> list[Ended]:
        columns = self._columns
        counts = Ended(columns.attempts[index], columns.duration_s[index], columns.finished_at[index])
        return [*self._others.get(index, {}).values(), counts]
