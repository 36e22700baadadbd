"""pandas frames, series and indexes as Parquet that keeps everything: labels, index, dtypes, attrs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa

from fanfold.codec import pandas_scalars
from fanfold.codec.encoded import Encoded
from fanfold.codec.moments import zone_from, zone_tree
from fanfold.codec.values import decode_json, encode_json
from fanfold.errors import CodecError

if TYPE_CHECKING:
    from fanfold.codec.values import Tagger

CODEC = "parquet-pandas/1"

META = b"fanfold"

UNTAG: dict[str, Callable[[Any], Any]] = {}


def pack(value: Any) -> Encoded | None:
    """The encoding of a frame, a series or an index; None for a scalar."""
    if type(value) is pd.DataFrame:
        data = frame_bytes(value, {})
        give_back(data)
        return Encoded(CODEC, data)
    if type(value) is pd.Series:
        return Encoded(CODEC, series_bytes(value, {}))
    if isinstance(value, pd.Index) and (_is_pandas(value) or _is_calendar(value)):
        sheet = Sheet()
        return Encoded(CODEC, sheet.to_bytes({"kind": "index", "index": index_tree(value, sheet.keep)}, {}))
    if isinstance(value, pd.api.extensions.ExtensionArray) and type(value).__module__.partition(".")[0] == "pandas":
        sheet = Sheet()
        return Encoded(CODEC, sheet.to_bytes({"kind": "array", "column": sheet.keep("value", pd.Series(value))}, {}))
    return None


def _is_pandas(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "pandas"


def _is_calendar(index: Any) -> bool:
    """Whether an index is xarray's of moments in calendars that pandas does not have."""
    return (type(index).__module__, type(index).__name__) == ("xarray.coding.cftimeindex", "CFTimeIndex")


def tag(value: Any, tagger: Tagger) -> Any:
    """The tag of a scalar, or None where it is of no class known here."""
    return pandas_scalars.tag(value, tagger)


def unpack(_: str, data: bytes) -> Any:
    """What `pack` encoded."""
    value = read_sheet(data)[0]
    give_back(data)
    return value


#: From here on (bytes) it is worth a few milliseconds to give memory back.
_LARGE = 8 << 20


def give_back(data: bytes) -> None:
    """Give back to the system what Arrow took for a large value that was written as `data`, or read from it.

    Arrow keeps what it has freed: of 300,000 polygons 145 MB, in the caller and in each worker.
    """
    if len(data) >= _LARGE:
        pa.default_memory_pool().release_unused()


def frame_bytes(frame: Any, metadata: dict[bytes, bytes], **facts: Any) -> bytes:
    """A frame as Parquet; `metadata` joins the file's, and `facts` come back from `read_sheet`."""
    sheet = Sheet()
    columns = [sheet.keep(label, column) for label, column in frame.items()]
    index = index_tree(frame.index, sheet.keep)
    labels = labels_tree(frame.columns)
    meta = {"kind": "frame", "columns": columns, "index": index, "labels": labels, **_said_of(frame), **facts}
    return sheet.to_bytes(meta, metadata)


def series_bytes(series: Any, metadata: dict[bytes, bytes], **facts: Any) -> bytes:
    """A series as Parquet of one column, and its index."""
    sheet = Sheet()
    columns = [sheet.keep("value" if series.name is None else series.name, series)]
    index = index_tree(series.index, sheet.keep)
    meta = {"kind": "series", "columns": columns, "index": index, "name": series.name, **_said_of(series), **facts}
    return sheet.to_bytes(meta, metadata)


def _said_of(value: Any) -> dict[str, Any]:
    """What a frame or a series says of itself: its attributes, and whether no label may come twice."""
    flags = {} if value.flags.allows_duplicate_labels else {"unique": True}
    return {"attrs": value.attrs, **flags}


def say_of(value: Any, meta: dict[str, Any]) -> None:
    """Have a frame or a series say the same of itself."""
    value.attrs = meta["attrs"]
    if "unique" in meta:
        value.flags.allows_duplicate_labels = False


def read_sheet(data: bytes) -> tuple[Any, dict[str, Any]]:
    """The frame, series or index in `data`, and the facts it was written with."""
    from fanfold.codec.parquet import read_parquet

    table = read_parquet(data)
    meta: dict[str, Any] = decode_json(table.schema.metadata[META].decode("ascii"))
    return value_of(table, meta), meta


