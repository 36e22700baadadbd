"""The stored frames of a job as one pyarrow dataset: read where they lie, and only as far as is asked for."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fanfold.codec.registry import IPC, POLARS_WITH_LETTER
from fanfold.core.models import BAD, GOOD, Output
from fanfold.core.options import check_flags
from fanfold.errors import InputError
from fanfold.job.failures import first_failure

if TYPE_CHECKING:
    import pyarrow.dataset as ds

    from fanfold.job import Job

_FRAMES = ("parquet", "geoparquet", IPC)
ReadRange = Callable[[int, int], bytes]


def open_dataset(job: Job, *, ignore_exceptions: bool = False) -> ds.Dataset:
    """A dataset over the results of all runs, with a column `run`. Nothing is read but what it needs.

    Waits for the end. `ignore_exceptions` leaves out runs that have failed. Raises the first `RunFailed` without, and
    `InputError` where a result is no frame.
    """
    check_flags(ignore_exceptions=ignore_exceptions)
    import pyarrow.dataset as ds
    from pyarrow.fs import PyFileSystem

    state = job.wait().state
    if not ignore_exceptions and any(True for _ in state.indexes(*BAD)):
        raise job.tracker.patiently(lambda: first_failure(state, job.contents))
    outputs = {index: output for index in state.indexes(*GOOD) if (output := state.output(index)) is not None}
    other = next((index for index, output in outputs.items() if not output.codec.startswith(_FRAMES)), None)
    if other is not None or not outputs:
        raise InputError(
            f"Run {other} of job {job.id} gave no frame." if outputs else f"Job {job.id} has no results.",
            next_step="`job.results()` has values of any kind; `job.export(path)` writes them all.",
        )
    objects = job.tracker.engine.stores.objects

    def reader(output: Output) -> ReadRange:
        skipped = _skipped(output)
        if output.inline is not None:
            inline = output.inline[skipped:]
            return lambda start, stop: inline[start:stop]
        return lambda start, stop: objects.get_range(str(output.key), start + skipped, stop + skipped)

    def of_form(form: str, some: dict[int, Output]) -> ds.Dataset:
        files = {
            f"run={index}/result.{form}": (output.size - _skipped(output), reader(output))
            for index, output in some.items()
        }
        return ds.dataset(list(files), format=form, filesystem=PyFileSystem(_files(files)), partitioning="hive")

    mapped = {index: output for index, output in outputs.items() if output.codec == IPC}
    others = {index: output for index, output in outputs.items() if index not in mapped}
    parts = [of_form(form, some) for form, some in (("parquet", others), ("ipc", mapped)) if some]
    return parts[0] if len(parts) == 1 else ds.dataset(parts)


def _skipped(output: Output) -> int:
    return int(output.codec == POLARS_WITH_LETTER)


class RangeReader(io.RawIOBase):
    """A file of which each read fetches just its own bytes."""

    def __init__(self, size: int, read_range: ReadRange) -> None:
        super().__init__()
        self._size, self._read_range, self._at = size, read_range, 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to another place; nothing is fetched."""
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        """The bytes from here on, at most `size`."""
        stop = self._size if size is None or size < 0 else min(self._size, self._at + size)
        data = self._read_range(self._at, stop) if stop > self._at else b""
        self._at += len(data)
        return data


def _files(files: dict[str, tuple[int, ReadRange]]) -> Any:
    """The file system that pyarrow is shown: these files, to be read."""
    import pyarrow as pa
    from pyarrow.fs import FileInfo, FileSystemHandler, FileType

    def refuse(*_: Any, **__: Any) -> Any:
        raise NotImplementedError("the results of a job are only read")

    def info(path: str) -> FileInfo:
        if path not in files:
            return FileInfo(path, FileType.NotFound)
        return FileInfo(path, FileType.File, size=files[path][0])

    def open_file(self: Any, path: str) -> Any:  # noqa: ARG001
        return pa.PythonFile(RangeReader(*files[path]), mode="r")

    reading = {
        "get_type_name": lambda self: "fanfold",  # noqa: ARG005
        "normalize_path": lambda self, path: path,  # noqa: ARG005
        "get_file_info": lambda self, paths: [info(path) for path in paths],  # noqa: ARG005
        "get_file_info_selector": lambda self, selector: [info(path) for path in files],  # noqa: ARG005
        "open_input_file": open_file,
        "open_input_stream": open_file,
        "__eq__": lambda self, other: self is other,
        "__hash__": object.__hash__,
    }
    refused = {name: refuse for name in FileSystemHandler.__abstractmethods__ if name not in reading}
    return type("ResultFiles", (FileSystemHandler,), {**refused, **reading})()
