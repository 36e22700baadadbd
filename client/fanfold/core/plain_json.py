"""Values as JSON can hold them, whole: the text of an array, a series or a frame leaves out most of what is in it."""

from __future__ import annotations

import json
import math
from datetime import date, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def plain(value: Any) -> Any:
    """What `json.dumps` is to write for a value that it has no form for: `default=plain`.

    A set or an array is a list; a series too, or an object where its index has labels; a frame is a list of its rows.
    All else is its text.
    """
    if isinstance(value, (set, frozenset)):
        return list(value)
    for whole in ("to_dicts", "to_pylist"):  # frames of polars, and what is Arrow's
        if hasattr(value, whole):
            return getattr(value, whole)()
    if hasattr(value, "to_json") and hasattr(value, "index"):  # pandas
        return rows(value) if hasattr(value, "columns") else _series(value)
    if getattr(getattr(value, "dtype", None), "kind", "") in ("M", "m"):  # as lists these would be bare numbers
        return value.astype(str).tolist()
    for whole in ("tolist", "to_list"):
        if hasattr(value, whole):
            return getattr(value, whole)()
    return str(value)


def cell(value: Any) -> Any:
    """A value as the cell of a text file: what holds several is JSON, anything else stays as it is."""
    whole = value if isinstance(value, (list, tuple, dict)) else plain(value)
    return json.dumps(whole, default=plain) if isinstance(whole, (list, tuple, dict)) else value


def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame of pandas, each by column, all digits kept; moments are ISO 8601, shapes are WKT."""
    import pandas as pd

    frame = pd.DataFrame(frame).copy(deep=False)
    for place, kind in enumerate(frame.dtypes):
        if kind.name == "geometry":
            frame.isetitem(place, frame.iloc[:, place].astype(str).to_numpy())
        elif kind.kind in ("O", "c"):  # periods and intervals too
            frame.isetitem(place, pd.Series(list(map(_said, frame.iloc[:, place])), dtype=object).to_numpy())
    told: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", date_format="iso", double_precision=15))
    for place, name in enumerate(told[0] if told else ()):
        for row, value in zip(told, frame.iloc[:, place].tolist(), strict=True):
            if isinstance(value, float):  # of which pandas writes so many decimals, and of 1e-20 none but zeros
                row[name] = value if math.isfinite(value) else None
    return told


#: Of these pandas makes JSON as one would. Dataclasses, attrs and pydantic name the fields of a class so.
_KINDS = (str, int, float, date, time, timedelta, Decimal)
_FIELDS = ("__dataclass_fields__", "__attrs_attrs__", "__pydantic_fields__")


def _said(value: Any) -> Any:
    """A cell, of which pandas makes JSON: where it would write out what lies in an object, or refuse it, its text."""
    if value is None or isinstance(value, _KINDS):
        return value
    if isinstance(value, dict):
        return {name: _said(part) for name, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(map(_said, value))
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if hasattr(value, "__array_interface__"):  # numpy's
        return _said_of_array(value)
    return value if hasattr(value, "to_json") and hasattr(value, "index") else _said_of_object(value)  # pandas' own


def _said_of_array(value: Any) -> Any:
    kind = value.dtype.kind
    if value.ndim:
        return _said(value.tolist()) if kind in "Oc" else value
    return value[()] if kind in "biufmM" else _said(value.item())


def _said_of_object(value: Any) -> Any:
    names = next((list(getattr(type(value), one)) for one in _FIELDS if hasattr(type(value), one)), None)
    if names is None:
        return str(value) if isinstance(value, complex) else plain(value)
    named = [str(getattr(one, "name", one)) for one in names]  # attrs has objects that say their name
    return {name: _said(getattr(value, name)) for name in named if not name.startswith("_")}


def _series(series: pd.Series[Any]) -> Any:
    import pandas as pd

    if isinstance(series.index, pd.RangeIndex) or not series.index.is_unique:
        return series.tolist()
    return dict(zip(map(str, series.index), series.tolist(), strict=True))
