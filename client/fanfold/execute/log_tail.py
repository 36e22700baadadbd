"""Reads what one call prints, while it prints it."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

from fanfold.contract.limits import LOG_LIMIT_BYTES

#: The end of an over-long output that is kept beside its beginning.
_TAIL_BYTES = 64 * 1024
#: One log event's text at most; several together stay below a DynamoDB item's 400 KB.
_CHUNK_BYTES = 128 * 1024
#: A log file larger than this is emptied as it is read, so that endless printing does not fill the disk.
_EMPTY_ABOVE_BYTES = 64 * 1024 * 1024


class LogTail:
    """The output of one call: all of it up to `LOG_LIMIT_BYTES`, then only its end, with a line that says so."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._offset = 0
        self._kept = 0
        self._left_out = 0
        self._tail = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def news(self) -> list[str]:
        """What has been printed since the last call, in pieces."""
        if self._fd < 0:
            try:
                self._fd = os.open(self._path, os.O_RDWR)
            except FileNotFoundError:
                return []
        pieces = []
        while True:
            size = os.fstat(self._fd).st_size
            if size <= self._offset:
                break
            if self._kept >= LOG_LIMIT_BYTES:
                self._skip_to_tail(size)
                break
            data = os.pread(self._fd, min(_CHUNK_BYTES, LOG_LIMIT_BYTES - self._kept), self._offset)
            self._offset += len(data)
            self._kept += len(data)
            pieces.append(self._decoder.decode(data))
        if self._offset > _EMPTY_ABOVE_BYTES:
            # Open for appending, so what comes next goes to its end. Not to 0: an empty file says "has not printed".
            os.ftruncate(self._fd, 1)
            self._offset = 1
        return pieces

    def finish(self) -> list[str]:
        """The rest, and the file is done with."""
        pieces = self.news()
        if self._left_out > len(self._tail):
            note = f"\n[fanfold: {self._left_out - len(self._tail):,} bytes of output are left out here]\n"
            pieces.append(note)
        pieces.append(self._tail.decode(errors="replace"))
        pieces.append(self._decoder.decode(b"", final=True))
        if self._fd >= 0:
            os.close(self._fd)
            self._path.unlink(missing_ok=True)
        return [piece for piece in pieces if piece]

    def _skip_to_tail(self, size: int) -> None:
        start = max(self._offset, size - _TAIL_BYTES)
        data = os.pread(self._fd, size - start, start)
        self._left_out += size - self._offset
        self._tail = (self._tail + data)[-_TAIL_BYTES:]
        self._offset = size
