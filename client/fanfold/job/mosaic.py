"""Rasters that the runs of a job gave, put together as one cloud-optimised GeoTIFF, a piece at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanfold.contract.records import NamedTuple
from fanfold.core.models import GOOD
from fanfold.errors import CodecError, MissingPackage
from fanfold.job.display import say_left_out
from fanfold.job.nodata import check_nodata, common_nodata, has_data, rounds
from fanfold.job.rasters import Raster, fitted, raster_of_run
from fanfold.job.results import fold_results, nothing_to_hold, say_none
from fanfold.job.written import written_whole

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from fanfold.job.job import Job

#: Arrays that are kept between the two looks at the results: what is beyond is read again.
_KEPT_BYTES = 256 << 20
#: A file so many times as large as what lies in it, beyond this size, is a mistake: rasters of two continents.
_MOST_EMPTY, _LARGE_BYTES = 50, 1 << 30


class Placed(NamedTuple):
    """A raster within the mosaic; without its values where they are read again."""

    run: int
    row: int
    col: int
    height: int
    width: int
    raster: Raster | None


class MosaicPlan(NamedTuple):
    """The file that is to be written."""

    first: Raster
    west: float
    north: float
    height: int
    width: int
    dtype: np.dtype[Any]
    nodata: Any
    has_mask: bool
    colors: Any = None


def collect_mosaic(job: Job, path: Path, ignore_exceptions: bool, progress: bool | None) -> pd.DataFrame:
    """The rasters of a job's runs as one file, when all have ended; where each lies in it."""
    runs = ended_runs(job, ignore_exceptions, progress)
    return write_mosaic(runs, job.contents.labels(runs), job.result, path)


def ended_runs(job: Job, ignore_exceptions: bool, progress: bool | None = None) -> list[int]:
    """The runs that have a result, when all have ended. Raises the first `RunFailed` unless `ignore_exceptions`."""
    job.wait(progress=progress)
    kept = list(job.state.indexes(*GOOD))
    if len(kept) < len(job):
        if not ignore_exceptions and (error := job.first_error()) is not None:
            raise error
        say_left_out(job.state)
    return kept


def write_mosaic(
    runs: Sequence[int], labels: Sequence[Any], value_of: Callable[[int], Any], path: Path
) -> pd.DataFrame:
    """Write the rasters of these runs as one GeoTIFF, whole or not at all; a frame of where each lies in it.

    Where rasters overlap, the one of the earlier run stays. No more than 256 MB of them are in memory at once, and a
    GeoTIFF beside `path` is what they are first written to. Raises `CodecError` where they do not fit together.
    """
    try:
        import rasterio.shutil  # noqa: F401
    except ImportError as error:
        raise MissingPackage(
            f"{path.name} is written with rasterio, which is not installed.", next_step="pip install rasterio"
        ) from error
    plan, places = plan_mosaic(runs, value_of, path)
    with written_whole(path) as half_written:  # rasterio's errors are of OSError too
        tiles = half_written.with_name(f"{half_written.stem}.tiles{path.suffix}")
        try:
            _write_tiles(plan, places, value_of, tiles)
            _as_cog(tiles, half_written, plan.dtype)
        finally:
            tiles.unlink(missing_ok=True)
    return frame_of_places(places, dict(zip(runs, labels, strict=True)))


def frame_of_places(places: Sequence[Placed], label_of: Mapping[int, Any]) -> pd.DataFrame:
    """Where each raster lies in the mosaic, by its run's label."""
    rows = [{"row_off": one.row, "col_off": one.col, "height": one.height, "width": one.width} for one in places]
    return fold_results([label_of[one.run] for one in places], rows)


# Where they lie together.


