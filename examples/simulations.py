"""Ten thousand random walks: a run a seed, a number each.

    python examples/simulations.py

Shows: many short runs, seeds as inputs, so that any of them can be run again and gives the same; forty of
them share an invocation of a Lambda function, where the request would take longer than they do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import fanfold


@fanfold.udf
def final_value(seed: int, days: int, drift: float, spread: float) -> float:
    """What 100 are worth after so many days."""
    steps = np.random.default_rng(seed).normal(drift, spread, days)
    return float(100 * np.exp(steps.sum()))


def fan_out(udf: Any, inputs: Any, **constants: Any) -> list[Any]:
    """All results, by Fanfold."""
    return fanfold.submit(udf, inputs, collect=False, batch_size=40, **constants).results()


def main(where: str = "", seeds: int = 10_000, fan_out: Callable[..., list[Any]] = fan_out) -> dict[str, float]:
    """The 5th, 50th and 95th percentile."""
    values = fan_out(final_value, range(seeds), days=250, drift=0.0002, spread=0.01)
    low, middle, high = np.percentile(values, [5, 50, 95])
    return {"low": float(low), "middle": float(middle), "high": float(high), "seeds": seeds}


def draw(found: dict[str, float], where: str, picture: str) -> None:
    """All values, which come from the cache by now, and the percentiles."""
    values = fan_out(final_value, range(int(found["seeds"])), days=250, drift=0.0002, spread=0.01)
    figure = Figure(figsize=(5, 3), layout="constrained")
    panel = figure.subplots()
    panel.hist(values, bins=80, color="tab:blue")
    for name in ("low", "middle", "high"):
        panel.axvline(found[name], color="black", linestyle="dashed")
    panel.set(xlabel="what 100 are worth after a year", ylabel="walks")
    figure.savefig(picture)


if __name__ == "__main__":
    print(main())
