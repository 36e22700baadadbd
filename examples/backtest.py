"""A backtest by symbol: every rule on every symbol's prices, a run each.

    python examples/backtest.py

Shows: dicts as inputs for several parameters, dicts as results that become columns, a table to look at afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import fanfold

SYMBOLS = ("ALDR", "BIRC", "CEDR", "DOGW", "ELMS", "FIRS", "GINK", "HAZL")
#: Days of the fast and of the slow average.
RULES = ((5, 20), (10, 50), (20, 100), (50, 200))
YEAR = 252


def prices(symbol: str, days: int) -> pd.Series:
    """Made-up closing prices, whose trend goes on for a while: the same each time for the same symbol."""
    random = np.random.default_rng(list(symbol.encode()))
    trend = pd.Series(random.normal(0, 0.004, days)).ewm(span=60).mean()
    return pd.Series(100 * np.exp(np.cumsum(trend + random.normal(0, 0.012, days))))


@fanfold.udf
def backtest(symbol: str, fast: int, slow: int, days: int, cost: float) -> dict[str, float]:
    """Hold the symbol on the day after its fast average stands above its slow one."""
    close = prices(symbol, days)
    held = (close.rolling(fast).mean() > close.rolling(slow).mean()).astype(float).shift(1, fill_value=0.0)
    trades = held.diff().abs().fillna(0.0)
    gains = held * close.pct_change().fillna(0.0) - trades * cost
    worth = (1 + gains).cumprod()
    spread = gains.std()
    return {
        "sharpe": float(np.sqrt(YEAR) * gains.mean() / spread) if spread else 0.0,
        "worth": float(worth.iloc[-1]),
        "deepest": float((worth / worth.cummax() - 1).min()),
        "trades": int(trades.sum()),
    }


def fan_out(udf: Any, inputs: Any, **constants: Any) -> list[Any]:
    """All results, by Fanfold."""
    return fanfold.submit(udf, inputs, collect=False, **constants).results()


def main(where: str = "", years: int = 8, fan_out: Callable[..., list[Any]] = fan_out) -> pd.DataFrame:
    """A row for each symbol and rule."""
    cases = [{"symbol": symbol, "fast": fast, "slow": slow} for symbol, (fast, slow) in product(SYMBOLS, RULES)]
    found = fan_out(backtest, cases, days=years * YEAR, cost=0.0005)
    return pd.concat([pd.DataFrame(cases), pd.DataFrame(found)], axis=1)


def draw(found: pd.DataFrame, where: str, picture: str) -> None:
    """The Sharpe ratio of each rule on each symbol."""
    table = found.assign(rule=found["fast"].astype(str) + "/" + found["slow"].astype(str)).pivot_table(
        index="symbol", columns="rule", values="sharpe", sort=False
    )
    figure = Figure(figsize=(5, 4), layout="constrained")
    panel = figure.subplots()
    shown = panel.imshow(table, cmap="RdYlGn", vmin=-1.5, vmax=1.5)
    panel.set(xticks=range(len(table.columns)), xticklabels=table.columns, xlabel="days of the averages")
    panel.set(yticks=range(len(table.index)), yticklabels=table.index)
    figure.colorbar(shown, label="Sharpe ratio")
    figure.savefig(picture)


if __name__ == "__main__":
    print(main().round(2).to_string(index=False))