def plan_mosaic(runs: Sequence[int], value_of: Callable[[int], Any], path: Path) -> tuple[MosaicPlan, list[Placed]]:
    """Look at every raster once, and lay them out. Those that are small enough stay in memory."""
    import numpy as np

    looked: list[tuple[int, Raster, Raster | None]] = []
    held_bytes = 0
    for run in runs:
        value = value_of(run)
        raster = None if value is None else raster_of_run(run, value)
        if raster is None or 0 in raster.shape:  # a run that had nothing to give
            continue
        if looked:
            raster = fitted(run, raster, *looked[0][:2])
        held_bytes += raster.held_bytes
        kept = raster if held_bytes <= _KEPT_BYTES else None
        looked.append((run, raster if kept else raster._replace(stripes=_gone), kept))
    if not looked:
        raise nothing_to_hold(path, "raster", len(runs))
    say_none(len(runs) - len(looked), len(runs))
    rasters = [raster for _, raster, _ in looked]
    first = rasters[0]
    west, north = min(one.corner[0] for one in rasters), max(one.corner[1] for one in rasters)
    places = [_placed(run, raster, kept, (west, north)) for run, raster, kept in looked]
    height, width = max(one.row + one.height for one in places), max(one.col + one.width for one in places)
    dtype = np.result_type(*{_dtype(one.dtype) for one in rasters})
    _check_size(height * width * first.shape[0] * dtype.itemsize, places, first.shape[0] * dtype.itemsize, path)
    nodata = common_nodata([one.nodata for one in rasters if one.nodata is not None], dtype)
    is_patchy = any(one.has_mask for one in rasters) or not _is_covered_once(places, height, width)
    has_mask = nodata is None and is_patchy
    colors = first.colors if all(one.colors == first.colors for one in rasters) else None
    return MosaicPlan(first, west, north, height, width, dtype, nodata, has_mask, colors), places


def rasters_of_runs(runs: Sequence[int], value_of: Callable[[int], Any]) -> dict[int, Raster]:
    """The rasters of those runs that have one, without their values. Raises `CodecError` where one is another thing."""
    found: dict[int, Raster] = {}
    for run in runs:
        if (value := value_of(run)) is not None and 0 not in (raster := raster_of_run(run, value)).shape:
            raster = raster._replace(stripes=_gone)
            found[run] = fitted(run, raster, *next(iter(found.items()))) if found else raster
    return found


def _gone() -> Iterator[Any]:
    raise AssertionError("it is read again")


def _placed(run: int, raster: Raster, kept: Raster | None, origin: tuple[float, float]) -> Placed:
    left, top, width, height = raster.corner
    row, col = round((origin[1] - top) / height), round((left - origin[0]) / width)
    return Placed(run, row, col, *raster.shape[1:], kept)


def _dtype(name: str) -> Any:
    """The type of pixels that GeoTIFF has for these. Raises `CodecError` where there is none."""
    import numpy as np

    kind = np.dtype({"bool": "uint8", "float16": "float32"}.get(name, name))
    if kind.kind not in "iufc" or kind.itemsize > 16:
        raise CodecError(f"A GeoTIFF has no pixels of {name}.", next_step="return numbers: `array.astype('float32')`.")
    return kind


def _check_size(size_bytes: int, places: list[Placed], pixel_bytes: int, path: Path) -> None:
    """Raises `CodecError` for a file that would be next to empty, and huge."""
    covered = sum(one.height * one.width for one in places) * pixel_bytes
    if size_bytes > max(_LARGE_BYTES, _MOST_EMPTY * covered):
        raise CodecError(
            f"{path.name} would have {size_bytes / 1e9:,.0f} GB, and these rasters fill"
            f" {100 * covered / size_bytes:.2g}% of it.",
            next_step="look at `transform` of each result, or write one file each: `job.results()`.",
        )


def _is_covered_once(places: list[Placed], height: int, width: int) -> bool:
    """Whether every pixel is of exactly one raster."""
    import numpy as np

    if sum(one.height * one.width for one in places) != height * width:
        return False
    rows = sorted({edge for one in places for edge in (one.row, one.row + one.height)})
    cols = sorted({edge for one in places for edge in (one.col, one.col + one.width)})
    row_of, col_of = {edge: n for n, edge in enumerate(rows)}, {edge: n for n, edge in enumerate(cols)}
    taken = np.zeros((len(rows), len(cols)), dtype=bool)
    for one in places:
        taken[row_of[one.row] : row_of[one.row + one.height], col_of[one.col] : col_of[one.col + one.width]] = True
    return bool(taken[:-1, :-1].all())


