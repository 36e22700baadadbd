"""Daily temperatures to monthly means: each run takes a band of latitudes and writes its region of a Zarr store.

    python examples/climatology.py [folder or s3://bucket/prefix]

Shows: xarray and Zarr, many runs that write to one store, whole chunks each.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

import fanfold

ROWS = 10


def store(path: str) -> Any:
    """A Zarr store, on a disk or in S3."""
    if "://" not in path:
        return path
    from obstore.store import S3Store
    from zarr.storage import ObjectStore

    return ObjectStore(S3Store.from_url(path))


def make_temperatures(path: str, years: int, size: int) -> None:
    """Days of some years on a grid, in chunks of 10 latitudes."""
    days = pd.date_range("2001-01-01", periods=365 * years)
    season = 10 * np.sin((days.day_of_year.to_numpy() - 100) / 58)
    noise = np.random.default_rng(0).normal(size=(len(days), size, size))
    coordinates = {"time": days, "lat": np.linspace(45, 55, size), "lon": np.linspace(5, 15, size)}
    data = xr.Dataset({"t": (("time", "lat", "lon"), (season[:, None, None] + noise).astype("float32"))}, coordinates)
    data.to_zarr(store(path), mode="w", encoding={"t": {"chunks": (len(days), ROWS, size)}}, consolidated=False)


def make_target(path: str, source: str) -> int:
    """An empty store for the means; how many latitudes there are."""
    with xr.open_zarr(store(source), chunks=None, consolidated=False) as data:
        shape = (12, data.sizes["lat"], data.sizes["lon"])
        coordinates = {"month": range(1, 13), "lat": data.lat.values, "lon": data.lon.values}
    means = xr.Dataset({"t": (("month", "lat", "lon"), np.full(shape, np.nan, "float32"))}, coordinates)
    chunks = {"t": {"chunks": (12, ROWS, shape[2])}}
    means.to_zarr(store(path), mode="w", encoding=chunks, consolidated=False)
    return shape[1]


@fanfold.udf
def monthly(first: int, source: str, target: str) -> int:
    """Write the means of ten latitudes, and say how many values they are of."""
    rows = slice(first, first + ROWS)
    with xr.open_zarr(store(source), chunks=None, consolidated=False) as data:
        band = data.isel(lat=rows).load()
    means = band.groupby("time.month").mean().drop_vars(["month", "lon", "lat"])
    means.to_zarr(
        store(target),
        region={"month": slice(0, 12), "lat": rows, "lon": slice(0, band.sizes["lon"])},
        consolidated=False,
    )
    return band.t.size


def fan_out(udf: Any, inputs: Any, **constants: Any) -> list[Any]:
    """All results, by Fanfold. What a run writes is its result: the cache would know nothing of it."""
    return fanfold.submit(udf, inputs, collect=False, cache=False, **constants).results()


def main(where: str, years: int = 4, size: int = 60, fan_out: Callable[..., list[Any]] = fan_out) -> xr.Dataset:
    """Make both stores below `where`; the monthly means."""
    source, target = f"{where}/days.zarr", f"{where}/months.zarr"
    make_temperatures(source, years, size)
    latitudes = make_target(target, source)
    fan_out(monthly, range(0, latitudes, ROWS), source=source, target=target)
    return xr.open_zarr(store(target), chunks=None, consolidated=False).load()


def draw(found: xr.Dataset, where: str, picture: str) -> None:
    """Four months, side by side."""
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    panels = figure.subplots(1, 4)
    for panel, month in zip(panels, (1, 4, 7, 10), strict=True):
        values = found.t.sel(month=month).values
        image = panel.imshow(values, vmin=-11, vmax=11, cmap="RdBu_r", origin="lower")
        panel.set(title=f"month {month}", xticks=[], yticks=[])
    figure.colorbar(image, ax=panels, label="degrees")
    figure.savefig(picture)


if __name__ == "__main__":
    print(main(sys.argv[1] if sys.argv[1:] else "climatology"))
