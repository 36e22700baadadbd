"""What a run gave, as a raster: where it lies, what its pixels are, and whether it fits beside another one."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from fanfold.contract.records import NamedTuple
from fanfold.core.formatting import counted
from fanfold.errors import CodecError
from fanfold.job.nodata import has_data, one_nodata

if TYPE_CHECKING:
    import numpy as np

#: Endings of the files of which a mosaic is made where the runs return paths.
_RASTER_FILES = frozenset({".tif", ".tiff", ".vrt", ".jp2", ".img", ".asc"})
#: Of a file so many bytes are copied at once.
_STRIPE_BYTES = 32 << 20
#: How far from the grid of the others a raster may lie, in pixels: what rounding does to coordinates.
OFF_GRID = 0.01
#: Names of dimensions, of rows first.
DIMENSIONS = (("y", "x"), ("latitude", "longitude"), ("lat", "lon"))
_HOW = (
    "have each run return `array, transform, crs` (or a dict of these, an xarray object with x and y, or the path of a"
    " GeoTIFF that it wrote)."
)

#: From the left and the upper edge: pixels' width and height, both positive.
Corner: TypeAlias = tuple[float, float, float, float]
#: The first row of a piece, its values (bands, rows, columns), and where they are any; None: everywhere.
Stripe: TypeAlias = "tuple[int, np.ndarray[Any, Any], np.ndarray[Any, Any] | None]"


class Meaning(NamedTuple):
    """What the numbers of a band stand for: `value * scale + offset`, in this unit."""

    scale: float = 1.0
    offset: float = 0.0
    unit: str = ""


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
    #: Whether the names are keys or variables, of which each means something; else they may be a scene's or a day's.
    has_own_names: bool = False
    #: Which of its bands is which of the mosaic's, counted from 0; empty where they have the same order.
    order: tuple[int, ...] = ()
    #: Of each band; empty where each number is itself.
    meanings: tuple[Meaning, ...] = ()
    #: The colours of the first band's numbers, of a file of classes.
    colors: Any = None

    @property
    def band_names(self) -> tuple[str, ...]:
        """A name for each band, or none at all."""
        return self.names if len(self.names) == self.shape[0] else ()


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
    raster = _of_array(single, names if all(names) and len(names) == len(flat) else (), facts)
    return raster._replace(has_own_names=True)


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
        if nodata is None and (mask != mask[0]).any():
            raise CodecError(
                "its bands are masked in different places, and a file has one mask for all of them.",
                next_step="have the UDF say a value for no data: `numpy.ma.set_fill_value(array, value)`, or `nodata`.",
            )

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
                meanings=_meanings(source.scales, source.offsets, source.units),
                colors=_colors(source),
            )
    except RasterioIOError as error:
        raise CodecError(
            f"its file {path} cannot be read ({error}).", next_step="submit again, which writes it anew."
        ) from error


def _meanings(scales: Iterable[Any], offsets: Iterable[Any], units: Iterable[Any]) -> tuple[Meaning, ...]:
    """Of each band; none at all where each number is itself."""
    found = tuple(
        Meaning(float(scale), float(offset), str(unit or ""))
        for scale, offset, unit in zip(scales, offsets, units, strict=True)
    )
    return found if any(one != Meaning() for one in found) else ()


def _colors(source: Any) -> Any:
    try:
        return source.colormap(1)
    except ValueError:  # it has none
        return None


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

    dims = next((pair for pair in DIMENSIONS if set(pair) <= set(value.dims)), None)
    if dims is None or not set(dims) <= set(value.coords):
        return None
    arrays = {"": value} if hasattr(value, "to_dataset") else dict(value.data_vars)
    drawn = {str(name): one for name, one in arrays.items() if set(dims) <= set(one.dims) and one.ndim in (2, 3)}
    if not drawn:
        return None
    (top, row_step), (left, col_step) = (_spacing(value.coords[dim], value) for dim in dims)
    layers: list[Any] = []
    names: list[str] = []
    fills: list[Any] = []
    meanings: list[tuple[Any, ...]] = []
    for name, one in drawn.items():
        others = [dim for dim in one.dims if dim not in dims]
        whole = one.transpose(*others, *dims)
        layers += list(whole.values) if others else [whole.values]
        fills += [_fill_of(one)] * (len(layers) - len(fills))
        meanings += _said_of_bands(one.attrs, len(layers) - len(meanings))
        labels = [str(label) for label in one.coords[others[0]].values] if others and others[0] in one.coords else []
        names += [" ".join(filter(None, (name, label))) for label in labels or [""]]
    array = layers[0][None] if len(layers) == 1 else np.stack(one_nodata(layers, fills))
    facts = {"crs": _crs_of_xarray(value, dims), "nodata": fills[0]}
    facts["transform"] = Affine(col_step, 0, left - col_step / 2, 0, row_step, top - row_step / 2)
    if col_step < 0:
        raise CodecError("its columns run from east to west.", next_step=f"sort it: `value.sortby({dims[1]!r})`.")
    raster = _of_array(array, tuple(names) if all(names) and len(names) == len(array) else (), facts)
    has_own_names = all(one.ndim == 2 for one in drawn.values())
    return raster._replace(has_own_names=has_own_names, meanings=_meanings(*zip(*meanings, strict=True)))


def _said_of_bands(attributes: Mapping[str, Any], count: int) -> list[tuple[Any, ...]]:
    """Scale, offset and unit of each band of a variable: one for all, or a tuple, as rioxarray has them."""
    found = []
    for names, usual in ((("scales", "scale_factor"), 1.0), (("offsets", "add_offset"), 0.0), (("units",), "")):
        said = next((attributes[name] for name in names if name in attributes), usual)
        found.append(list(said) if isinstance(said, (tuple, list)) and len(said) == count else [said] * count)
    return list(zip(*found, strict=True))


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
    if not step or np.abs(np.diff(middles) - step).max() > abs(step) * OFF_GRID:
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
    """What stands for no data in it, as xarray and rioxarray keep it; of floats, `encoding` has what NaN stands for."""
    for facts in (array.attrs, {} if array.dtype.kind == "f" else array.encoding):
        for name in ("_FillValue", "missing_value", "fill_value", "nodata"):
            if facts.get(name) is not None:
                return facts[name]
    return None


# Two of them beside each other.


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


def fitted(run: int, raster: Raster, first_run: int, first: Raster) -> Raster:
    """The raster with its bands in the order of the first one's names. Raises `CodecError` where they do not fit."""
    _check_alike(run, raster, first_run, first)
    raster = _reordered(raster, first)
    _check_meanings(run, raster, first_run, first)
    return raster


