"""Rides to hexagons: each run reads a Parquet file, gives each ride its H3 cell and adds up by DuckDB.

    python examples/hexagons.py [folder or s3://bucket/prefix]

Shows: SQL within a run, Arrow tables as results.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import duckdb
import h3
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

import fanfold


def make_rides(where: str, files: int, rows: int) -> list[str]:
    """Files of rides in and around a town; their paths."""
    paths = []
    for number in range(files):
        random = np.random.default_rng(number)
        rides = {
            "lat": random.normal(48.2, 0.05, rows),
            "lon": random.normal(16.4, 0.07, rows),
            "fare": random.gamma(2, 8, rows),
        }
        paths.append(f"{where}/rides-{number}.parquet")
        pq.write_table(pa.table(rides), paths[-1])
    return paths


@fanfold.udf(depends_on=["path"])
def by_cell(path: str, resolution: int) -> pa.Table:
    """Rides and fares of each hexagon in one file."""
    rides = pq.read_table(path)
    places = zip(rides["lat"].to_pylist(), rides["lon"].to_pylist(), strict=True)
    rides = rides.append_column("cell", pa.array([h3.latlng_to_cell(*place, resolution) for place in places]))
    with duckdb.connect(config={"threads": 1}) as database:  # the runs side by side have the other cores
        database.register("rides", rides)
        query = "SELECT cell, count(*) AS rides, sum(fare) AS fares FROM rides GROUP BY cell ORDER BY cell"
        return database.sql(query).to_arrow_table()


def fan_out(udf: Any, inputs: Any, **constants: Any) -> list[Any]:
    """All results, by Fanfold."""
    return fanfold.submit(udf, inputs, collect=False, **constants).results()


def main(where: str, files: int = 12, rows: int = 2000, fan_out: Callable[..., list[Any]] = fan_out) -> pa.Table:
    """Make the files below `where`; rides and fares of each hexagon, the busiest first."""
    if "://" not in where:
        os.makedirs(where, exist_ok=True)
    parts = fan_out(by_cell, make_rides(where, files, rows), resolution=7)
    with duckdb.connect(config={"threads": 1}) as database:  # one adds in the same order each time
        database.register("parts", pa.concat_tables(parts))
        query = """
            SELECT cell, sum(rides)::BIGINT AS rides, sum(fares) AS fares
            FROM parts GROUP BY cell ORDER BY rides DESC, cell
        """
        return database.sql(query).to_arrow_table()


def draw(found: pa.Table, where: str, picture: str) -> None:
    """The hexagons, coloured by their rides."""
    outlines = [[(lon, lat) for lat, lon in h3.cell_to_boundary(cell)] for cell in found["cell"].to_pylist()]
    cells = PolyCollection(outlines, array=np.log10(found["rides"].to_numpy()), cmap="viridis", edgecolors="white")
    figure = Figure(figsize=(5, 4), layout="constrained")
    panel = figure.subplots()
    panel.add_collection(cells)
    panel.autoscale_view()
    panel.set(xlabel="longitude", ylabel="latitude")
    figure.colorbar(cells, ax=panel, label="rides, power of ten")
    figure.savefig(picture)


if __name__ == "__main__":
    print(main(sys.argv[1] if sys.argv[1:] else "hexagons").slice(0, 10).to_pandas())