def value_of(table: pa.Table, meta: dict[str, Any], *, block: Any = None) -> Any:
    """What a table holds by its `meta`. `block`: all columns as an array of (columns, rows), for the value to keep."""
    if meta["kind"] == "array":
        number, note = meta["column"]
        return pd.array(from_arrow(table.column(number), note), copy=True)
    index = index_from(meta["index"], table.column)
    if meta["kind"] == "index":
        return index
    if block is None:
        value = _copied(table, meta, index)
    elif meta["kind"] == "series":
        value = pd.Series(block[0], index=index, name=meta["name"], copy=False)
    else:
        value = pd.DataFrame(block.T, index=index, copy=False)
    if meta["kind"] == "frame":
        value.columns = labels_from(meta["labels"])
    say_of(value, meta)
    return value


def _copied(table: pa.Table, meta: dict[str, Any], index: Any) -> Any:
    columns = [from_arrow(table.column(number), note) for number, note in meta["columns"]]
    if meta["kind"] == "series":
        return pd.Series(columns[0], index=index, dtype=columns[0].dtype, name=meta["name"], copy=True)
    return _frame(columns, index)


def _frame(columns: list[Any], index: Any) -> Any:
    # A bare array of objects would have its dtype guessed anew; a Series of objects keeps it.
    kept = {
        number: pd.Series(values, index=index, dtype=object) if values.dtype == object else values
        for number, values in enumerate(columns)
    }
    return pd.DataFrame(kept, index=index)  # copies, as one block per dtype: Arrow's memory cannot be written to


class Sheet:
    """The columns of a file in the making."""

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

    def table(self, meta: dict[str, Any], metadata: dict[bytes, bytes]) -> pa.Table:
        """The columns as a table, `meta` among its metadata."""
        notes = encode_json(meta, name="frame").encode("ascii")
        return pa.table(self._arrays, names=list(self._names)).replace_schema_metadata({META: notes, **metadata})

    def to_bytes(self, meta: dict[str, Any], metadata: dict[bytes, bytes]) -> bytes:
        """The Parquet file."""
        from fanfold.codec.parquet import write_parquet  # costs a worker 30 ms, which not every frame needs

        return write_parquet(self.table(meta, metadata))


# One column of a pandas frame as an Arrow array and a note of its exact dtype, and back.

#: A column's dtype as JSON: its family, then what that family needs to be rebuilt.
Note = list[Any]


def to_arrow(values: Any, where: str) -> tuple[pa.Array, Note]:
    """The Arrow array of a Series or an Index, and the note that `from_arrow` needs.

    `where` names the column in errors. Raises `CodecError` for a dtype that cannot be carried exactly.
    """
    if isinstance(values.dtype, np.dtype):
        return _from_numpy(values.to_numpy(), where)
    for family, (dtype, write, _) in _FAMILIES.items():
        if isinstance(values.dtype, dtype):
            array, *details = write(values.array, where)
            return array, [family, *details]
    if type(values.dtype).__name__ == "GeometryDtype":
        from fanfold.codec.geo import geometry_to_arrow

        array, *details = geometry_to_arrow(values.array, where)
        return array, ["geometry", *details]
    raise CodecError(
        f"{where} has the dtype {values.dtype}, which has no codec.",
        next_step="convert it: `.astype(object)`, a numpy dtype, or for sparse data `.sparse.to_dense()`.",
    )


def from_arrow(column: pa.ChunkedArray, note: Note) -> Any:
    """The numpy or extension array that `to_arrow` was given."""
    family, *details = note
    if family == "numpy":
        return _numpy_values(column).astype(details[0], copy=False)
    if family == "geometry":
        from fanfold.codec.geo import geometry_from_arrow

        return geometry_from_arrow(column, *details)
    return (_READERS.get(family) or _FAMILIES[family][2])(column, *details)


def _from_numpy(values: Any, where: str) -> tuple[pa.Array, Note]:
    if values.dtype == object:
        return _from_objects(values, where)
    if values.dtype.isnative and (values.dtype.kind in "biuM" or values.dtype in (np.float32, np.float64)):
        return pa.array(values, from_pandas=False), ["numpy", values.dtype.str]
    if values.dtype.kind == "m" and values.dtype.isnative:
        return pa.array(values.view("i8"), from_pandas=False), ["duration", values.dtype.str]
    raw = pa.py_buffer(np.ascontiguousarray(values).view("u1"))
    kind = pa.binary(values.dtype.itemsize)
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(values), [None, raw]), ["raw", values.dtype.str]


def _from_objects(values: Any, where: str) -> tuple[pa.Array, Note]:
    if {str, type(None)}.issuperset(map(type, values)):
        try:
            return pa.array(values, pa.large_string(), from_pandas=False), ["text"]
        except UnicodeEncodeError:  # half a surrogate pair, which Arrow's UTF-8 has no room for
            pass
    texts = [encode_json(value, name=f"{where}[{row}]") for row, value in enumerate(values)]
    return pa.array(texts, pa.large_string()), ["json"]


