"""Tables as one of pandas, without what pandas would do to them: large integers rounded, a CRS forgotten.

pandas makes floats of integers where some are missing or stand beside floats, and a float holds none above 2**53.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from fanfold.core import EXACT_IN_FLOATS

if TYPE_CHECKING:
    import pandas as pd


def concatenate(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The frames below one another; a single one as a shallow copy."""
    import pandas as pd

    if len(frames) == 1:
        return _with_any_labels(frames[0].copy(deep=False))
    whole = pd.concat(list(map(_with_any_labels, frames)))

    def cells(name: Any) -> Iterable[Any]:
        for frame in frames:
            yield from frame[name].astype(object) if name in frame.columns else [None] * len(frame)

    return _located(_with_integers(whole, cells), frames)


def _with_any_labels(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame, or a shallow copy: that no label comes twice is said of one, and not of all together."""
    flags: Any = frame.flags
    if flags.allows_duplicate_labels:
        return frame
    copied = frame.copy(deep=False)
    flags = copied.flags
    flags.allows_duplicate_labels = True
    return copied


def of_records(records: Sequence[dict[str, Any]], index: pd.Index) -> pd.DataFrame:
    """A row a record, their keys the columns."""
    import pandas as pd

    whole = pd.DataFrame.from_records(list(records), index=index)
    return _with_integers(whole, lambda name: (record.get(name) for record in records))


def of_arrow(table: Any, frame: pd.DataFrame) -> pd.DataFrame:
    """What a table of Arrow is in pandas, `frame`, with its integers as they are."""
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name in frame.columns and frame.columns.is_unique and _rounds(column):
            cells = column.to_pandas(integer_object_nulls=True)
            frame[name] = _integers(cells) if str(column.type).lstrip("u").startswith("int") else cells.to_numpy()
    return frame


def _rounds(column: Any) -> bool:
    """Whether integers of a column of Arrow, or of lists in it, have to be floats in numpy, and are none."""
    import pyarrow.compute as pc
    from pyarrow import types

    while types.is_list(column.type) or types.is_large_list(column.type) or types.is_fixed_size_list(column.type):
        column = pc.list_flatten(column)
    if not types.is_integer(column.type) or not column.null_count or column.type.bit_width < 64:
        return False
    ends = pc.min_max(column).as_py()
    return any(end is not None and abs(end) > EXACT_IN_FLOATS for end in ends.values())


def _with_integers(whole: pd.DataFrame, cells: Callable[[Any], Iterable[Any]]) -> pd.DataFrame:
    """The frame, with those columns anew in which an integer was rounded; `cells` gives what a column was made of."""
    if not whole.columns.is_unique:
        return whole
    for name in [name for name, kind in whole.dtypes.items() if kind == "float64"]:
        if (whole[name].abs() >= EXACT_IN_FLOATS).any():
            given = list(cells(name))
            if any(isinstance(cell, int) and abs(cell) > EXACT_IN_FLOATS for cell in given):
                whole[name] = _integers(given)
    return whole


def _integers(cells: Iterable[Any]) -> Any:
    """Integers with gaps as pandas has them; as objects where others are among them, or too large ones."""
    import pandas as pd

    given = [None if pd.isna(cell) else cell for cell in cells]
    if all(cell is None or type(cell) is int for cell in given):
        for kind in ("Int64", "UInt64"):
            try:
                return pd.array(given, dtype=kind)
            except (OverflowError, TypeError, ValueError):
                continue
    return pd.Series(given, dtype=object).to_numpy()


def _located(whole: pd.DataFrame, frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The frame with the shapes' CRS, which is lost where some frames have no shapes."""
    geopandas = sys.modules.get("geopandas")
    shaped = [one for one in frames if isinstance(one, geopandas.GeoDataFrame)] if geopandas else []
    if not shaped or len(shaped) == len(frames):
        return whole
    active = shaped[0].active_geometry_name
    if type(whole).__name__ == "DataFrame" and active is not None:
        whole = geopandas.GeoDataFrame(whole, geometry=active)  # type: ignore[union-attr]
    for frame in shaped:
        for name, kind in frame.dtypes.items():
            if str(kind) == "geometry" and whole[name].crs is None and frame[name].crs is not None:
                whole[name] = whole[name].set_crs(frame[name].crs)
    return whole


def mixture_in(cells: pd.Series) -> str:
    """What stands side by side in a column of which Arrow would make one type, and other values of some: its name."""
    import pandas as pd

    kinds = set(map(type, cells))
    times = [cell for cell in cells if isinstance(cell, datetime) and not pd.isna(cell)]
    found = {
        "dates beside times": bool(times) and date in kinds,
        "times with and without a time zone": len({cell.tzinfo is None for cell in times}) > 1,
        "times of a day with a time zone": time in kinds and any(getattr(cell, "tzinfo", None) for cell in cells),
        "durations beside integers": int in kinds and any(issubclass(kind, timedelta) for kind in kinds),
        "text beside bytes": kinds >= {str, bytes},
    }
    return next((name for name, is_so in found.items() if is_so), "")
