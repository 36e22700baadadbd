"""A pandas index as JSON, its values kept as columns of the frame or, for short ones, in the JSON itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pyarrow as pa

from fanfold.codec.columns import Note, from_arrow
from fanfold.codec.labels import labels_from, labels_tree

#: Keeps one column, given its readable name and its Series or Index; returns its number and its note.
KeepColumn = Callable[[str, Any], list[Any]]


def index_tree(index: Any, keep: KeepColumn) -> Note:
    """`index` as what JSON can say of it; the values of its rows go to `keep`."""
    if type(index) is pd.RangeIndex:
        return ["range", index.start, index.stop, index.step, index.name]
    if isinstance(index, pd.MultiIndex):
        # Levels and codes, not values: unused levels and their order survive, and nothing is factorized anew.
        codes = [keep(f"__index_level_{i}__", pd.Series(code)) for i, code in enumerate(index.codes)]
        return ["multi", [labels_tree(level) for level in index.levels], codes, list(index.names)]
    freq = getattr(index, "freqstr", None) if isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)) else None
    return ["flat", keep("__index_level_0__", index), index.name, freq]


def index_from(tree: Note, column: Callable[[int], pa.ChunkedArray]) -> Any:
    """The index that `index_tree` described; `column` gives the columns by their number."""
    kind, *rest = tree
    if kind == "range":
        start, stop, step, name = rest
        return pd.RangeIndex(start, stop, step, name=name)
    if kind == "multi":
        levels, codes, names = rest
        kept = [from_arrow(column(number), note) for number, note in codes]
        return pd.MultiIndex([labels_from(level) for level in levels], kept, names=names, verify_integrity=False)
    (number, note), name, freq = rest
    index = _flat(from_arrow(column(number), note), name)
    if freq is not None:
        index.freq = freq
    return index


def _flat(values: Any, name: Any) -> Any:
    return pd.Index(values, dtype=values.dtype, name=name, tupleize_cols=False)