# Into one file.


def _write_tiles(plan: MosaicPlan, places: list[Placed], value_of: Callable[[int], Any], path: Path) -> None:
    """All rasters into a tiled GeoTIFF; what none of them covers takes no room in it."""
    import rasterio
    from rasterio import Affine

    _, _, xres, yres = plan.first.corner
    profile = {
        "driver": "GTiff",
        "height": plan.height,
        "width": plan.width,
        "count": plan.first.shape[0],
        "dtype": plan.dtype.name,
        "crs": plan.first.crs,
        "nodata": plan.nodata,
        "transform": Affine(xres, 0, plan.west, 0, -yres, plan.north),
    }
    storage = {"tiled": True, "blockxsize": 512, "blockysize": 512, "sparse_ok": True, "bigtiff": "IF_SAFER"}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "w+", **profile, **storage) as out:
        _describe(out, plan)
        overlaps = _overlapping(places)
        for place, is_shared in zip(places, overlaps, strict=True):
            raster = place.raster or fitted(
                place.run, raster_of_run(place.run, value_of(place.run)), places[0].run, plan.first
            )
            for start, values, there in raster.stripes():
                if rounds(values if there is None else values[there], plan.dtype):
                    raise CodecError(
                        f"Run {place.run} has integers above 2**53, and pixels of {plan.dtype} would round them.",
                        next_step="have all runs return the same type of integers.",
                    )
                check_nodata(place.run, values, there, own=raster.nodata, common=plan.nodata)
                _put(out, plan, (place.row + start, place.col), values, there, shared=is_shared)


def _describe(out: Any, plan: MosaicPlan) -> None:
    """Write down what the bands are called, and what their numbers stand for."""
    for number, name in enumerate(plan.first.band_names, 1):
        out.set_band_description(number, name)
    if plan.first.meanings:
        out.scales, out.offsets, out.units = zip(*plan.first.meanings, strict=True)
    if plan.colors is not None and plan.dtype.name in ("uint8", "uint16"):
        out.write_colormap(1, plan.colors)


def _overlapping(places: list[Placed]) -> list[bool]:
    """Whether each lies over one before it."""
    import numpy as np

    boxes = np.array([(one.row, one.row + one.height, one.col, one.col + one.width) for one in places])
    found = []
    for number, (top, bottom, left, right) in enumerate(boxes):
        before = boxes[:number]
        across = (before[:, 0] < bottom) & (before[:, 1] > top) & (before[:, 2] < right) & (before[:, 3] > left)
        found.append(bool(across.any()))
    return found


def _put(out: Any, plan: MosaicPlan, at: tuple[int, int], values: Any, there: Any, *, shared: bool) -> None:
    """Write a piece; where an earlier raster has data it stays as it is."""
    import numpy as np
    from rasterio.windows import Window

    window = Window(at[1], at[0], values.shape[2], values.shape[1])
    values = values.astype(plan.dtype, copy=False)
    if plan.nodata is not None and there is not None:
        values = np.where(there, values, np.asarray(plan.nodata).astype(plan.dtype))
    known = None
    if shared:
        before = out.read(window=window)
        known = has_data(before, plan.nodata) if plan.nodata is not None else out.dataset_mask(window=window)[None] != 0
        values = np.where(known, before, values)
    out.write(values, window=window)
    if plan.has_mask:
        seen = np.ones(values.shape[1:], dtype=bool) if there is None else there.any(axis=0)
        out.write_mask(seen if known is None else seen | known.any(axis=0), window=window)


def _as_cog(source: Path, target: Path, dtype: np.dtype[Any]) -> None:
    """The file with its overviews, in the order in which readers far away want it."""
    import rasterio
    from rasterio import shutil

    # The mean of two classes is no class.
    resampling = "AVERAGE" if dtype.kind == "f" else "NEAREST"
    options = {"compress": "DEFLATE", "predictor": "YES", "bigtiff": "IF_SAFER", "overview_resampling": resampling}
    if dtype.kind == "c":
        del options["predictor"]
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        shutil.copy(source, target, driver="COG", **options)
