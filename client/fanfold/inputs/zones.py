"""Moments that were read from text have the time zones of Python's own library, whoever has read them."""

from __future__ import annotations

import datetime as dt
from typing import Any


def with_own_zones(value: Any) -> Any:
    """A value that pydantic has read: its fixed offsets are `datetime.timezone`, which can be sent on."""
    if isinstance(value, dt.datetime) and type(value.tzinfo).__module__.startswith("pydantic"):
        return value.replace(tzinfo=dt.timezone(value.utcoffset() or dt.timedelta()))
    if type(value) in (list, tuple):
        return type(value)(map(with_own_zones, value))
    if type(value) is dict:
        return {key: with_own_zones(one) for key, one in value.items()}
    return value
