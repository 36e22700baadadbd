"""What the process that reads results does: it is asked by `results_process`, and answers as soon as it knows."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fanfold.api.submit import get_job
from fanfold.core.models import JobHeader, Output
from fanfold.engines.base import engine_for
from fanfold.job.results import Contents
from fanfold.job.unread import UnreadResult
from fanfold.workbench.asked_process import answer
from fanfold.workbench.downloads import write_download
from fanfold.workbench.job.collected import CELLS_IN_SHORT, CollectedJobs, TableColumn
from fanfold.workbench.previews import MOST_BYTES, Preview, in_short, look_at, picture_in, seen_of

#: So many viewers are answered side by side: one who has a large job read holds up no other.
_THREADS = 4

#: Results that cannot be read of which the page says so by their numbers.
_UNREAD = 5

_collected = CollectedJobs()


def main() -> None:
    """Answer what the page asks."""
    import_first()
    answer(ACTIONS, _THREADS)


def import_first() -> None:
    """Import what libraries look for among the modules that are loaded, plotly for one.

    While one thread imported it, they would find half of it in another, and a result would be said to be damaged.
    """
    with suppress(ImportError):
        import_module("pandas")


def read_columns(job_id: str, engine: str, version: int) -> tuple[list[TableColumn], int, list[UnreadResult], int]:
    """The columns of a job's table, its rows, the first of the results that cannot be read, and how many these are."""
    found = _collected.of(job_id, engine, version)
    return found.columns, len(found.frame), list(found.unread[:_UNREAD]), len(found.unread)


def read_page(job_id: str, engine: str, version: int, part: tuple[int, int], order: dict[str, Any]) -> bytes:
    """Rows of it as JSON, in the order and with the words of `Collected.page`."""
    return json.dumps(_collected.of(job_id, engine, version).page(part, **order)).encode()


def read_row(job_id: str, engine: str, version: int, row: int) -> dict[str, Any]:
    """The first cells of one row; empty where there is none."""
    found = _collected.of(job_id, engine, version)
    return next(iter(found.rows([row], (0, CELLS_IN_SHORT))), {}) if 0 <= row < len(found.frame) else {}


def read_shapes(job_id: str, engine: str, version: int) -> bytes:
    """The shapes, as `Collected.shapes` writes them."""
    return _collected.of(job_id, engine, version).shapes()


def read_colours(job_id: str, engine: str, version: int, column: int) -> bytes:
    """What a column's colours mean, and the colour of each shape."""
    found = _collected.of(job_id, engine, version)
    meaning, codes = found.colours(column) if column < len(found.columns) else ({}, b"")
    return json.dumps(meaning).encode() + b"\n" + codes


def look_closely(header: JobHeader, index: int, output: Output | None) -> tuple[str, Preview | None]:
    """What `look_at` gives of a run."""
    return look_at(_contents(header), index, output)


def read_picture(header: JobHeader, index: int, output: Output) -> tuple[str, bytes] | None:
    """What a run has given as a picture, or as a figure for the browser to draw; None where it is neither."""
    return picture_in(seen_of(_contents(header), index, output))


def look_in_short(header: JobHeader, outputs: dict[int, Output]) -> dict[int, str]:
    """Results in a line each, by their run."""
    contents = _contents(header)
    return {index: in_short(contents, index, output) for index, output in outputs.items()}


def is_raster(header: JobHeader, index: int, output: Output) -> bool:
    """Whether a run has given a raster, or the path of one."""
    from fanfold.job.rasters import raster_of

    if find_spec("rasterio") is None:
        return False
    return output.size <= MOST_BYTES and raster_of(_contents(header).value(index, output)) is not None


def write_results(job_id: str, engine: str, path: str) -> None:
    """A job's results as a file of the kind that its name says."""
    write_download(get_job(job_id, engine=engine), Path(path))


def write_report(job_id: str, engine: str, path: str) -> None:
    """A job's report as a file."""
    get_job(job_id, engine=engine).report(Path(path))


def compare(before: str, after: str, engine: str) -> Any:
    """The facts of two jobs, and what differs between them."""
    from fanfold.job.diff import find_difference
    from fanfold.workbench.job.comparison import facts_of

    jobs = get_job(before, engine=engine), get_job(after, engine=engine)
    found = find_difference(*jobs)
    return facts_of(*jobs, found), found


def _contents(header: JobHeader) -> Contents:
    return Contents(header, engine_for(header.engine).stores)


ACTIONS: dict[str, Callable[..., Any]] = {
    action.__name__: action
    for action in (
        read_columns, read_page, read_row, read_shapes, read_colours,
        look_closely, look_in_short, read_picture, is_raster, write_results, write_report, compare,
    )
}  # fmt: skip
