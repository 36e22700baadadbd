"""Two stages through files: the first writes a file a day and returns its path, the second reads a week of them.

    python examples/two_stages.py [folder or s3://bucket/prefix]

Shows: what the cache makes of files. Run it again: all is cached. Delete a file, or change `measured`: what depends on
it is computed again, and nothing else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import fanfold


@fanfold.udf(check_paths=True)
def measured(day: int, out: str) -> str:
    """Write the hours of a day; its file's path, which is looked at before this result is used again."""
    path = f"{out}/day-{day:03}.parquet"
    hours = np.random.default_rng(day).gamma(3, 2, 24)
    pd.DataFrame({"day": day, "hour": range(24), "value": hours}).to_parquet(path)
    return path


@fanfold.udf(depends_on=["paths"])
def weekly(paths: list[str]) -> dict[str, float]:
    """What a week comes to; used again only while its files are what they were."""
    week = pd.concat([pd.read_parquet(path) for path in paths])
    return {"from_day": int(week.day.min()), "total": float(week.value.sum()), "peak": float(week.value.max())}


def fan_out(udf: Any, inputs: Any, **constants: Any) -> list[Any]:
    """All results, by Fanfold."""
    return fanfold.submit(udf, inputs, collect=False, **constants).results()


def main(where: str, weeks: int = 4, fan_out: Callable[..., list[Any]] = fan_out) -> pd.DataFrame:
    """Write the days below `where`; the weeks."""
    if "://" not in where:
        os.makedirs(where, exist_ok=True)
    paths = fan_out(measured, range(7 * weeks), out=where)
    weeks_of_paths = [{"paths": paths[first : first + 7]} for first in range(0, len(paths), 7)]
    return pd.DataFrame(fan_out(weekly, weeks_of_paths))


def draw(found: pd.DataFrame, where: str, picture: str) -> None:
    """The total of each week, and its highest hour."""
    figure = Figure(figsize=(5, 3), layout="constrained")
    panel = figure.subplots()
    panel.bar(found["from_day"], found["total"], width=5)
    panel.set(xlabel="first day of the week", ylabel="total", ylim=(found["total"].min() * 0.8, None))
    peaks = panel.twinx()
    peaks.plot(found["from_day"], found["peak"], color="tab:red", marker="o")
    peaks.set(ylabel="highest hour")
    figure.savefig(picture)


if __name__ == "__main__":
    print(main(sys.argv[1] if sys.argv[1:] else "two-stages"))
