"""Tags for pandas' scalars: timestamps, durations, periods, intervals, NaT and NA."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fanfold.codec.moments import zone_from, zone_tree

if TYPE_CHECKING:
    from fanfold.codec.values import Tagger


def tag(value: Any, tagger: Tagger) -> Any:
    """The tag for `value`, or None where it is of no class known here."""
    write_tag = _WRITERS.get(type(value).__qualname__)
    if write_tag is not None:
        return write_tag(value, tagger)
    if hasattr(type(value), "rule_code"):
        return _offset(value, tagger)
    if hasattr(type(value), "construct_array_type"):
        return _dtype(value, tagger)
    return None


def _offset(value: Any, tagger: Tagger) -> Any:
    """An offset as its class and what that is called with; None where this does not give it again."""
    import pandas as pd

    name, facts = type(value).__qualname__, [value.n, bool(value.normalize), dict(value.kwds)]
    calendar = facts[2].pop("calendar", None)  # which is of the holidays and the week's days beside it
    kind = getattr(pd.offsets, name, None)
    if kind is not type(value):
        return None
    again = kind(facts[0], normalize=facts[1], **facts[2])
    if again != value or (calendar is not None and not _are_same_days(calendar, again.calendar)):
        return None
    return {"$offset": [name, *facts[:2], tagger.at("kwds", facts[2])]}


def _are_same_days(calendar: Any, other: Any) -> bool:
    return bool((calendar.weekmask == other.weekmask).all() and list(calendar.holidays) == list(other.holidays))


def _dtype(value: Any, tagger: Tagger) -> Any:
    """A dtype of pandas' own, as an array without values."""
    import pandas as pd

    return {"$pandas_dtype": tagger.at("dtype", pd.array([], dtype=value))}


def _timestamp(value: Any, tagger: Tagger) -> Any:
    return {"$timestamp": [int(value.asm8.view("i8")), value.unit, zone_tree(value.tz, tagger.where)]}


_WRITERS: dict[str, Callable[[Any, Tagger], Any]] = {
    "Timestamp": _timestamp,
    "Timedelta": lambda value, _: {"$duration": [int(value.asm8.view("i8")), value.unit]},
    "Period": lambda value, _: {"$period": [value.ordinal, value.freqstr]},
    "Interval": lambda value, tagger: {"$interval": [*tagger.items([value.left, value.right]), value.closed]},
    "NaTType": lambda *_: {"$pandas": "NaT"},
    "NAType": lambda *_: {"$pandas": "NA"},
}


def _read_timestamp(payload: Any) -> Any:
    import numpy as np
    import pandas as pd

    number, unit, zone = payload
    moment = pd.Timestamp(np.datetime64(number, unit))
    return moment if zone is None else moment.tz_localize("UTC").tz_convert(zone_from(zone))


def _read_duration(payload: Any) -> Any:
    import numpy as np
    import pandas as pd

    return pd.Timedelta(np.timedelta64(*payload))


def _read_period(payload: Any) -> Any:
    import pandas as pd

    ordinal, freq = payload
    return pd.Period(ordinal=ordinal, freq=freq)


def _read_interval(payload: Any) -> Any:
    import pandas as pd

    return pd.Interval(*payload)


def _read_missing(name: str) -> Any:
    import pandas as pd

    return {"NaT": pd.NaT, "NA": pd.NA}[name]


def _read_offset(payload: Any) -> Any:
    import pandas as pd

    name, number, normalize, keywords = payload
    kind = getattr(pd.offsets, name)
    if not issubclass(kind, pd.offsets.BaseOffset):
        raise TypeError(f"{name} is no offset")
    return kind(number, normalize=normalize, **keywords)


UNTAG: dict[str, Callable[[Any], Any]] = {
    "$timestamp": _read_timestamp,
    "$duration": _read_duration,
    "$period": _read_period,
    "$interval": _read_interval,
    "$pandas": _read_missing,
    "$offset": _read_offset,
    "$pandas_dtype": lambda array: array.dtype,
}
