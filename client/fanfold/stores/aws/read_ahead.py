"""Reads of what is written once, answered from blocks of 4 MiB: paging through a million inputs takes a few calls."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

_BLOCK_BYTES = 4 << 20
_BLOCKS = 8
#: Keys under this prefix name what is written once.
_PREFIX = "jobs/"


class ReadAhead:
    """The blocks read last, of any key; 32 MiB at most."""

    def __init__(self, read: Callable[[str, int, int], bytes]) -> None:
        self._read = read
        self._blocks: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    @staticmethod
    def suits(key: str) -> bool:
        """Whether what is under `key` never changes."""
        return key.startswith(_PREFIX)

    def note(self, key: str, data: bytes) -> None:
        """Remember what has just been written, whole."""
        if self.suits(key) and len(data) <= _BLOCK_BYTES * _BLOCKS // 2:
            for number in range(len(data) // _BLOCK_BYTES + 1):
                self._keep(key, number, data[number * _BLOCK_BYTES : (number + 1) * _BLOCK_BYTES])

    def read(self, key: str, start: int, stop: int) -> bytes:
        """The bytes from `start` up to, not including, `stop`; fewer at the end."""
        found = []
        for number in range(start // _BLOCK_BYTES, -(-stop // _BLOCK_BYTES)):
            block = self._block(key, number)
            begin = number * _BLOCK_BYTES
            found.append(block[max(0, start - begin) : stop - begin])
            if len(block) < _BLOCK_BYTES:
                break
        return b"".join(found)

    def _block(self, key: str, number: int) -> bytes:
        with self._lock:
            block = self._blocks.get((key, number))
            if block is not None:
                self._blocks.move_to_end((key, number))
                return block
        block = self._read(key, number * _BLOCK_BYTES, (number + 1) * _BLOCK_BYTES)
        self._keep(key, number, block)
        return block

    def _keep(self, key: str, number: int, block: bytes) -> None:
        with self._lock:
            self._blocks[key, number] = block
            while len(self._blocks) > _BLOCKS:
                self._blocks.popitem(last=False)
