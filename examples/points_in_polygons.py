"""Points joined with polygons, tile by tile: each run reads its tile of points and the polygons, and counts.

    python examples/points_in_polygons.py [folder or s3://bucket/prefix]

Shows: GeoParquet in and out, one file a run, results that are added up.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from matplotlib.figure import Figure

import fanfold


def make_data(where: str, points: int, tiles: int) -> None:
    """A grid of districts, and points in as many files as there are tiles."""
    west, south = (axis.ravel() for axis in np.meshgrid(np.arange(20) * 0.5, np.arange(20) * 0.5))
    districts = gpd.GeoDataFrame(
        {"district": range(400)}, geometry=shapely.box(west, south, west + 0.5, south + 0.5), crs=4326
    )
    districts.to_parquet(f"{where}/districts.parquet")
    random = np.random.default_rng(0)
    for tile in range(tiles):
        x = random.uniform(10 * tile / tiles, 10 * (tile + 1) / tiles, points // tiles)
        shapes = shapely.points(x, random.uniform(0, 10, len(x)))
        gpd.GeoDataFrame(geometry=shapes, crs=4326).to_parquet(f"{where}/points-{tile}.parquet")


@fanfold.udf
def counted(tile: int, where: str) -> pd.DataFrame:
    """How many points of a tile lie in each district."""
    points = gpd.read_parquet(f"{where}/points-{tile}.parquet")
    west, south, east, north = points.total_bounds
    districts = gpd.read_parquet(f"{where}/districts.parquet").cx[west:east, south:north]
    joined = points.sjoin(districts, predicate="within")
    return joined.groupby("district").size().rename("points").reset_index()


def fan_out(udf: Any, inputs: Any, **constants: Any) -> list[Any]:
    """All results, by Fanfold."""
    return fanfold.submit(udf, inputs, collect=False, **constants).results()


def main(
    where: str, points: int = 100_000, tiles: int = 8, fan_out: Callable[..., list[Any]] = fan_out
) -> pd.DataFrame:
    """Make the files below `where`; the points in each district."""
    if "://" not in where:
        os.makedirs(where, exist_ok=True)
    make_data(where, points, tiles)
    return pd.concat(fan_out(counted, range(tiles), where=where)).groupby("district").sum()


def draw(found: pd.DataFrame, where: str, picture: str) -> None:
    """The districts, coloured by their points."""
    figure = Figure(figsize=(5, 4), layout="constrained")
    panel = figure.subplots()
    counts = found["points"].reindex(range(400), fill_value=0).to_numpy().reshape(20, 20)
    image = panel.imshow(counts, origin="lower", extent=(0, 10, 0, 10), cmap="magma")
    panel.set(xlabel="longitude", ylabel="latitude")
    figure.colorbar(image, ax=panel, label="points")
    figure.savefig(picture)


if __name__ == "__main__":
    print(main(sys.argv[1] if sys.argv[1:] else "points"))