def _numpy_values(column: pa.ChunkedArray) -> Any:
    return column.chunk(0).to_numpy(zero_copy_only=False) if column.num_chunks == 1 else column.to_numpy()


def _whole(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    return whole if isinstance(whole, pa.Array) else pa.concat_arrays(whole.chunks)


def _read_raw(column: pa.ChunkedArray, dtype: str) -> Any:
    return np.frombuffer(b"".join(column.to_pylist()), dtype=dtype)


def _read_objects(column: pa.ChunkedArray, read: Callable[[Any], Any]) -> Any:
    # Filled one by one: numpy would unpack cells that are lists of one length into a second axis.
    values = np.empty(len(column), dtype=object)
    for row, cell in enumerate(column.to_pylist()):
        values[row] = read(cell)
    return values


_READERS: dict[str, Callable[..., Any]] = {
    "raw": _read_raw,
    "duration": lambda column, dtype: _numpy_values(column).view(dtype),
    "text": lambda column: _read_objects(column, lambda cell: cell),
    "json": lambda column: _read_objects(column, decode_json),
}


def _write_category(array: Any, _: str) -> tuple[Any, ...]:
    return pa.array(array.codes, from_pandas=False), labels_tree(array.categories), bool(array.ordered)


def _read_category(column: pa.ChunkedArray, categories: Any, ordered: bool) -> Any:
    dtype = pd.CategoricalDtype(labels_from(categories), ordered)
    return pd.Categorical.from_codes(_numpy_values(column), dtype=dtype)


def _write_zoned(array: Any, where: str) -> tuple[Any, ...]:
    utc = pd.DatetimeIndex(array).tz_convert(None).to_numpy()
    return pa.array(utc, pa.timestamp(array.unit, "UTC")), zone_tree(array.tz, where)


def _read_zoned(column: pa.ChunkedArray, zone: Any) -> Any:
    return pd.DatetimeIndex(_numpy_values(column)).tz_localize("UTC").tz_convert(zone_from(zone)).array


def _write_masked(array: Any, _: str) -> tuple[Any, ...]:
    # By hand, for pyarrow would turn a NaN that is not missing into one that is.
    values = array.to_numpy(dtype=array.dtype.numpy_dtype, na_value=0)
    return pa.array(values, mask=array.isna(), from_pandas=False), array.dtype.name


def _read_masked(column: pa.ChunkedArray, name: str) -> Any:
    dtype: Any = pd.api.types.pandas_dtype(name)
    mask = _whole(column.is_null()).to_numpy(zero_copy_only=False)
    values = _whole(column).fill_null(False if name == "boolean" else 0).to_numpy(zero_copy_only=False)
    return dtype.construct_array_type()(values.astype(dtype.numpy_dtype), mask)


def _write_string(array: Any, _: str) -> tuple[Any, ...]:
    kept = pa.array(array, pa.large_string())
    return kept, *string_note(array.dtype)


def _read_string(column: pa.ChunkedArray, storage: str, missing: str) -> Any:
    return string_dtype(storage, missing).__from_arrow__(column)


def _write_period(array: Any, _: str) -> tuple[Any, ...]:
    return pa.array(array).storage, array.dtype.name[len("period[") : -1]


def _read_period(column: pa.ChunkedArray, freq: str) -> Any:
    dtype: Any = pd.PeriodDtype(freq)
    return dtype.__from_arrow__(column)


def _write_interval(array: Any, where: str) -> tuple[Any, ...]:
    left, left_note = to_arrow(array.left, where)
    right, right_note = to_arrow(array.right, where)
    return pa.StructArray.from_arrays([left, right], ["left", "right"]), left_note, right_note, array.closed


def _read_interval(column: pa.ChunkedArray, left_note: Note, right_note: Note, closed: Any) -> Any:
    whole = _whole(column)
    left, right = (
        from_arrow(pa.chunked_array([whole.field(side)]), note) for side, note in enumerate((left_note, right_note))
    )
    return pd.arrays.IntervalArray.from_arrays(left, right, closed=closed)


def _write_sparse(array: Any, _: str) -> tuple[Any, ...]:
    # What is stored is fewer than the rows: it stands in the note.
    positions = array.sp_index.to_int_index().indices
    return pa.nulls(len(array)), array.sp_values, positions, array.fill_value, type(array.sp_index).__name__


def _read_sparse(column: pa.ChunkedArray, values: Any, positions: Any, fill: Any, kind: str) -> Any:
    from pandas._libs.sparse import IntIndex

    index: Any = cast("Any", IntIndex)(len(column), positions)
    dtype = pd.SparseDtype(values.dtype, fill)
    kept = index.to_block_index() if kind == "BlockIndex" else index
    make: Any = pd.arrays.SparseArray
    return make._simple_new(values, kept, dtype)  # its public ways differ between versions of pandas


_Family = tuple[Any, Callable[[Any, str], tuple[Any, ...]], Callable[..., Any]]
_MASKED = (
    *(pd.Int8Dtype, pd.Int16Dtype, pd.Int32Dtype, pd.Int64Dtype),
    *(pd.UInt8Dtype, pd.UInt16Dtype, pd.UInt32Dtype, pd.UInt64Dtype),
    *(pd.Float32Dtype, pd.Float64Dtype, pd.BooleanDtype),
)

_FAMILIES: dict[str, _Family] = {
    "category": (pd.CategoricalDtype, _write_category, _read_category),
    "zoned": (pd.DatetimeTZDtype, _write_zoned, _read_zoned),
    "masked": (_MASKED, _write_masked, _read_masked),
    "string": (pd.StringDtype, _write_string, _read_string),
    "period": (pd.PeriodDtype, _write_period, _read_period),
    "sparse": (pd.SparseDtype, _write_sparse, _read_sparse),
    "interval": (pd.IntervalDtype, _write_interval, _read_interval),
    "arrow": (pd.ArrowDtype, lambda array, _: (pa.array(array),), pd.arrays.ArrowExtensionArray),
}

# A pandas index as JSON, its values kept as columns of the frame or, for short ones, in the JSON itself.

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
    if _is_calendar(index):
        return ["calendar", keep("__index_level_0__", pd.Index(index.to_numpy(), dtype=object)), index.name]
    if not _is_pandas(index):
        kind = f"{type(index).__module__}.{type(index).__qualname__}"
        raise CodecError(
            f"the index of a frame is a {kind}, which has no codec.",
            next_step="give it one of pandas' own: `frame.set_axis(pandas.Index(frame.index.to_numpy()))`.",
            instead="give it an index of pandas' own",
        )
    freq = _freq_tree(index.freq) if isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)) else None
    return ["flat", keep("__index_level_0__", index), index.name, freq]


