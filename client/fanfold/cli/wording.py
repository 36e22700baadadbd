"""Times, sizes and arguments as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400
#: From here on a date says more than a count of days.
_DATED_AFTER_S = 30 * _DAY_S


def ago(at: float, now: float) -> str:
    """How long before `now` a moment was (both in seconds since 1970): just now, 3 min ago, 2 days ago, 2026-01-31."""
    passed_s = max(0.0, now - at)
    if passed_s < 5:
        return "just now"
    if passed_s < _MINUTE_S:
        return f"{passed_s:.0f} s ago" if passed_s < 59.5 else "1 min ago"
    if passed_s < _HOUR_S:
        return f"{passed_s // _MINUTE_S:.0f} min ago"
    if passed_s < _DAY_S:
        return f"{passed_s // _HOUR_S:.0f} h ago"
    if passed_s < _DATED_AFTER_S:
        days = int(passed_s // _DAY_S)
        return "1 day ago" if days == 1 else f"{days} days ago"
    return datetime.fromtimestamp(at, tz=timezone.utc).strftime("%Y-%m-%d")


def moment(at: float) -> str:
    """A moment (seconds since 1970) as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, tz=timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def size(count: int) -> str:
    """Bytes as people say them: 512 B, 1.5 MB."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:,.1f} TB"


def arguments(given: Mapping[str, Any]) -> str:
    """A run's arguments on one line: day='2013-01-01', n=3."""
    from fanfold.inputs.signature import short

    return ", ".join(f"{name}={short(value)}" for name, value in given.items())
