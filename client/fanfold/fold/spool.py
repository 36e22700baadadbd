"""Bytes put aside while a job is followed: in memory at first, on disk once there are many."""

from __future__ import annotations

import os
import weakref
from io import BytesIO
from typing import IO

from fanfold.locks import Locked

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
