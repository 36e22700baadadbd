"""Which files the results of a job can be downloaded as."""

from __future__ import annotations

from fanfold.core.models import GOOD, Output
from fanfold.errors import FanfoldError
from fanfold.workbench.following import FollowedJob

_TABLES = ("parquet", "csv", "jsonl")
_SHAPES = "geoparquet/1"
#: Rasters come as parts of a tuple, a dict or an xarray object, or as the path of a file that a run has written.
_PARTS, _PATH_ENDS = "parts/1", (b'.tif"', b'.tiff"')


def file_kinds(followed: FollowedJob) -> tuple[str, ...]:
    """By the first result: tables always, GeoPackage for shapes, GeoTIFF for rasters; none before the job has ended.

    Called in a thread without the job's lock, for a result may have to be read.
    """
    state = followed.job.state
    first = next(state.indexes(*GOOD), None) if state.done else None
    if first is None or (output := state.output(first)) is None:
        return ()
    if output.codec == _SHAPES:
        return (*_TABLES, "gpkg")
    return (*_TABLES, "tif") if _may_be_raster(output) and _is_raster(followed, first, output) else _TABLES


def _may_be_raster(output: Output) -> bool:
    return output.codec == _PARTS or (output.inline or b"").endswith(_PATH_ENDS)


def _is_raster(followed: FollowedJob, index: int, output: Output) -> bool:
    try:
        return bool(followed.results.ask("is_raster", followed.job.header, index, output))
    except FanfoldError:  # what cannot be read says why where it is looked at
        return False
