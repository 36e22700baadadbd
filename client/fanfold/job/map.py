"""A job's rasters or shapes as one map, for a notebook or a file: HTML that asks nothing of the network."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanfold.contract.records import NamedTuple
from fanfold.core.formatting import as_html
from fanfold.errors import CodecError, InputError
from fanfold.job.layers import of_features
from fanfold.job.mosaic import ended_runs, rasters_of_runs
from fanfold.job.rasters import fitted, raster_of, raster_of_run
from fanfold.job.shapes import Drawing, drawing_of, is_shape, located, shapes_of
from fanfold.job.written import write_page

if TYPE_CHECKING:
    import numpy as np

    from fanfold.job.job import Job
    from fanfold.job.rasters import Corner, Raster

#: Pixels across that a map shows of all rasters together.
_ACROSS = 900
#: Parts of all values that are shown as black and as white, in percent: a few bright pixels hide the rest.
_DARKEST, _BRIGHTEST = 2, 98
_STYLES = {
    "ff-area": "fill:#1e88e533;stroke:#1565c0;fill-rule:evenodd",
    "ff-line": "fill:none;stroke:#1565c0",
    "ff-dot": "fill:none;stroke:#1565c0;stroke-width:4;stroke-linecap:round",
}


class Thumbnail(NamedTuple):
    """A raster of fewer pixels: rows, columns and one or three bands, and where there is data."""

    corner: Corner
    values: np.ndarray[Any, Any]
    there: np.ndarray[Any, Any]


class JobMap:
    """What `job.map()` gives: a notebook shows it, `str` is its HTML."""

    def __init__(self, html: str, words: str) -> None:
        self._html = html
        self._words = words

    def _repr_html_(self) -> str:
        return self._html

    def __str__(self) -> str:
        return self._html

    def __repr__(self) -> str:
        return f"<map: {self._words}>"

    def save(self, path: str | Path) -> Path:
        """Write it as a file for a browser, and return its path. Raises `InputError` where it cannot be written."""
        return write_page(Path(path), f"<!doctype html><meta charset=utf-8><title>Map</title>{self._html}")


def map_of(job: Job, ignore_exceptions: bool) -> JobMap:
    """The map of a job, when its runs have ended."""
    runs = ended_runs(job, ignore_exceptions)
    values = (value for run in runs if (value := job.result(run)) is not None)
    first = next(values, None)
    parts = first if isinstance(first, dict) else {"": first}
    is_geojson = isinstance(parts.get("type"), str) and bool({"coordinates", "features", "geometry"} & parts.keys())
    if (
        first is None
        or hasattr(first, "to_file")
        or is_geojson
        or "geometry" in parts
        or any(map(is_shape, parts.values()))
    ):
        return map_of_shapes(job.collect(ignore_exceptions=ignore_exceptions))
    rasters = rasters_of_runs(runs, job.result)
    numbers = list(rasters)

    def read(number: int) -> Raster:
        run = numbers[number]
        return fitted(run, raster_of_run(run, job.result(run)), numbers[0], rasters[numbers[0]])

    return map_of_rasters(list(rasters.values()), read)


def map_of_rasters(rasters: list[Raster], read: Callable[[int], Raster]) -> JobMap:
    """All of them where they lie, in one range of brightness; `read` gives one with its values."""
    _, _, xres, yres = rasters[0].corner
    west, north = min(one.corner[0] for one in rasters), max(one.corner[1] for one in rasters)
    east = max(one.corner[0] + one.corner[2] * one.shape[2] for one in rasters)
    south = min(one.corner[1] - one.corner[3] * one.shape[1] for one in rasters)
    step = max(1, round(max((east - west) / xres, (north - south) / yres) / _ACROSS))
    small = [thumbnail(read(n), step) for n in range(len(rasters))]
    low, high = _range_of(small)
    scale = _ACROSS / max(east - west, north - south)
    images = []
    for raster, one in zip(rasters, small, strict=True):
        x, y = (raster.corner[0] - west) * scale, (north - raster.corner[1]) * scale
        width, height = raster.shape[2] * raster.corner[2] * scale, raster.shape[1] * raster.corner[3] * scale
        data = base64.b64encode(png_of(one, low, high)).decode()
        images.append(
            f'<image x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" preserveAspectRatio="none"'
            f' style="image-rendering:pixelated" href="data:image/png;base64,{data}"/>'
        )
    noun = "raster" if len(rasters) == 1 else "rasters"
    crs = "" if rasters[0].crs is None else f" ({rasters[0].crs.to_string()[:40]})"
    words = f"{len(rasters):,} {noun}, {low:.4g} (black) to {high:.4g} (white)"
    words += f"; x {west:.6g} to {east:.6g}, y {south:.6g} to {north:.6g}{crs}"
    return _drawn((0, 0, (east - west) * scale, (north - south) * scale), images, words)


def map_of_shapes(frame: Any) -> JobMap:
    """The geometries of a frame, or of its column of results. Raises `InputError` where there are none."""
    frame = located(of_features(frame))
    is_frame = getattr(frame, "_geometry_column_name", None) in frame.columns
    shapes = frame.geometry if is_frame else [one for one in frame.get("result", ()) if is_shape(one)]
    geographic = is_frame and bool(getattr(frame.crs, "is_geographic", False))
    drawing: Drawing | None = drawing_of(shapes_of(shapes), geographic=geographic)
    if drawing is None:
        raise InputError("There is nothing to draw: no result has a shape.", next_step="look at job.collect().")
    paths = [
        f'<path d="{path}" style="{_STYLES[kind]}" vector-effect="non-scaling-stroke"/>' for kind, path in drawing.paths
    ]
    return _drawn(drawing.box, paths, drawing.words)


def _drawn(box: tuple[float, float, float, float], parts: list[str], words: str) -> JobMap:
    view = " ".join(f"{value:.1f}" for value in box)
    picture = f'<svg viewBox="{view}" role="img" aria-label="Map of the results" style="max-height:32em;width:100%">'
    return JobMap(f"<figure>{picture}{''.join(parts)}</svg><figcaption>{as_html(words)}</figcaption></figure>", words)


# Pictures of rasters.


def thumbnail(raster: Raster, step: int) -> Thumbnail:
    """Every `step`-th pixel of each direction, in one band or the first three."""
    import numpy as np

    bands = slice(0, 3) if raster.shape[0] >= 3 else slice(0, 1)
    rows, seen = [], []
    for start, values, there in raster.stripes():
        first = -start % step
        part = values[bands, first::step, ::step].astype("float64")
        rows.append(part)
        seen.append(np.isfinite(part).all(axis=0) & (True if there is None else there[0, first::step, ::step]))
    return Thumbnail(raster.corner, np.concatenate(rows, axis=1), np.concatenate(seen))


def _range_of(thumbnails: list[Thumbnail]) -> tuple[float, float]:
    import numpy as np

    values = np.concatenate([one.values[:, one.there].ravel() for one in thumbnails])
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values, (_DARKEST, _BRIGHTEST))
    return float(low), float(high) if high > low else float(low) + 1.0


def png_of(one: Thumbnail, low: float, high: float) -> bytes:
    """A picture of red, green, blue and opacity."""
    import numpy as np
    from rasterio import Affine, Env
    from rasterio.io import MemoryFile

    shown = np.where(one.there, one.values, low)
    colours = (np.clip((shown - low) / (high - low), 0, 1) * 255).astype("uint8")
    if len(colours) == 1:
        colours = np.repeat(colours, 3, axis=0)
    pixels = np.concatenate([colours, (one.there * 255).astype("uint8")[None]])
    profile = {"driver": "PNG", "count": 4, "height": pixels.shape[1], "width": pixels.shape[2], "dtype": "uint8"}
    # It lies nowhere; a place is given for rasterio to warn of none, and GDAL keeps that in no file of its own.
    with Env(GDAL_PAM_ENABLED="NO"), MemoryFile() as file:
        with file.open(**profile, transform=Affine.scale(2, -2)) as picture:
            picture.write(pixels)
        return bytes(file.read())


def picture_of(value: Any) -> tuple[str, bytes] | None:
    """A raster among a run's results in words and as a picture; None for anything else."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else ()
    is_raster = type(value).__module__.partition(".")[0] == "xarray" or (
        len(inner) <= 12 and any(getattr(part, "ndim", 0) in (2, 3) and hasattr(part, "dtype") for part in inner)
    )
    if not is_raster:
        return None
    try:
        raster = raster_of(value)
    except (CodecError, ImportError):
        return None
    if raster is None or not min(raster.shape):
        return None
    small = thumbnail(raster, max(1, round(max(raster.shape[1:]) / _ACROSS)))
    low, high = _range_of([small])
    bands, height, width = raster.shape
    words = f"raster, {height:,} x {width:,} pixels, {bands} {'band' if bands == 1 else 'bands'} of {raster.dtype}"
    return f"{words}; {low:.4g} (black) to {high:.4g} (white)", png_of(small, low, high)
