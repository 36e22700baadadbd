"""A job's inputs on disk: one line of arguments a run, and beside it an index of offsets and cache keys.

Written once, as a stream, before anything starts; read by pages ever after. A million inputs take 40 MB of index.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

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


class _Page(NamedTuple):
    """Some runs from `first` on: their lines, where these begin and the last one ends, and their cache keys."""

    first: int
    lines: list[str]
    ends: list[int]
    keys: list[str]


class Manifest:
    """Reads a job's inputs, a page of a thousand runs at a time. Any number of threads may."""

    def __init__(self, objects: ObjectStore, job_id: str, count: int) -> None:
        self._objects = objects
        self._lines_key, self._index_key = inputs_key(job_id), inputs_index_key(job_id)
        self._count = count
        self._page = _Page(-1, [], [], [])

    def arguments(self, index: int) -> str:
        """The run's arguments, as encoded text."""
        page = self._turned_to(index)
        return page.lines[index - page.first]

    def cache_key(self, index: int) -> str:
        """The run's cache key, 64 hex digits."""
        page = self._turned_to(index)
        return page.keys[index - page.first]

    def extent(self, index: int) -> tuple[int, int]:
        """From and up to which byte of the inputs the run's arguments stand."""
        page = self._turned_to(index)
        position = index - page.first
        return page.ends[position], page.ends[position + 1] - 1

    def __iter__(self) -> Iterator[str]:
        return (self.arguments(index) for index in range(self._count))

    def cache_keys(self, indexes: Iterable[int]) -> list[str]:
        """The cache keys of several runs."""
        return [self.cache_key(index) for index in indexes]

    def _turned_to(self, index: int) -> _Page:
        """The page with that run. Another thread may turn to another one meanwhile: use what is returned."""
        if not 0 <= index < self._count:
            raise IndexError(index)
        page = self._page
        if page.first != index - index % _PAGE_RUNS:
            page = self._page = self._read(index - index % _PAGE_RUNS)
        return page

    def _read(self, first: int) -> _Page:
        last = min(first + _PAGE_RUNS, self._count)
        before = max(first - 1, 0)
        raw = self._objects.get_range(self._index_key, before * _ENTRY.size, last * _ENTRY.size)
        entries = list(_ENTRY.iter_unpack(raw))
        start = entries.pop(0)[0] if first else 0
        text = self._objects.get_range(self._lines_key, start, entries[-1][0]).decode()
        ends = [start, *(end for end, _ in entries)]
        return _Page(first, text.split("\n")[:-1], ends, [key.hex() for _, key in entries])
