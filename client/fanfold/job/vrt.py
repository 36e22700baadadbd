"""A VRT over the GeoTIFFs whose paths the runs of a job gave: a mosaic of any size, of which nothing is copied.

Its form: https://gdal.org/en/stable/drivers/raster/vrt.html
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from fanfold.errors import CodecError, MissingPackage
from fanfold.job.mosaic import MosaicPlan, Placed, ended_runs, frame_of_places, plan_mosaic
from fanfold.job.nodata import check_same_nodata
from fanfold.job.written import written_whole

if TYPE_CHECKING:
    import pandas as pd

    from fanfold.job.job import Job

#: What GDAL calls numpy's types: some as a whole, others with their number of bits.
_TYPES = {"uint8": "Byte", "complex64": "CFloat32", "complex128": "CFloat64"}
_WORDS = {"uint": "UInt", "int": "Int", "float": "Float"}
#: How GDAL reads what lies elsewhere.
_ELSEWHERE = {"s3://": "/vsis3/", "https://": "/vsicurl/https://", "http://": "/vsicurl/http://"}


def collect_vrt(job: Job, path: Path, ignore_exceptions: bool, progress: bool | None) -> pd.DataFrame:
    """Write the VRT when all runs have ended; a frame of where each file lies in it.

    Raises `CodecError` for a result that is no path of a raster, or where they do not fit together.
    """
    runs = ended_runs(job, ignore_exceptions, progress)
    try:
        import rasterio  # noqa: F401
    except ImportError as error:
        raise MissingPackage(
            f"{path.name} needs rasterio, which is not installed.", next_step="pip install 'fanfold[geo]'"
        ) from error
    plan, places = plan_mosaic(runs, _path_of(job.result), path)
    for one in places:
        check_same_nodata(one.run, own=one.raster.nodata if one.raster else plan.nodata, common=plan.nodata)
    names = {one.run: _gdal_name(os.fspath(job.result(one.run))) for one in places}
    tree = vrt_of(plan, places, names)
    indent(tree)
    with written_whole(path) as half_written:
        ElementTree(tree).write(half_written, encoding="utf-8")
    return frame_of_places(places, dict(zip(runs, job.contents.labels(runs), strict=True)))


def _path_of(value_of: Callable[[int], Any]) -> Callable[[int], Any]:
    def path_or_none(run: int) -> Any:
        value = value_of(run)
        if value is None or isinstance(value, (str, os.PathLike)):
            return value
        raise CodecError(
            f"A VRT names files, and the result of run {run} is a {type(value).__qualname__}.",
            next_step="have each run write a GeoTIFF and return its path, or collect into .tif, which holds pixels.",
        )

    return path_or_none


def _gdal_name(path: str) -> str:
    """What GDAL opens from any folder."""
    for scheme, prefix in _ELSEWHERE.items():
        if path.startswith(scheme):
            return prefix + path.removeprefix(scheme)
    return path if path.startswith("/vsi") else str(Path(path).absolute())


def vrt_of(plan: MosaicPlan, places: Sequence[Placed], names: dict[int, str]) -> Element:
    """The file's content: each band of each source in its place, the earlier inputs on top."""
    _, _, xres, yres = plan.first.corner
    root = Element("VRTDataset", rasterXSize=str(plan.width), rasterYSize=str(plan.height))
    if plan.first.crs is not None:
        SubElement(root, "SRS").text = plan.first.crs.to_wkt()
    corner = (plan.west, xres, 0.0, plan.north, 0.0, -yres)
    SubElement(root, "GeoTransform").text = ", ".join(map(repr, map(float, corner)))
    kind = _TYPES.get(plan.dtype.name) or re.sub("u?int|float", lambda found: _WORDS[found[0]], plan.dtype.name)
    for number in range(1, plan.first.shape[0] + 1):
        band = SubElement(root, "VRTRasterBand", dataType=kind, band=str(number))
        if plan.first.band_names:
            SubElement(band, "Description").text = plan.first.names[number - 1]
        if plan.nodata is not None:
            SubElement(band, "NoDataValue").text = _number(plan.nodata)
        _describe(band, plan, number)
        _add_sources(band, places, names, number, plan.nodata)
    if plan.has_mask:
        mask = SubElement(SubElement(root, "MaskBand"), "VRTRasterBand", dataType="Byte")
        _add_sources(mask, places, names, None, None)
    return root


def _describe(band: Element, plan: MosaicPlan, number: int) -> None:
    """What the band's numbers stand for, and their colours."""
    if plan.first.meanings:
        meaning = plan.first.meanings[number - 1]
        for name, value in (("UnitType", meaning.unit), ("Offset", meaning.offset), ("Scale", meaning.scale)):
            SubElement(band, name).text = value if isinstance(value, str) else repr(value)
    if plan.colors is not None and number == 1:
        SubElement(band, "ColorInterp").text = "Palette"
        table = SubElement(band, "ColorTable")
        for place in range(max(plan.colors) + 1):
            color = zip(("c1", "c2", "c3", "c4"), map(str, plan.colors.get(place, (0, 0, 0, 255))), strict=True)
            SubElement(table, "Entry", dict(color))


def _add_sources(
    band: Element, places: Sequence[Placed], names: dict[int, str], number: int | None, nodata: Any
) -> None:
    """`number`: of the mosaic's band, from 1; None for the mask."""
    for place in reversed(places):  # what is named later is drawn over what is named before
        source = SubElement(band, "SimpleSource" if nodata is None else "ComplexSource")
        SubElement(source, "SourceFilename", relativeToVRT="0").text = names[place.run]
        SubElement(source, "SourceBand").text = "mask,1" if number is None else str(_own_number(place, number))
        size = {"xSize": str(place.width), "ySize": str(place.height)}
        SubElement(source, "SrcRect", {"xOff": "0", "yOff": "0", **size})
        SubElement(source, "DstRect", {"xOff": str(place.col), "yOff": str(place.row), **size})
        own = nodata if nodata is None or place.raster is None else place.raster.nodata
        if own is not None:
            SubElement(source, "NODATA").text = _number(own)


def _own_number(place: Placed, number: int) -> int:
    order = place.raster.order if place.raster else ()
    return order[number - 1] + 1 if order else number


def _number(value: Any) -> str:
    return "nan" if math.isnan(value) else repr(float(value)).removesuffix(".0")
