"""Inputs out of whatever holds them, one at a time, so that a generator of a million never stands in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from itertools import chain
from typing import Any

from fanfold.errors import InputError

#: Rows converted at a time: enough to make the conversion cheap, few enough to weigh nothing.
_ROWS = 10_000


def read(inputs: Any) -> Iterator[Any]:
    """The inputs one by one, as Python's own values.

    Takes lists, ranges, generators and other iterables, numpy arrays, and the series, indexes and frames of pandas,
    polars and pyarrow. A frame gives one dict per row, its index left out. Where a dtype other than float has a mark
    of its own for what is missing (NaT, NA), None stands for it. Raises `InputError` for what is not a list of inputs.
    """
    kind = type(inputs)
    if kind in (list, tuple, range):
        return iter(inputs)
    reader = _reader(kind)
    is_single = isinstance(inputs, (str, bytes, dict)) or getattr(inputs, "shape", None) == ()
    if is_single or (reader is None and not isinstance(inputs, Iterable)):
        found = f"a single {kind.__name__}" if is_single else _a(kind.__name__)
        raise InputError(f"Inputs should be a list with one item per run; this is {found}.", next_step=_instead(inputs))
    return iter(inputs) if reader is None else reader(inputs)


def chunks(inputs: Any, size: int) -> list[Any]:
    """A frame, an array or a list cut into pieces of `size` rows, each of them one input; the last may have fewer.

    Frames keep their kind (a GeoDataFrame its CRS) and their index. Raises `InputError` for what has no rows.
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise InputError(f"size={size!r} is no number of rows.", next_step="Give a whole number from 1 up.")
    rows = getattr(inputs, "iloc", inputs)
    if not hasattr(inputs, "__len__") or isinstance(inputs, (str, bytes, Mapping, Set)):
        found = _a(type(inputs).__name__)
        raise InputError(f"Only what has rows is cut into chunks; this is {found}.", next_step="Pass `list(inputs)`.")
    return [rows[start : start + size] for start in range(0, len(inputs), size)]


def columns(inputs: Any) -> list[Any]:
    """The names of a frame's columns; none of anything else."""
    if _reader(type(inputs)) not in (_frame, _polars_frame, _arrow_table, _arrow_batch):
        return []
    is_arrow = type(inputs).__module__.partition(".")[0] == "pyarrow"
    return list(inputs.schema.names if is_arrow else inputs.columns)


def _reader(kind: type) -> Callable[[Any], Iterator[Any]] | None:
    for ancestor in kind.__mro__:
        reader = _READERS.get(f"{ancestor.__module__.partition('.')[0]}.{ancestor.__qualname__}")
        if reader is not None:
            return reader
    return None


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _instead(inputs: Any) -> str:
    from fanfold.inputs.rejection import short

    if isinstance(inputs, int) and not isinstance(inputs, bool):
        return f"Did you mean `range({inputs})`, or `[{inputs}]`?"
    if type(inputs).__name__ == "LazyFrame":
        return "Did you mean `inputs.collect()`?"
    if inputs is None:
        return "For a single call use `fanfold.run(udf, ...)`."
    return f"Did you mean `[{short(inputs)}]`?"


def _slices(inputs: Any, length: int) -> Iterator[Any]:
    return (inputs[start : start + _ROWS] for start in range(0, length, _ROWS))


def _array(array: Any) -> Iterator[Any]:
    if array.ndim > 1:
        return iter(array)
    if array.dtype.kind in "mM":
        return _instants(array)
    return chain.from_iterable(part.tolist() for part in _slices(array, len(array)))


def _instants(array: Any) -> Iterator[Any]:
    """Times as Python's own where nothing is lost by it; nanoseconds, which Python has not, stay numpy's."""
    import numpy as np

    coarse = array.astype(f"{array.dtype.kind}8[us]")
    exact = ((coarse.astype(array.dtype) == array) | np.isnat(array)).all()
    is_finer = np.datetime_data(array.dtype)[0] in ("ns", "ps", "fs", "as")
    if is_finer and not exact:
        return iter(array)
    return iter((coarse if is_finer else array).tolist())


def _series(series: Any) -> Iterator[Any]:
    parts = (series.iloc[start : start + _ROWS] for start in range(0, len(series), _ROWS))
    return chain.from_iterable(map(_cells, parts))


def _cells(series: Any) -> list[Any]:
    cells: list[Any] = series.tolist()
    # NaN is a float like any other, and a column of objects holds what its owner put there.
    if series.dtype.name in ("float64", "float32", "float16", "object") or not series.hasnans:
        return cells
    return [None if missing else cell for cell, missing in zip(cells, series.isna(), strict=True)]


def _index(index: Any) -> Iterator[Any]:
    return chain.from_iterable(map(_cells_of_index, _slices(index, len(index))))


def _cells_of_index(index: Any) -> list[Any]:
    return index.tolist() if index.nlevels > 1 else _cells(index.to_series())


def _frame(frame: Any) -> Iterator[dict[str, Any]]:
    names = list(frame.columns)
    _check_names(names)
    for start in range(0, len(frame), _ROWS):
        rows = frame.iloc[start : start + _ROWS]
        for row in zip(*(_cells(rows[name]) for name in names), strict=True):
            yield dict(zip(names, row, strict=True))


def _check_names(names: list[Any]) -> None:
    odd = next((name for name in names if not isinstance(name, str)), None)
    if odd is not None:
        raise InputError(
            f"The frame's column {odd!r} cannot be a parameter: its name is {_a(type(odd).__name__)}.",
            next_step="Rename the columns after the UDF's parameters: `frame.set_axis([...], axis=1)`.",
        )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"The frame has two columns {twice!r}.", next_step="Drop or rename one of them.")


def _polars_frame(frame: Any) -> Iterator[dict[str, Any]]:
    rows: Iterator[dict[str, Any]] = frame.iter_rows(named=True)
    return rows


def _arrow_table(table: Any) -> Iterator[dict[str, Any]]:
    _check_names(list(table.schema.names))
    return chain.from_iterable(batch.to_pylist() for batch in table.to_batches(max_chunksize=_ROWS))


def _arrow_batch(batch: Any) -> Iterator[dict[str, Any]]:
    _check_names(list(batch.schema.names))
    return iter(batch.to_pylist())


def _arrow_array(array: Any) -> Iterator[Any]:
    return chain.from_iterable(part.to_pylist() for part in _slices(array, len(array)))


#: By class, wherever in the ancestry: a GeoDataFrame is read as a DataFrame.
_READERS: dict[str, Callable[[Any], Iterator[Any]]] = {
    "numpy.ndarray": _array,
    "pandas.Series": _series,
    "pandas.Index": _index,
    "pandas.DataFrame": _frame,
    "polars.Series": iter,
    "polars.DataFrame": _polars_frame,
    "pyarrow.Table": _arrow_table,
    "pyarrow.RecordBatch": _arrow_batch,
    "pyarrow.Array": _arrow_array,
    "pyarrow.ChunkedArray": _arrow_array,
}
