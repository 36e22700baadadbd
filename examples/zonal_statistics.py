"""Statistics of a raster within polygons: a GeoDataFrame in chunks of 50, a run each, and one frame of all.

    python examples/zonal_statistics.py [folder or s3://bucket/prefix]

Shows: pieces of a frame as inputs (`fanfold.chunks`), frames as results that come back as one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
import shapely
from matplotlib.figure import Figure
from rasterio.features import geometry_mask, geometry_window

import fanfold


def make_heights(path: str, size: int) -> None:
    """A surface of heights, one degree wide."""
    y, x = np.mgrid[0:size, 0:size] / size
    profile = {"driver": "GTiff", "width": size, "height": size, "count": 1, "dtype": "float32", "crs": "EPSG:4326"}
    where = rasterio.Affine(1 / size, 0, 10, 0, -1 / size, 47)
    with (
        rasterio.Env(CPL_VSIL_USE_TEMP_FILE_FOR_RANDOM_WRITE="YES"),  # for a path in S3
        rasterio.open(path, "w", **profile, tiled=True, transform=where) as file,
    ):
        file.write((1000 * np.sin(6 * x) * np.cos(4 * y)).astype("float32"), 1)


def make_places(count: int) -> gpd.GeoDataFrame:
    """Circles all over it."""
    random = np.random.default_rng(0)
    centres = shapely.points(random.uniform(10.05, 10.95, count), random.uniform(46.05, 46.95, count))
    return gpd.GeoDataFrame({"place": range(count)}, geometry=shapely.buffer(centres, 0.02), crs=4326)


@fanfold.udf
def heights(places: gpd.GeoDataFrame, raster: str) -> pd.DataFrame:
    """Mean and highest of each place."""
    rows = []
    with rasterio.open(raster) as source:
        for place, shape in zip(places["place"], places.geometry, strict=True):
            window = geometry_window(source, [shape])
            values = source.read(1, window=window)
            inside = geometry_mask([shape], values.shape, source.window_transform(window), invert=True)
            rows.append((place, float(values[inside].mean()), float(values[inside].max())))
    return pd.DataFrame(rows, columns=["place", "mean_m", "highest_m"])


def fan_out(udf: Any, inputs: Any, **constants: Any) -> list[Any]:
    """All results, by Fanfold."""
    return fanfold.submit(udf, inputs, collect=False, **constants).results()


def main(where: str, count: int = 1000, size: int = 1000, fan_out: Callable[..., list[Any]] = fan_out) -> pd.DataFrame:
    """Make the raster below `where`; the statistics of `count` places."""
    if "://" not in where:
        os.makedirs(where, exist_ok=True)
    make_heights(f"{where}/heights.tif", size)
    pieces = fanfold.chunks(make_places(count), 50)
    return pd.concat(fan_out(heights, pieces, raster=f"{where}/heights.tif"), ignore_index=True)


def draw(found: pd.DataFrame, where: str, picture: str) -> None:
    """The places, coloured by their mean height."""
    places = make_places(len(found)).merge(found, on="place")
    figure = Figure(figsize=(5, 4), layout="constrained")
    places.plot(
        "mean_m", ax=figure.subplots(), cmap="terrain", legend=True, legend_kwds={"label": "mean height in metres"}
    )
    figure.savefig(picture)


if __name__ == "__main__":
    print(main(sys.argv[1] if sys.argv[1:] else "zonal"))
