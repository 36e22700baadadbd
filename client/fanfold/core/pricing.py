"""The prices in force: AWS's list prices, or what the setting `prices` gives in their place."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fanfold.contract.instances import LIST_PRICES, Prices
from fanfold.contract.layout import REALTIME_MEMORY_MIB
from fanfold.contract.payloads import RUNS_PER_CHILD
from fanfold.core.formatting import Dollars
from fanfold.errors import ConfigurationError
from fanfold.settings import current, parsed_toml

_TABLES = ("per_hour", "spot_per_hour")
_TEXTS = ("as_of", "region")
_HOST = re.compile(r"[a-z0-9-]+\.[a-z0-9-]+")


def prices() -> Prices:
    """The prices that plans and costs are made from. Raises `ConfigurationError` naming what is wrong with them."""
    given = current().prices
    if given is None:
        return LIST_PRICES
    if isinstance(given, Mapping):
        return _replaced(given, "the setting prices")
    path = Path(given).expanduser()
    return _replaced(_read(path), str(path))


def _read(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"The prices in {path} cannot be read: {error}.",
            next_step="set FANFOLD_PRICES, or whatever names it, to a file of TOML or JSON.",
        ) from error
    if path.suffix != ".json":
        return parsed_toml(text, path)
    try:
        told = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"{path} is not JSON: {error}.", next_step="fix that line.") from error
    if not isinstance(told, dict):
        raise ConfigurationError(f"{path} holds no JSON object.", next_step=f"give {', '.join(Prices._fields)}.")
    return told


def _replaced(given: Mapping[str, Any], where: str) -> Prices:
    """The list with what is given in its place."""
    unknown = sorted(given.keys() - set(Prices._fields))
    if unknown:
        raise ConfigurationError(
            f"{where}: there is no price {', '.join(unknown)}.", next_step=f"keep to {', '.join(Prices._fields)}."
        )
    if "as_of" not in given:
        raise ConfigurationError(
            f"{where}: prices have a date.", next_step='say as of when they are, such as as_of = "2026-11".'
        )
    known = LIST_PRICES._asdict()
    tables = {name: {**known[name], **_table(given.get(name, {}), f"{where}: {name}", known[name])} for name in _TABLES}
    texts = {name: str(given[name]) for name in _TEXTS if name in given}
    numbers = {name: _usd(given[name], f"{where}: {name}") for name in given.keys() - {*_TABLES, *_TEXTS}}
    return Prices(**{**known, **texts, **numbers, **tables})


def _table(given: Any, where: str, known: Mapping[str, float]) -> dict[str, float]:
    if not isinstance(given, Mapping):
        raise ConfigurationError(
            f"{where} is {given!r}.", next_step='give dollars by machine, such as {"c5.large": 0.085}.'
        )
    unknown = sorted(name for name in given.keys() - set(known) if not _HOST.fullmatch(str(name)))
    if unknown:  # a deployment may have others than the list
        raise ConfigurationError(
            f"{where}: {', '.join(unknown)} is not an EC2 machine.",
            next_step=f"name machines as EC2 does: {next(iter(known))}.",
        )
    return {name: _usd(usd, f"{where}: {name}") for name, usd in given.items()}


def _usd(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        raise ConfigurationError(f"{where} is {value!r}.", next_step="give dollars, as a number of at least 0.")
    return float(value)


# What runs cost, by a table of prices: pure arithmetic.

#: Of one run: its two events, and its entry in the cache.
_WRITES = 3
#: Express bills an execution's memory in steps of this.
_EXPRESS_GB = 64 / 1024


def realtime_cost(
    busy_s: float, runs: int, prices: Prices = LIST_PRICES, *, arm64: bool = False, large_results: bool = False
) -> Dollars:
    """What realtime runs cost that took `busy_s` seconds together: Lambda bills its whole 4 GB, used or not.

    Executions of 40 runs are paid for by their own, and each run's events and cache entry; `large_results` are objects
    in S3, too.
    """
    gb_second = prices.lambda_gb_second_arm64 if arm64 else prices.lambda_gb_second
    child_h = busy_s / 3600 / RUNS_PER_CHILD
    each = prices.lambda_request + prices.express_request / RUNS_PER_CHILD + _WRITES * prices.dynamodb_write
    if large_results:
        each += prices.s3_put + prices.standard_transition / RUNS_PER_CHILD
    computing = busy_s * REALTIME_MEMORY_MIB / 1024 * gb_second + child_h * _EXPRESS_GB * prices.express_gb_hour
    return Dollars(computing + runs * each)


def machine_cost(usd_per_hour: float, machine_s: float) -> Dollars:
    """What machines of that price cost that are up for `machine_s` seconds together."""
    return Dollars(machine_s / 3600 * usd_per_hour)