def _reordered(raster: Raster, first: Raster) -> Raster:
    """The raster with its bands in the order of the first one's names, where these are the same."""
    if raster.band_names == first.band_names or set(raster.band_names) != set(first.band_names):
        return raster
    order = tuple(raster.names.index(name) for name in first.names)

    def stripes() -> Iterator[Stripe]:
        for start, values, there in raster.stripes():
            yield start, values[list(order)], None if there is None else there[list(order)]

    meanings = tuple(raster.meanings[n] for n in order) if raster.meanings else ()
    return raster._replace(names=first.names, order=order, stripes=stripes, meanings=meanings)


def _check_meanings(run: int, raster: Raster, first_run: int, first: Raster) -> None:
    """Raises `CodecError` where the same number stands for another in the two, as a scale or a unit says."""
    count = first.shape[0]
    plain = (Meaning(),) * count
    for band, (ours, theirs) in enumerate(zip(raster.meanings or plain, first.meanings or plain, strict=True), 1):
        if ours[:2] != theirs[:2] or (ours.unit != theirs.unit and ours.unit and theirs.unit):
            words = [f"{one.scale:.10g} * value + {one.offset:.10g} {one.unit}".rstrip() for one in (ours, theirs)]
            raise CodecError(
                f"These rasters do not fit into one file: band {band} of run {run} stands for {words[0]}, and of run"
                f" {first_run} for {words[1]}.",
                next_step="have the UDF bring all to one scale, offset and unit.",
            )


def _differing_names(raster: Raster, first: Raster) -> bool:
    """Whether their bands are not the same ones. Names of files that have none in common may say anything."""
    ours, theirs = raster.band_names, first.band_names
    if not ours or not theirs or sorted(ours) == sorted(theirs):
        return False
    return bool(set(ours) & set(theirs)) or (raster.has_own_names and first.has_own_names)


def _check_alike(run: int, raster: Raster, first_run: int, first: Raster) -> None:
    """Raises `CodecError` where one file cannot hold both."""
    what, step = None, "bring all to one grid (rasterio.warp.reproject, or a WarpedVRT)"
    if raster.crs != first.crs:
        what = f"has the CRS {_named(raster.crs)}, and run {first_run} {_named(first.crs)}"
    elif raster.shape[0] != first.shape[0]:
        what = f"has {counted(raster.shape[0], 'band')}, and run {first_run} has {first.shape[0]}"
    elif _differing_names(raster, first):
        what = f"has the bands {', '.join(raster.names)}, and run {first_run} {', '.join(first.names)}"
        step = "give the same bands by the same names; their order does not matter"
    elif any(abs(a - b) > 1e-6 * b for a, b in zip(raster.corner[2:], first.corner[2:], strict=True)):
        sizes = [" x ".join(f"{size:.10g}" for size in one.corner[2:]) for one in (raster, first)]
        what = f"has pixels of {sizes[0]}, and run {first_run} of {sizes[1]}"
    else:
        shifts = [(raster.corner[n] - first.corner[n]) / first.corner[n + 2] for n in (0, 1)]
        shift = max(abs(one - round(one)) for one in shifts)
        if shift > OFF_GRID:
            what = f"lies {shift:.2f} of a pixel off the grid of run {first_run}"
    if what is not None:
        raise CodecError(
            f"These rasters do not fit into one file: run {run} {what}.",
            next_step=f"have the UDF {step}.",
        )


def _named(crs: Any) -> str:
    return "none" if crs is None else str(crs.to_string())
