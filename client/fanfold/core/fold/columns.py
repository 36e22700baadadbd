"""What is known of each run, one array a fact: a million runs take about 50 MB."""

from __future__ import annotations

import os
import weakref
from array import array
from io import BytesIO
from math import isnan, nan
from typing import IO

from fanfold.core.forks import Locked
from fanfold.core.models import Event, Output, RunStatus, Usage

STATUSES = tuple(RunStatus)
CODES = {status: code for code, status in enumerate(STATUSES)}


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

    def put(self, index: int, code: int, event: Event) -> None:
        """Let `event`, which ended the run with status number `code`, be the one that counts."""
        self.ended_as[index] = code
        self.attempts[index] = event.attempt
        self.finished_at[index] = event.at
        usage = event.usage
        if usage is not None:
            self.duration_s[index] = usage.duration_s
            self.cpu_s[index] = usage.cpu_s
            self.peak_memory_mib[index] = usage.peak_memory_mib
        elif not isnan(self.duration_s[index]):  # an earlier winner's
            self.duration_s[index] = self.cpu_s[index] = self.peak_memory_mib[index] = nan
        record = _pack(event.id, event.output)
        self._offsets[index] = self._spool.add(record)
        self._sizes[index] = len(record)

    def event_id(self, index: int) -> str:
        """The id of the terminal event that counts."""
        return self._record(index).partition(b"\n")[0].decode()

    def output(self, index: int) -> Output | None:
        """Where the result is kept, if there is one."""
        return _unpack(self._record(index))

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

    def add(self, record: bytes) -> int:
        """Put `record` aside; returns its offset."""
        offset = self._end
        self._waiting.append(record)
        self._end = offset + len(record)
        if self._end - self._written_bytes > _WRITE_BYTES:
            with self.lock:
                self._write()
        return offset

    def read(self, offset: int, size: int) -> bytes:
        """The record of `size` bytes at `offset`."""
        with self.lock:
            if offset + size > self._written_bytes:
                self._write()
            if self._disk is not None:  # a forked child shares the file's position, hence none is used
                return os.pread(self._disk.fileno(), size, offset)
            self._memory.seek(offset)
            return self._memory.read(size)

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
