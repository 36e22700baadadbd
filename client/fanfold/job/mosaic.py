"""Rasters that the runs of a job gave, put together as one cloud-optimised GeoTIFF, a piece at a time."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from fanfold.contract.records import NamedTuple
from fanfold.core.models import GOOD
from fanfold.errors import CodecError, MissingPackage
from fanfold.job.display import say_left_out
from fanfold.job.nodata import check_nodata, common_nodata, has_data
from fanfold.job.results import fold_results, say_none
from fanfold.job.written import written_whole

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from fanfold.job.job import Job

#: Endings of the files of which a mosaic is made where the runs return paths.
_RASTER_FILES = frozenset({".tif", ".tiff", ".vrt", ".jp2", ".img", ".asc"})
#: Arrays that are kept between the two looks at the results: what is beyond is read again.
_KEPT_BYTES = 256 << 20
#: Of a file so many bytes are copied at once.
_STRIPE_BYTES = 32 << 20
#: How far from the grid of the others a raster may lie, in pixels: what rounding does to coordinates.
_OFF_GRID = 0.01
#: A file so many times as large as what lies in it, beyond this size, is a mistake: rasters of two continents.
_MOST_EMPTY, _LARGE_BYTES = 50, 1 << 30
#: Names of dimensions, of rows first.
_DIMENSIONS = (("y", "x"), ("latitude", "longitude"), ("lat", "lon"))
_HOW = (
    "have each run return `array, transform, crs` (or a dict of these, an xarray object with x and y, or the path of a"
    " GeoTIFF that it wrote)."
)

#: From the left and the upper edge: pixels' width and height, both positive.
Corner: TypeAlias = tuple[float, float, float, float]
#: The first row of a piece, its values (bands, rows, columns), and where they are any; None: everywhere.
Stripe: TypeAlias = "tuple[int, np.ndarray[Any, Any], np.ndarray[Any, Any] | None]"


class Raster(NamedTuple):
    """One run's raster: where it lies, what its pixels are, and how they are read."""

    corner: Corner
    shape: tuple[int, int, int]
    dtype: str
    crs: Any
    nodata: Any
    has_mask: bool
    names: tuple[str, ...]
    stripes: Callable[[], Iterator[Stripe]]
    #: Of it in memory.
    held_bytes: int


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


# What the runs gave, as rasters.


def raster_of(value: Any) -> Raster | None:
    """A result as a raster; None where it is none. Raises `CodecError` for one that no grid of pixels can hold."""
    if isinstance(value, (str, os.PathLike)):
        return _of_file(os.fspath(value)) if Path(value).suffix.lower() in _RASTER_FILES else None
    if type(value).__module__.partition(".")[0] == "xarray":
        return _of_xarray(value)
    if isinstance(value, Mapping):
        return _of_parts(list(value.items()))
    if isinstance(value, (tuple, list)) and 2 <= len(value) <= 5:
        return _of_parts([("", part) for part in value])
    return None


def _of_parts(parts: list[tuple[Any, Any]]) -> Raster | None:
    """Of arrays beside what says where they lie: a transform or bounds, a CRS, a value for no data, or a profile."""
    import numpy as np
    from rasterio import Affine
    from rasterio.transform import from_bounds

    bands = [(str(name), part) for name, part in parts if isinstance(part, np.ndarray) and part.ndim in (2, 3)]
    facts: dict[str, Any] = {}
    for name, part in parts:
        if isinstance(part, Affine):
            facts["transform"] = part
        elif isinstance(part, Mapping) and "transform" in part:  # `src.profile`
            facts |= {key: part[key] for key in ("transform", "crs", "nodata") if part.get(key) is not None}
        elif name in ("crs", "nodata", "bounds"):
            facts[name] = part
        elif type(part).__name__ == "CRS" or (name == "" and (isinstance(part, str) or _is_epsg(part))):
            facts["crs"] = part
        elif name == "" and part is not None and not isinstance(part, np.ndarray):
            return None  # whatever it says of the array, it would be lost
    if not bands or len({part.shape[-2:] for _, part in bands}) > 1:
        return None
    if "transform" not in facts and facts.get("bounds") is not None:
        facts["transform"] = from_bounds(*facts["bounds"], *reversed(bands[0][1].shape[-2:]))
    if "transform" not in facts:
        return None
    flat = [layer for _, part in bands for layer in (part if part.ndim == 3 else part[None])]
    single = bands[0][1] if len(bands) == 1 else np.ma.stack(flat) if _any_masked(flat) else np.stack(flat)
    names = tuple(name for name, part in bands if part.ndim == 2)
    return _of_array(single, names if len(names) == len(flat) else (), facts)


