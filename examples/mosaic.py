"""A scene cut into windows: each run computes a vegetation index of one and writes a COG; then they become one file.

    python examples/mosaic.py [folder or s3://bucket/prefix]

Shows: the raster's own blocks as inputs, paths as results that count for the cache, the same code with s3:// paths.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import rasterio
from matplotlib.figure import Figure
from rasterio.merge import merge
from rasterio.windows import Window

import fanfold

BLOCK = 128


def make_scene(path: str, size: int) -> None:
    """A red and a near infrared band of `size` by `size` pixels, in tiles."""
    random = np.random.default_rng(0)
    north_west = rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)
    profile = {"driver": "GTiff", "width": size, "height": size, "count": 2, "dtype": "uint16", "crs": "EPSG:32633"}
    tiles = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "transform": north_west}
    with rasterio.open(path, "w", **profile, **tiles) as scene:
        scene.write(random.integers(1, 4000, (2, size, size), dtype="uint16"))


def for_gdal(path: str) -> str:
    """An s3:// path in GDAL's own words, which drivers want that write everything at the end."""
    return path.replace("s3://", "/vsis3/", 1)


@fanfold.udf(check_paths=True, depends_on=["scene"])
def vegetation(window: Window, scene: str, out: str) -> str:
    """Write the index of one window beside the others; its path."""
    with rasterio.open(scene) as source:
        red, near = source.read(window=window).astype("float32")
        where = {"transform": source.window_transform(window), "crs": source.crs}
    path = f"{out}/{window.row_off}-{window.col_off}.tif"
    profile = {"driver": "COG", "width": window.width, "height": window.height, "count": 1, "dtype": "float32"}
    with rasterio.open(for_gdal(path), "w", **profile, **where) as tile:
        tile.write((near - red) / (near + red), 1)
    return path


def fan_out(udf: Any, inputs: Any, **constants: Any) -> list[Any]:
    """All results, by Fanfold."""
    return fanfold.submit(udf, inputs, collect=False, **constants).results()


def main(where: str, size: int = 1024, fan_out: Callable[..., list[Any]] = fan_out) -> dict[str, Any]:
    """Make the scene, its tiles and the mosaic below `where`; the mosaic's shape and mean."""
    if "://" not in where:
        os.makedirs(f"{where}/tiles", exist_ok=True)
    # A COG is written out of order, and S3 takes files from front to back: by way of a temporary file.
    with rasterio.Env(CPL_VSIL_USE_TEMP_FILE_FOR_RANDOM_WRITE="YES"):
        make_scene(f"{where}/scene.tif", size)
        with rasterio.open(f"{where}/scene.tif") as scene:
            windows = [window for _, window in scene.block_windows(1)]
        tiles = fan_out(vegetation, windows, scene=f"{where}/scene.tif", out=f"{where}/tiles")
        merge(tiles, dst_path=for_gdal(f"{where}/mosaic.tif"), dst_kwds={"driver": "COG"})
        with rasterio.open(f"{where}/mosaic.tif") as mosaic:
            return {"tiles": len(tiles), "shape": mosaic.shape, "mean": float(mosaic.read(1).mean())}


def draw(found: dict[str, Any], where: str, picture: str) -> None:
    """The mosaic, and the windows of which it was made."""
    with rasterio.open(f"{where}/mosaic.tif") as mosaic:
        index = mosaic.read(1, out_shape=(256, 256))
    figure = Figure(figsize=(5, 4), layout="constrained")
    panel = figure.subplots()
    image = panel.imshow(index, cmap="RdYlGn", extent=(0, found["shape"][1], found["shape"][0], 0))
    lines = range(0, found["shape"][0] + 1, BLOCK)
    panel.set(xticks=lines, yticks=lines)
    panel.tick_params(labelsize=6)
    panel.grid(color="black")
    figure.colorbar(image, ax=panel, label="vegetation index")
    figure.savefig(picture)


if __name__ == "__main__":
    print(main(sys.argv[1] if sys.argv[1:] else "mosaic"))
