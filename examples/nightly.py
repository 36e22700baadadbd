"""A job that cron calls each night: what is new or was corrected is computed, all else is there already.

    python examples/nightly.py [folder]
    0 3 * * *  cd /home/ada/project && .venv/bin/python nightly.py     # in the crontab

Shows: `Path` arguments, by which a corrected file is a new input; a program that may be called twice, or late; tags.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import fanfold

FIRST = date(2026, 3, 1)


@fanfold.udf(cache_max_age="365d")
def report(readings: Path) -> dict[str, Any]:
    """What a day of a sensor comes to."""
    day = pd.read_csv(readings)
    return {"day": readings.stem, "readings": len(day), "mean": float(day.value.mean()), "peak": float(day.value.max())}


def fan_out(udf: Any, inputs: Any, **constants: Any) -> list[Any]:
    """All results, by Fanfold; says how many of them were computed now."""
    job = fanfold.submit(udf, inputs, collect=False, tags={"schedule": "nightly"}, **constants)
    results = job.results()
    print(f"{len(job) - job.counts().get('cached', 0)} of {len(job)} days computed", file=sys.stderr)
    return results


def arrive(folder: Path, day: date, *, missing: bool) -> Path:
    """The file of a day, as the sensor leaves it: once; or with a part of it, which is added later."""
    path = folder / f"{day}.csv"
    rows = 40 if missing else 48
    if not path.exists() or (not missing and len(path.read_text().splitlines()) < 49):
        values = np.random.default_rng(day.toordinal()).normal(20, 3, 48)[:rows].round(2)
        path.write_text("\n".join(["value", *map(str, values)]) + "\n")
    return path


def main(where: str, nights: int = 5, fan_out: Callable[..., list[Any]] = fan_out) -> pd.DataFrame:
    """The table after the last night. The newest file lacks some hours until the night after."""
    folder = Path(where).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame()
    for night in range(1, nights + 1):
        days = [FIRST + timedelta(days=n) for n in range(night * 7)]
        files = [arrive(folder, day, missing=day == days[-1]) for day in days]
        table = pd.DataFrame(fan_out(report, files))
        table.to_csv(folder / "table.csv", index=False)
    return table


def draw(found: pd.DataFrame, where: str, picture: str) -> None:
    """Mean and peak of each day, and the day that is not whole yet."""
    figure = Figure(figsize=(6, 3), layout="constrained")
    panel = figure.subplots()
    days = pd.to_datetime(found["day"])
    panel.plot(days, found["mean"], label="mean")
    panel.plot(days, found["peak"], label="peak")
    partial = found["readings"] < found["readings"].max()
    panel.scatter(days[partial], found["mean"][partial], color="tab:red", label="not whole yet", zorder=3)
    panel.legend()
    panel.tick_params(axis="x", rotation=30)
    figure.savefig(picture)


if __name__ == "__main__":
    print(main(sys.argv[1] if sys.argv[1:] else "nightly").tail())
