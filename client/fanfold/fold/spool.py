"""Bytes put aside while a job is followed: in memory at first, on disk once there are many."""

from __future__ import annotations

import weakref
from io import BytesIO
from typing import IO

#: Kept in memory; a job of ordinary size never touches the disk.
_MEMORY_BYTES = 32 << 20
_WRITE_BYTES = 1 << 18


class Spool:
    """Records that are written once, in any number, and read back by where they are."""

    def __init__(self) -> None:
        self._file: IO[bytes] = BytesIO()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._written_bytes = 0

    def add(self, record: bytes) -> int:
        """Put `record` aside; returns its offset."""
        offset = self._written_bytes + self._waiting_bytes
        self._waiting.append(record)
        self._waiting_bytes += len(record)
        if self._waiting_bytes > _WRITE_BYTES:
            self._write()
        return offset

    def read(self, offset: int, size: int) -> bytes:
        """The record of `size` bytes at `offset`."""
        if self._waiting:
            self._write()
        self._file.seek(offset)
        return self._file.read(size)

    def _write(self) -> None:
        if self._written_bytes + self._waiting_bytes > _MEMORY_BYTES and isinstance(self._file, BytesIO):
            self._move_to_disk(self._file)
        self._file.seek(self._written_bytes)
        self._file.write(b"".join(self._waiting))
        self._written_bytes += self._waiting_bytes
        self._waiting.clear()
        self._waiting_bytes = 0

    def _move_to_disk(self, memory: BytesIO) -> None:
        import tempfile  # costs 10 ms, and most jobs never need it

        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the finalizer
        weakref.finalize(self, self._file.close)
        self._file.write(memory.getbuffer())
