"""pandas frames, series and indexes as Parquet that keeps everything: labels, index, dtypes, attrs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from fanfold.codec import pandas_scalars
from fanfold.codec.columns import from_arrow, to_arrow
from fanfold.codec.encoded import Encoded
from fanfold.codec.indexes import index_from, index_tree
from fanfold.codec.labels import labels_from, labels_tree
from fanfold.codec.parquet import read_parquet, write_parquet
from fanfold.codec.results import decode_json
from fanfold.codec.tagged import encode_json

if TYPE_CHECKING:
    from fanfold.codec.tagged import Tagger

CODEC = "parquet-pandas/1"

_META = b"fanfold"

UNTAG: dict[str, Callable[[Any], Any]] = {}


def pack(value: Any) -> Encoded | None:
    """The encoding of a frame, a series or an index; None for a scalar."""
    if type(value) is pd.DataFrame:
        return Encoded(CODEC, frame_bytes(value, {}))
    if type(value) is pd.Series:
        return Encoded(CODEC, series_bytes(value, {}))
    if isinstance(value, pd.Index) and type(value).__module__.partition(".")[0] == "pandas":
        sheet = _Sheet()
        return Encoded(CODEC, sheet.to_bytes({"kind": "index", "index": index_tree(value, sheet.keep)}, {}))
    return None


def tag(value: Any, tagger: Tagger) -> Any:
    """The tag of a scalar, or None where it is of no class known here."""
    return pandas_scalars.tag(value, tagger)


def unpack(_: str, data: bytes) -> Any:
    """What `pack` encoded."""
    return read_sheet(data)[0]


def frame_bytes(frame: Any, metadata: dict[bytes, bytes], **facts: Any) -> bytes:
    """A frame as Parquet; `metadata` joins the file's, and `facts` come back from `read_sheet`."""
    sheet = _Sheet()
    columns = [sheet.keep(label, column) for label, column in frame.items()]
    index = index_tree(frame.index, sheet.keep)
    labels = labels_tree(frame.columns)
    meta = {"kind": "frame", "columns": columns, "index": index, "labels": labels, "attrs": frame.attrs, **facts}
    return sheet.to_bytes(meta, metadata)


def series_bytes(series: Any, metadata: dict[bytes, bytes], **facts: Any) -> bytes:
    """A series as Parquet of one column, and its index."""
    sheet = _Sheet()
    columns = [sheet.keep("value" if series.name is None else series.name, series)]
    index = index_tree(series.index, sheet.keep)
    meta = {"kind": "series", "columns": columns, "index": index, "name": series.name, "attrs": series.attrs, **facts}
    return sheet.to_bytes(meta, metadata)


def read_sheet(data: bytes) -> tuple[Any, dict[str, Any]]:
    """The frame, series or index in `data`, and the facts it was written with."""
    table = read_parquet(data)
    meta: dict[str, Any] = decode_json(table.schema.metadata[_META].decode("ascii"))
    index = index_from(meta["index"], table.column)
    if meta["kind"] == "index":
        return index, meta
    columns = [from_arrow(table.column(number), note) for number, note in meta["columns"]]
    if meta["kind"] == "series":
        value: Any = pd.Series(columns[0], index=index, dtype=columns[0].dtype, name=meta["name"], copy=True)
    else:
        value = _frame(columns, index)
        value.columns = labels_from(meta["labels"])
    value.attrs = meta["attrs"]
    return value, meta


def _frame(columns: list[Any], index: Any) -> Any:
    # A bare array of objects would have its dtype guessed anew; a Series of objects keeps it.
    kept = {
        number: pd.Series(values, index=index, dtype=object) if values.dtype == object else values
        for number, values in enumerate(columns)
    }
    return pd.DataFrame(kept, index=index)  # copies, as one block per dtype: Arrow's memory cannot be written to


class _Sheet:
    """The columns of a Parquet file in the making."""

    def __init__(self) -> None:
        self._arrays: list[pa.Array] = []
        self._names: dict[str, None] = {}

    def keep(self, label: Any, values: Any) -> list[Any]:
        """Add a column; its number and its note."""
        array, note = to_arrow(values, f"column {label!r}")
        self._arrays.append(array)
        self._names[self._name(label)] = None
        return [len(self._arrays) - 1, note]

    def _name(self, label: Any) -> str:
        """A name for other readers of the file: the label where it is text and unique."""
        name = str(label).encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "")
        return name if name and name not in self._names else f"{name}#{len(self._arrays)}"

    def to_bytes(self, meta: dict[str, Any], metadata: dict[bytes, bytes]) -> bytes:
        """The Parquet file."""
        notes = encode_json(meta, name="frame").encode("ascii")
        table = pa.table(self._arrays, names=list(self._names))
        return write_parquet(table.replace_schema_metadata({_META: notes, **metadata}))
