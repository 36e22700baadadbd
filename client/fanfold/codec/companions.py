"""The other files that a file is made of: those that a VRT names, and those beside a shapefile.

A VRT's form: https://gdal.org/en/stable/drivers/raster/vrt.html
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from html import unescape

_BESIDE_A_SHAPEFILE = (".dbf", ".shx", ".prj", ".cpg")
_NAMED = re.compile(rb"<(?:SourceFilename|SourceDataset|SrcDataSource)\b([^>]*)>([^<]*)<")
_RELATIVE = re.compile(rb"relativeToVRT\s*=\s*[\"']1")


def companions(path: str, read: Callable[[], bytes]) -> list[str]:
    """Where the other files lie, as paths like this one; `read` gives the bytes of the file."""
    stem, ending = os.path.splitext(path)
    if ending.lower() == ".shp":
        return [stem + other for other in _BESIDE_A_SHAPEFILE]
    folder = path.rpartition("/")[0]
    found = []
    for attributes, name in _NAMED.findall(read()):
        text = unescape(name.decode("utf-8", "surrogateescape")).strip()
        found.append(f"{folder}/{text}" if folder and _RELATIVE.search(attributes) else text)
    return list(dict.fromkeys(found))