def _is_epsg(part: Any) -> bool:
    return isinstance(part, int) and part >= 1024  # the smallest number of a CRS


def _any_masked(arrays: list[Any]) -> bool:
    import numpy as np

    return any(isinstance(one, np.ma.MaskedArray) for one in arrays)


def _of_array(array: Any, names: tuple[str, ...], facts: dict[str, Any]) -> Raster:
    import numpy as np

    transform, values = facts["transform"], array if array.ndim == 3 else array[None]
    if transform.b or transform.d or transform.a <= 0 or not transform.e:
        raise CodecError("its pixels are turned.", next_step="have the UDF warp it to a grid whose north is up.")
    top = transform.f
    if transform.e > 0:  # the south is up
        values, top = values[:, ::-1], transform.f + transform.e * values.shape[1]
    mask = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values) else None
    plain = np.ma.getdata(values)
    nodata = facts.get("nodata")
    if nodata is None and isinstance(values, np.ma.MaskedArray):
        nodata = _own_fill_value(values)
    if nodata is None and plain.dtype.kind == "f":
        nodata = math.nan
    there = has_data(plain, nodata)
    if mask is not None:
        there = ~mask if there is None else there & ~mask

    return Raster(
        (transform.c, top, transform.a, abs(transform.e)),
        plain.shape,
        plain.dtype.name,
        _crs(facts.get("crs")),
        nodata,
        there is not None and not there.all(),
        names,
        lambda: iter([(0, plain, there)]),
        plain.nbytes,
    )


def _own_fill_value(values: Any) -> Any:
    """What a masked array that was read from a file has for no data; None where it has only what numpy chose."""
    import numpy as np

    fill = values.fill_value
    return None if fill == np.ma.default_fill_value(values) or fill == np.ma.array(0, values.dtype).fill_value else fill


def _crs(given: Any) -> Any:
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    if given is None:
        return None
    try:
        return CRS.from_user_input(given.to_wkt() if hasattr(given, "to_wkt") else given) or None
    except CRSError as error:
        raise CodecError(f"its CRS cannot be read ({error}).", next_step=_HOW) from error


def _of_file(path: str) -> Raster:
    import rasterio
    from rasterio.errors import RasterioIOError

    try:
        with rasterio.open(path) as source:
            transform = source.transform
            if transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
                raise CodecError("its pixels are turned.", next_step="have the UDF write it with its north up.")
            return Raster(
                (transform.c, transform.f, transform.a, -transform.e),
                (source.count, source.height, source.width),
                str(source.dtypes[0]),
                source.crs or None,
                source.nodata if source.nodata is not None else _nan_of(source.dtypes[0]),
                source.nodata is None and any("per_dataset" in str(flags) for flags in source.mask_flag_enums),
                tuple(filter(None, source.descriptions)),
                lambda: _stripes_of(path),
                0,
            )
    except RasterioIOError as error:
        raise CodecError(
            f"its file {path} cannot be read ({error}).", next_step="submit again, which writes it anew."
        ) from error


def _nan_of(dtype: str) -> Any:
    return math.nan if dtype.startswith("float") else None


