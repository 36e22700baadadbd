"""Seconds and dollars that print as people write them, and what runs cost by list prices."""

from __future__ import annotations

from fanfold.contract import prices
from fanfold.contract.limits import REALTIME_MEMORY_MIB


class Dollars(float):
    """An amount in US dollars that prints as one."""

    def __repr__(self) -> str:
        return f"${self:.6f}" if 0 < self < 0.01 else f"${self:,.2f}"

    __str__ = __repr__


class Seconds(float):
    """A time in seconds that prints as people say it, such as `3.4 s` or `2 min 5 s`."""

    def total_seconds(self) -> float:
        """The bare number, as a `timedelta` gives it."""
        return float(self)

    def __repr__(self) -> str:
        return duration(self)

    __str__ = __repr__


def duration(seconds: float) -> str:
    """Seconds as people say them: 0.3 ms, 12 ms, 3.4 s, 2 min 5 s, 1 h 20 min."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.001 or seconds <= 0 else f"{seconds * 1000:.1f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s".removesuffix(" 0 s")
    minutes = round(seconds / 60)
    return f"{minutes // 60:,} h {minutes % 60} min".removesuffix(" 0 min")


def realtime_cost(busy_s: float, runs: int) -> Dollars:
    """What realtime runs cost that took `busy_s` seconds together: Lambda bills its whole 4 GB, used or not."""
    gb_seconds = busy_s * REALTIME_MEMORY_MIB / 1024
    return Dollars(gb_seconds * prices.LAMBDA_GB_SECOND + runs * (prices.LAMBDA_REQUEST + prices.RUN_OVERHEAD))


def machine_cost(usd_per_hour: float, machine_s: float) -> Dollars:
    """What machines of that price cost that are up for `machine_s` seconds together."""
    return Dollars(machine_s / 3600 * usd_per_hour)