def _freq_tree(freq: Any) -> str | list[str] | None:
    """A frequency as its text, where that gives it again; else as the codec writes the offset."""
    if freq is None:
        return None
    with suppress(ValueError):  # of holidays or months of one's own, its text says nothing
        if pd.tseries.frequencies.to_offset(freq.freqstr) == freq:
            return str(freq.freqstr)
    return [encode_json(freq, name="the index's frequency", own=None)]


def _freq_from(tree: Any) -> Any:
    return decode_json(tree[0]) if isinstance(tree, list) else tree


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
    if kind == "calendar":
        from xarray import CFTimeIndex

        (number, note), name = rest
        make: Any = CFTimeIndex
        return make(np.asarray(from_arrow(column(number), note), dtype=object), name=name)
    (number, note), name, freq = rest
    index = _flat(from_arrow(column(number), note), name)
    if freq is not None:
        index.freq = _freq_from(freq)
    return index


def _flat(values: Any, name: Any) -> Any:
    return pd.Index(values, dtype=values.dtype, name=name, tupleize_cols=False)


# Column labels, categories and index levels as JSON, and pandas' several kinds of text.


def labels_tree(labels: Any) -> Any:
    """Column labels, categories or levels as JSON; unusual ones stay an Index, which goes as a part of its own."""
    if type(labels) is pd.RangeIndex:
        return ["range", labels.start, labels.stop, labels.step, labels.name]
    if type(labels) is pd.Index:
        if isinstance(labels.dtype, pd.StringDtype):
            return ["list", ["string", *string_note(labels.dtype)], labels.tolist(), labels.name]
        if isinstance(labels.dtype, np.dtype):
            return ["list", labels.dtype.str, labels.tolist(), labels.name]
    return labels


def labels_from(tree: Any) -> Any:
    """The Index that `labels_tree` described."""
    if isinstance(tree, pd.Index):
        return tree
    kind, *rest = tree
    if kind == "range":
        start, stop, step, name = rest
        return pd.RangeIndex(start, stop, step, name=name)
    dtype, values, name = rest
    kept = string_dtype(*dtype[1:]) if isinstance(dtype, list) else np.dtype(dtype)
    return pd.Index(values, dtype=kept, name=name, tupleize_cols=False)


def string_note(dtype: Any) -> tuple[str, str]:
    """What tells one of pandas' string dtypes from another: where it is stored and what is missing."""
    return dtype.storage, "NA" if dtype.na_value is pd.NA else "nan"


def string_dtype(storage: str, missing: str) -> Any:
    """The string dtype that `string_note` described."""
    # pandas before 2.3 knows only pd.NA, and takes no second argument.
    return pd.StringDtype(storage) if missing == "NA" else pd.StringDtype(storage, na_value=np.nan)
