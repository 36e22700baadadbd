"""What pydantic has read, made fit to be sent on: it takes more, and writes it otherwise, than one would mean."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from fanfold.inputs.signature import Rejection


def check_addresses(value: Any) -> None:
    """Raises `Rejection` for a `Path` of what is an address: of s3://bucket it keeps s3:/bucket."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else (value,)
    if any(hasattr(type(part), "__fspath__") and re.match("[a-z][a-z0-9+]+:/(?!/)", str(part)) for part in parts):
        raise Rejection("is an address, of which a Path loses a slash; annotate it `str | Path`")


def with_own_zones(value: Any) -> Any:
    """A value that pydantic has read: its fixed offsets are `datetime.timezone`, which can be sent on."""
    if isinstance(value, dt.datetime) and type(value.tzinfo).__module__.startswith("pydantic"):
        return value.replace(tzinfo=dt.timezone(value.utcoffset() or dt.timedelta()))
    if type(value) in (list, tuple):
        return type(value)(map(with_own_zones, value))
    if type(value) is dict:
        return {key: with_own_zones(one) for key, one in value.items()}
    return value
