"""A job's inputs on disk: one line of arguments a run, and beside it an index of offsets and cache keys.

Written once, as a stream, before anything starts; read by pages ever after. A million inputs take 40 MB of index.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from fanfold.contract.layout import inputs_index_key, inputs_key
from fanfold.stores.disk import disk_errors, told
from fanfold.stores.protocols import ObjectStore

#: Of each run: where its line ends, in bytes from the start, and its cache key.
_ENTRY = struct.Struct("<Q32s")
_PAGE_RUNS = 1000


class ManifestWriter:
    """Collects inputs in files of `folder`; `store` moves them to where they stay. Raises `StoreError`."""

    def __init__(self, folder: Path, job_id: str) -> None:
        self._job_id = job_id
        self._folder = folder
        self._lines_path, self._index_path = folder / f"{job_id}.jsonl", folder / f"{job_id}.idx"
        with disk_errors(folder):
            self._lines = self._lines_path.open("wb")
            self._index = self._index_path.open("wb")
        self._end = 0
        self.count = 0

    def add(self, arguments: str, cache_key: str) -> None:
        """The next run's arguments (encoded text without line breaks) and its cache key (64 hex digits)."""
        try:
            self._end += self._lines.write(arguments.encode()) + self._lines.write(b"\n")
            self._index.write(_ENTRY.pack(self._end, bytes.fromhex(cache_key)))
        except OSError as error:
            raise told(error, self._folder) from error
        self.count += 1

    def store(self, objects: ObjectStore) -> None:
        """Keep what was collected among the objects."""
        with disk_errors(self._folder):
            self._lines.close()
            self._index.close()
        objects.put_file(inputs_key(self._job_id), self._lines_path)
        objects.put_file(inputs_index_key(self._job_id), self._index_path)

    def __enter__(self) -> ManifestWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for path, file in ((self._lines_path, self._lines), (self._index_path, self._index)):
            with suppress(OSError):  # no room for what it still had to write: that has been told
                file.close()
            path.unlink(missing_ok=True)


class Manifest:
    """Reads a job's inputs, a page of a thousand runs at a time."""

    def __init__(self, objects: ObjectStore, job_id: str, count: int) -> None:
        self._objects = objects
        self._lines_key, self._index_key = inputs_key(job_id), inputs_index_key(job_id)
        self._count = count
        self._first = -1
        self._lines: list[str] = []
        self._ends: list[int] = []
        self._keys: list[str] = []

    def arguments(self, index: int) -> str:
        """The run's arguments, as encoded text."""
        self._turn_to(index)
        return self._lines[index - self._first]

    def cache_key(self, index: int) -> str:
        """The run's cache key, 64 hex digits."""
        self._turn_to(index)
        return self._keys[index - self._first]

    def extent(self, index: int) -> tuple[int, int]:
        """From and up to which byte of the inputs the run's arguments stand."""
        self._turn_to(index)
        position = index - self._first
        return self._ends[position], self._ends[position + 1] - 1

    def __iter__(self) -> Iterator[str]:
        return (self.arguments(index) for index in range(self._count))

    def cache_keys(self, indexes: Iterable[int]) -> list[str]:
        """The cache keys of several runs."""
        return [self.cache_key(index) for index in indexes]

    def _turn_to(self, index: int) -> None:
        if not 0 <= index < self._count:
            raise IndexError(index)
        first = index - index % _PAGE_RUNS
        if first == self._first:
            return
        last = min(first + _PAGE_RUNS, self._count)
        before = max(first - 1, 0)
        raw = self._objects.get_range(self._index_key, before * _ENTRY.size, last * _ENTRY.size)
        entries = list(_ENTRY.iter_unpack(raw))
        start = entries.pop(0)[0] if first else 0
        text = self._objects.get_range(self._lines_key, start, entries[-1][0]).decode()
        self._lines = text.split("\n")[:-1]
        self._ends = [start, *(end for end, _ in entries)]
        self._keys = [key.hex() for _, key in entries]
        self._first = first
