"""A sweep over parameters of a scikit-learn model: a run a combination, the data common to all.

    python examples/sweep.py

Shows: a large constant that is stored once, dicts as inputs and results that are columns.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import cross_val_score

import fanfold


@fanfold.udf
def scored(learning_rate: float, leaves: int, x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """How well one combination does, by cross-validation."""
    model = HistGradientBoostingRegressor(
        learning_rate=learning_rate, max_leaf_nodes=leaves, max_iter=30, random_state=0
    )
    scores = cross_val_score(model, x, y, cv=3)
    return {"rate": learning_rate, "leaf_nodes": leaves, "r2": float(scores.mean()), "spread": float(scores.std())}


def fan_out(udf: Any, inputs: Any, **constants: Any) -> list[Any]:
    """All results, by Fanfold."""
    return fanfold.submit(udf, inputs, collect=False, **constants).results()


def main(
    where: str = "", rows: int = 2000, rates: int = 3, fan_out: Callable[..., list[Any]] = fan_out
) -> pd.DataFrame:
    """The combinations, the best first."""
    random = np.random.default_rng(0)
    x = random.normal(size=(rows, 8))
    y = x[:, 0] * x[:, 1] + np.sin(3 * x[:, 2]) + random.normal(scale=0.1, size=rows)
    pairs = product(np.geomspace(0.03, 0.3, rates).tolist(), [7, 15, 31])
    inputs = [{"learning_rate": rate, "leaves": leaves} for rate, leaves in pairs]
    return pd.DataFrame(fan_out(scored, inputs, x=x, y=y)).sort_values("r2", ascending=False, ignore_index=True)


def draw(found: pd.DataFrame, where: str, picture: str) -> None:
    """How well each combination does, with its spread."""
    figure = Figure(figsize=(5, 3), layout="constrained")
    panel = figure.subplots()
    for leaves, rows in found.sort_values("rate").groupby("leaf_nodes"):
        panel.errorbar(rows["rate"], rows["r2"], rows["spread"], marker="o", capsize=3, label=f"{leaves} leaves")
    panel.set(xscale="log", xlabel="learning rate", ylabel="r²")
    panel.legend()
    figure.savefig(picture)


if __name__ == "__main__":
    print(main())
