"""One column of a pandas frame as an Arrow array and a note of its exact dtype, and back.

pyarrow's own conversion loses what a round trip must keep (object columns become typed, unused categories vanish, a
time zone's kind changes), so each family of dtypes is written and read here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from fanfold.codec.labels import labels_from, labels_tree, string_dtype, string_note
from fanfold.codec.moments import zone_from, zone_tree
from fanfold.codec.results import decode_json
from fanfold.codec.tagged import encode_json
from fanfold.errors import CodecError

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
        from fanfold.codec.geometry import geometry_to_arrow

        array, *details = geometry_to_arrow(values.array, where)
        return array, ["geometry", *details]
    raise CodecError(
        f"{where} has the dtype {values.dtype}, which has no codec.",
        next_step="Convert it: `.astype(object)`, a numpy dtype, or for sparse data `.sparse.to_dense()`.",
    )


def from_arrow(column: pa.ChunkedArray, note: Note) -> Any:
    """The numpy or extension array that `to_arrow` was given."""
    family, *details = note
    if family == "numpy":
        return _numpy_values(column).astype(details[0], copy=False)
    if family == "geometry":
        from fanfold.codec.geometry import geometry_from_arrow

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
    "interval": (pd.IntervalDtype, _write_interval, _read_interval),
    "arrow": (pd.ArrowDtype, lambda array, _: (pa.array(array),), pd.arrays.ArrowExtensionArray),
}
