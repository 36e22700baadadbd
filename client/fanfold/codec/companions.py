"""The other files that a file is made of: those that a VRT names, and those beside a shapefile, a raster or a database.

A VRT's form: https://gdal.org/en/stable/drivers/raster/vrt.html
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from html import unescape

from fanfold.codec.paths import JOURNALS, RASTERS, SHAPEFILE, VRT

_BESIDE_A_SHAPEFILE = (".dbf", ".shx", ".prj", ".cpg")
#: GDAL's own: what it knows of a raster that has no room for it, coarser levels, and a mask.
_BESIDE_A_RASTER = (".aux.xml", ".ovr", ".msk")
_NAMED = re.compile(rb"<(?:SourceFilename|SourceDataset|SrcDataSource)\b([^>]*)>([^<]*)<")
_RELATIVE = re.compile(rb"relativeToVRT\s*=\s*[\"']1")


def beside(path: str) -> list[str]:
    """Where files may lie that belong to a raster or a database of this machine; none of anything else."""
    stem, ending = os.path.splitext(path)
    if journal := JOURNALS.get(ending.lower()):
        return [path + journal]
    if ending.lower() not in RASTERS:
        return []
    world = f"{ending[:2]}{ending[-1]}w".lower()  # `.tfw` of `.tif`
    others = (".hdr", ".wld", world, ".prj")
    named = [stem + (other.upper() if ending.isupper() else other) for other in others]
    return named + [path + other for other in _BESIDE_A_RASTER]


def _has_bytes(path: str) -> bool:
    try:
        return os.path.getsize(path) > 0
    except OSError:
        return False


def companions(path: str, read: Callable[[], bytes]) -> list[str]:
    """Where the other files lie, as paths like this one; `read` gives the bytes of the file."""
    stem, ending = os.path.splitext(path)
    if ending.lower() == SHAPEFILE:
        return [stem + other for other in _BESIDE_A_SHAPEFILE]
    if ending.lower() != VRT:
        return list(filter(_has_bytes, beside(path)))
    folder = path.rpartition("/")[0]
    found = []
    for attributes, name in _NAMED.findall(read()):
        text = unescape(name.decode("utf-8", "surrogateescape")).strip()
        found.append(f"{folder}/{text}" if folder and _RELATIVE.search(attributes) else text)
    return list(dict.fromkeys(found))