def _stripes_of(path: str) -> Iterator[Stripe]:
    """A file from its top to its bottom, in whole rows of blocks."""
    import rasterio
    from rasterio.windows import Window

    with rasterio.open(path) as source:
        block = source.block_shapes[0][0]
        row_bytes = source.width * source.count * 8
        rows = max(1, _STRIPE_BYTES // row_bytes // block) * block
        for start in range(0, source.height, rows):
            window = Window(0, start, source.width, min(rows, source.height - start))
            values = source.read(window=window)
            yield start, values, source.read_masks(window=window) != 0


def _of_xarray(value: Any) -> Raster | None:
    """Of an array or a dataset with equally spaced coordinates of rows and columns; variables and a third are bands."""
    import numpy as np
    from rasterio import Affine

    dims = next((pair for pair in _DIMENSIONS if set(pair) <= set(value.dims)), None)
    if dims is None or not set(dims) <= set(value.coords):
        return None
    arrays = {"": value} if hasattr(value, "to_dataset") else dict(value.data_vars)
    drawn = {str(name): one for name, one in arrays.items() if set(dims) <= set(one.dims) and one.ndim in (2, 3)}
    if not drawn:
        return None
    (top, row_step), (left, col_step) = (_spacing(value.coords[dim], value) for dim in dims)
    layers, names = [], []
    for name, one in drawn.items():
        others = [dim for dim in one.dims if dim not in dims]
        whole = one.transpose(*others, *dims)
        layers += list(whole.values) if others else [whole.values]
        labels = [str(label) for label in one.coords[others[0]].values] if others and others[0] in one.coords else []
        names += [" ".join(filter(None, (name, label))) for label in labels or [""]]
    first = next(iter(drawn.values()))
    array = layers[0][None] if len(layers) == 1 else np.stack(layers)
    facts = {"crs": _crs_of_xarray(value, dims), "nodata": _fill_of(first)}
    facts["transform"] = Affine(col_step, 0, left - col_step / 2, 0, row_step, top - row_step / 2)
    if col_step < 0:
        raise CodecError("its columns run from east to west.", next_step=f"sort it: `value.sortby({dims[1]!r})`.")
    return _of_array(array, tuple(names) if all(names) and len(names) == len(array) else (), facts)


def _spacing(coordinate: Any, value: Any) -> tuple[float, float]:
    """The middle of the first pixel, and how far it is to the next. Raises `CodecError` where they differ."""
    import numpy as np

    middles = np.asarray(coordinate.values, dtype="float64")
    if len(middles) < 2:
        written = (
            str(value.coords["spatial_ref"].attrs.get("GeoTransform", "")) if "spatial_ref" in value.coords else ""
        )
        numbers = [float(number) for number in written.split()]
        if len(numbers) != 6:
            raise CodecError(
                f"it has one {coordinate.name} only, so how large a pixel is remains unknown.", next_step=_HOW
            )
        return float(middles[0]), numbers[5] if coordinate.name in ("y", "lat", "latitude") else numbers[1]
    step = float(middles[-1] - middles[0]) / (len(middles) - 1)
    if not step or np.abs(np.diff(middles) - step).max() > abs(step) * _OFF_GRID:
        raise CodecError(
            f"its {coordinate.name} is not equally spaced.", next_step="interpolate it, or write .zarr or .nc."
        )
    return float(middles[0]), step


def _crs_of_xarray(value: Any, dims: tuple[str, str]) -> Any:
    """As rioxarray and CF keep it, in a coordinate beside. Degrees of latitude are WGS 84 where nobody says."""
    for name in ("spatial_ref", "crs"):
        attributes = value.coords[name].attrs if name in value.coords else {}
        text = attributes.get("crs_wkt") or attributes.get("spatial_ref")
        if text:
            return text
    return value.attrs.get("crs") or ("EPSG:4326" if dims != ("y", "x") else None)


def _fill_of(array: Any) -> Any:
    for facts in (array.attrs, array.encoding):
        for name in ("_FillValue", "nodata"):
            if facts.get(name) is not None and array.dtype.kind != "f":  # of floats xarray has made NaN of it
                return facts[name]
    return None


# Where they lie together.


def plan_mosaic(runs: Sequence[int], value_of: Callable[[int], Any], path: Path) -> tuple[MosaicPlan, list[Placed]]:
    """Look at every raster once, and lay them out. Those that are small enough stay in memory."""
    import numpy as np

    looked: list[tuple[int, Raster, Raster | None]] = []
    held_bytes = 0
    for run in runs:
        value = value_of(run)
        if value is None:  # a run that had nothing to give
            continue
        raster = raster_of_run(run, value)
        held_bytes += raster.held_bytes
        kept = raster if held_bytes <= _KEPT_BYTES else None
        looked.append((run, raster if kept else raster._replace(stripes=_gone), kept))
        _check_alike(run, raster, *looked[0][:2])
    if not looked:
        raise CodecError(f"{path.name} would hold nothing: no run has a raster.", next_step="see job.errors().")
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
    return MosaicPlan(first, west, north, height, width, dtype, nodata, nodata is None and is_patchy), places


def rasters_of_runs(runs: Sequence[int], value_of: Callable[[int], Any]) -> dict[int, Raster]:
    """The rasters of those runs that have one, without their values. Raises `CodecError` where one is another thing."""
    found: dict[int, Raster] = {}
    for run in runs:
        if (value := value_of(run)) is not None:
            found[run] = raster_of_run(run, value)._replace(stripes=_gone)
            first = next(iter(found))
            _check_alike(run, found[run], first, found[first])
    return found


def _gone() -> Iterator[Stripe]:
    raise AssertionError("it is read again")


def raster_of_run(run: int, value: Any) -> Raster:
    """A run's result as a raster. Raises `CodecError`, naming the run, where it is none."""
    try:
        raster = raster_of(value)
    except CodecError as error:
        error.message = f"The raster of run {run} has no place in a GeoTIFF: {error.message}"
        raise
    if raster is None:
        kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
        raise CodecError(
            f"A GeoTIFF holds rasters, and the result of run {run} is none that says where it lies (a {kind}).",
            next_step=_HOW,
        )
    return raster


def _check_alike(run: int, raster: Raster, first_run: int, first: Raster) -> None:
    """Raises `CodecError` where one file cannot hold both."""
    what = None
    if raster.crs != first.crs:
        what = f"has the CRS {_named(raster.crs)}, and run {first_run} {_named(first.crs)}"
    elif raster.shape[0] != first.shape[0]:
        what = f"has {raster.shape[0]} bands, and run {first_run} has {first.shape[0]}"
    elif any(abs(a - b) > 1e-6 * b for a, b in zip(raster.corner[2:], first.corner[2:], strict=True)):
        sizes = [" x ".join(f"{size:.10g}" for size in one.corner[2:]) for one in (raster, first)]
        what = f"has pixels of {sizes[0]}, and run {first_run} of {sizes[1]}"
    else:
        shifts = [(raster.corner[n] - first.corner[n]) / first.corner[n + 2] for n in (0, 1)]
        shift = max(abs(one - round(one)) for one in shifts)
        if shift > _OFF_GRID:
            what = f"lies {shift:.2f} of a pixel off the grid of run {first_run}"
    if what is not None:
        raise CodecError(
            f"These rasters do not fit into one file: run {run} {what}.",
            next_step="have the UDF bring all to one grid (rasterio.warp.reproject, or a WarpedVRT).",
        )


def _named(crs: Any) -> str:
    return "none" if crs is None else str(crs.to_string())


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
        for number, name in enumerate(plan.first.names, 1):
            if len(plan.first.names) == plan.first.shape[0]:
                out.set_band_description(number, name)
        overlaps = _overlapping(places)
        for place, is_shared in zip(places, overlaps, strict=True):
            raster = place.raster or raster_of_run(place.run, value_of(place.run))
            for start, values, there in raster.stripes():
                check_nodata(place.run, values, there, own=raster.nodata, common=plan.nodata)
                _put(out, plan, (place.row + start, place.col), values, there, shared=is_shared)


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
