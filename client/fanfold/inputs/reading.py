"""Inputs out of whatever holds them, one at a time, so that a generator of a million never stands in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from fanfold.codec import decode_json, encode_json
from fanfold.codec.path_cells import TextsArePaths, with_texts_as_paths
from fanfold.codec.values import JSON_SCALARS, Own, PutBlob, plain_text
from fanfold.errors import CodecError, InputError
from fanfold.inputs.signature import Rejection, Signature

if TYPE_CHECKING:
    from fanfold.codec.sealed import Sealing, SealingKey

# Arguments as text: what is sent of them, and what is read of it again.

Send = Callable[[Mapping[str, Any]], str]
#: Gives what seals, to be asked when there is a secret to seal.
GetSealing = Callable[[], "Sealing"]


def sender(
    put_blob: PutBlob,
    own: Own = "named",
    sealing: GetSealing | None = None,
    *,
    objects: object = None,
    paths_in: tuple[Sequence[str], Sequence[str]] = ((), ()),
) -> Send:
    """What writes bound arguments as canonical text; it raises `Rejection` for a value that cannot be sent.

    Anything binary above 1 KB goes to `put_blob(sha256_hex, data)`. `own` says how classes and functions of the user's
    own travel (see `encode_json`); secrets go by what `sealing()` gives, and without it not at all. `objects` is where
    the arguments are kept, and results of other jobs may lie; without it these are refused. `paths_in` are the
    parameters whose texts are paths, those in the cells of frames too, and those whose texts may be.
    """
    are_paths, may_be_paths = paths_in

    def send(arguments: Mapping[str, Any]) -> str:
        again = _that_come_again(arguments) if len(arguments) > 1 else {}
        if again:
            text = written({name: value for name, value in arguments.items() if name not in again}, again)
            same = ",".join(f'{encode_json(name)}:{{"$same":{encode_json(other)}}}' for name, other in again.items())
            return f"{text[:-1]},{same}}}"
        return written(arguments, again)

    def written(arguments: Mapping[str, Any], again: Mapping[str, str]) -> str:
        files = {again.get(name, name) for name in are_paths}
        if not any(name in arguments for name in may_be_paths) and all(
            type(arguments.get(name)) in _ATOMS for name in files
        ):
            try:
                return encode_json(arguments, put_blob=put_blob, name="input", own=None)
            except CodecError:
                pass
        from fanfold.codec.sealed import sealed_by
        from fanfold.codec.stored import referring_to, resolve

        with sealed_by(sealing), referring_to(objects):
            return _one_by_one(resolve(arguments), put_blob, own, files, may_be_paths)

    return send


def scalar_sender(signature: Signature, constants: Mapping[str, Any]) -> Callable[[Any], str]:
    """What writes an input that goes to the first parameter as it is, at a third of the cost: a number or a text.

    Its text is that of `sender`, of the input's own arguments alone; nothing for any other input.
    """
    first = signature.first
    may_be_path = first in signature.paths[0]
    if first is None or may_be_path or first in constants or not signature.required <= {first, *constants}:
        return _by_name
    fits = getattr(signature.coercers.get(first, _as_it_is), "fits", None)
    if fits is None:
        return _by_name
    head = f"{{{encode_json(first)}:"

    def send(given: Any) -> str:
        text = plain_text(given) if type(given) in JSON_SCALARS and fits(given) else ""
        return text and f"{head}{text}}}"

    return send


def _as_it_is(value: Any) -> Any:
    return value


_as_it_is.fits = lambda _: True  # type: ignore[attr-defined]


def _by_name(_: Any) -> str:
    return ""


_ATOMS = frozenset({str, int, float, bool, type(None), bytes})


def _that_come_again(arguments: Mapping[str, Any]) -> dict[str, str]:
    """The arguments that are one object with an earlier one, and which that is."""
    first: dict[int, str] = {}
    again = {}
    for name, value in arguments.items():
        if type(value) not in _ATOMS and (known := first.setdefault(id(value), name)) != name:
            again[name] = known
    return again


def _one_by_one(
    arguments: Mapping[str, Any], put_blob: PutBlob, own: Own, files: Collection[str], may_be_paths: Sequence[str]
) -> str:
    """Each argument as a text of its own, for a job's constants and a run's own arguments are put together as text."""
    import json

    texts = []
    for name, value in arguments.items():
        try:
            put = TextsArePaths(put_blob) if name in files else put_blob
            text = encode_json(value, put_blob=put, name=name, own=own)
            texts.append(f"{json.dumps(name)}:{with_texts_as_paths(text) if name in may_be_paths else text}")
        except CodecError as error:
            reason = f"{error.message.rstrip('.')}; {error.instead}" if error.instead else error.message.rstrip(".")
            raise Rejection(reason, parameter=name, value=value) from None
    return "{" + ",".join(texts) + "}"


def decode_arguments(
    text: str,
    *,
    get_blob: Callable[[str], bytes],
    from_source: Callable[[Any], Any] | None = None,
    key: SealingKey | None = None,
) -> dict[str, Any]:
    """The arguments that `sender` wrote, for the code that they were written for.

    `get_blob(sha256_hex)` gives what `put_blob` was given, and `from_source` what `own` named; `key` opens secrets.
    """
    from fanfold.codec.sealed import opened_by

    with opened_by(key):
        arguments = decode_json(text, get_blob=get_blob, trusted=True, from_source=from_source)
    if type(arguments) is not dict:
        raise CodecError(
            f"A run's arguments should be a dict; this text holds a {type(arguments).__name__}.",
            next_step="the job's inputs are damaged: submit it again.",
        )
    return arguments


# Every input checked before anything starts, and the offenders listed together.

#: How many offenders are listed, and how far beyond the first one they are looked for.
_LISTED = 10
_LOOK_AHEAD = 100_000


Take = Callable[[dict[str, Any]], Any]


def validated(
    inputs: Any,
    signature: Signature,
    constants: Mapping[str, Any],
    take: Take = lambda arguments: arguments,
    take_scalar: Callable[[Any], Any] | None = None,
) -> Iterator[Any]:
    """The arguments of each run, one at a time, in the order of the inputs; `take` makes of them what is wanted.

    `take_scalar` makes it of an input itself, but for the first one, or gives nothing for one that it leaves to `take`.
    Raises `InputError` at the first input that does not fit, listing the first ten such with index, parameter, value
    and reason; and where there is no input at all. Start nothing before the last one has come.
    """
    bound = signature.binder(constants)
    _check_columns(inputs, signature, constants)

    def bind(given: Any) -> Any:
        return (index > 0 and take_scalar is not None and take_scalar(given)) or take(bound(given))

    numbered = enumerate(read(inputs))
    index = -1
    for index, given in numbered:
        try:
            arguments = bind(given)
        except Rejection as rejection:
            raise _error(signature, [(index, rejection), *_further(bind, numbered)]) from None
        yield arguments
    if index < 0:
        raise InputError("There are no inputs.", next_step="pass at least one; for a single call, `fanfold.run(udf)`.")


def _check_columns(inputs: Any, signature: Signature, constants: Mapping[str, Any]) -> None:
    """Raises `InputError` for a frame with columns that the UDF does not take: else each of its rows would say so."""
    names = columns(inputs)
    extra = [name for name in names if name not in signature.parameters]
    _check_whole(inputs, signature, constants, extra)
    missing = [name for name in signature.required if name not in names and name not in constants]
    if not extra or missing or signature.accepts_any:
        return
    taken = [name for name in signature.parameters if name in names]
    select = "inputs.select" if not hasattr(inputs, "loc") else "inputs"
    listed = ", ".join(f'"{name}"' for name in taken)
    raise InputError(
        f"The frame has {'columns' if len(extra) > 1 else 'the column'} {', '.join(map(repr, extra[:5]))} that "
        f"`{signature.text}` does not take.",
        next_step=f"pass the columns it takes: `{select}([{listed}])`."
        if select != "inputs"
        else f"pass the columns it takes: `inputs[[{listed}]]`.",
    )


def _check_whole(inputs: Any, signature: Signature, constants: Mapping[str, Any], extra: Sequence[Any]) -> None:
    """Raises `InputError` for a frame that is meant for one parameter, while each of its rows would be an input."""
    needed = [name for name in signature.parameters if name in signature.required and name not in constants]
    if not extra or len(extra) < len(columns(inputs)) or len(needed) != 1 or signature.accepts_any:
        return
    from difflib import get_close_matches  # costs 1 ms, and only such a frame needs it

    if get_close_matches(needed[0], map(str, extra)) or not _takes(signature, needed[0], inputs):
        return
    kind = type(inputs).__name__
    instead = "`fanfold.chunks(inputs, 50)`, 50 rows a run, or `[inputs]`, one run"
    raise InputError(
        f"`{signature.text}` takes none of the columns of the {kind}, each row of which is an input.",
        next_step=f"to give {needed[0]} a {kind}, write {instead}.",
    )


def _takes(signature: Signature, name: str, value: Any) -> bool:
    try:
        signature.coercers.get(name, _as_it_is)(value)
    except Rejection:
        return False
    return True


def _further(bind: Callable[[Any], Any], numbered: Iterator[tuple[int, Any]]) -> list[tuple[int, Rejection]]:
    """Offenders beyond the first, as many as are listed, and one more to know whether there are more."""
    found: list[tuple[int, Rejection]] = []
    for index, given in islice(numbered, _LOOK_AHEAD):
        try:
            bind(given)
        except Rejection as rejection:
            found.append((index, rejection))
            if len(found) == _LISTED:
                break
    return found


def _error(signature: Signature, offenders: list[tuple[int, Rejection]]) -> InputError:
    listed = offenders[:_LISTED]
    count = f"More than {_LISTED}" if len(offenders) > _LISTED else f"{len(listed)}"
    verb = "input does" if len(offenders) == 1 else "inputs do"
    rest = f"; the first {_LISTED}" if len(offenders) > _LISTED else ""
    rows = [("index", "parameter", "value", "reason")]
    rows += [(f"{index:,}", fault.parameter, signature.shown(fault.value), fault.reason) for index, fault in listed]
    return InputError(
        f"{count} {verb} not fit `{signature.text}`{rest}:\n" + "\n".join(_aligned(rows)),
        next_step="correct them, or the UDF's annotations. Nothing was started.",
    )


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, *cells, reason in rows:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths[1:], strict=False))
        yield "  ".join((f"  {number.rjust(widths[0])}", *padded, reason))


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
        raise InputError(f"size={size!r} is not a number of rows.", next_step="give a whole number from 1 up.")
    rows = getattr(inputs, "iloc", inputs)
    try:
        count = _rows(inputs)
        return [rows[start : start + size] for start in range(0, count, size)]
    except (TypeError, NotImplementedError) as error:  # the latter of a frame of dask's
        raise InputError(
            f"Only what has rows is cut into chunks; this is {_a(type(inputs).__name__)}.",
            next_step=_CUT_OTHERWISE.get(type(inputs).__name__, "pass `list(inputs)`."),
        ) from error


#: pyarrow's, of files that are read as far as is asked.
_DATASETS = ("FileSystemDataset", "InMemoryDataset", "UnionDataset")
#: What to cut instead of what has no rows of its own, by the name of its class.
_CUT_OTHERWISE = {
    "LazyFrame": "pass `frame.collect()`.",
    "DataFrame": "dask's frames are cut into partitions: pass `list(frame.partitions)` as the inputs.",
    "DuckDBPyRelation": "pass `relation.df()`.",
    "RecordBatchReader": "pass `reader.read_all()`.",
    **dict.fromkeys(
        _DATASETS,
        "pass `list(dataset.get_fragments())` as the inputs, or `dataset.to_table()` here.",
    ),
    "Dataset": "cut it along a dimension: `[data.isel(x=slice(n, n + 50)) for n in range(0, data.sizes['x'], 50)]`.",
    "coo_matrix": "pass `matrix.tocsr()`.",
    "coo_array": "pass `matrix.tocsr()`.",
    "ndarray": "pass an array of one dimension or more.",
}


def _rows(inputs: Any) -> int:
    """How many rows it has. Raises `TypeError` for what has none."""
    if isinstance(inputs, (str, bytes, Mapping, Set)):
        raise TypeError
    if type(inputs).__module__.partition(".")[0] == "scipy":  # whose matrices have no length
        return int(inputs.shape[0])
    return len(inputs)


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
    return f"{'an' if noun[0] in 'aeiouAEIO' else 'a'} {noun}"


#: More inputs than this many bits can count, nobody means.
_MOST_BITS = 64


def _instead(inputs: Any) -> str:
    from fanfold.core.shown import short

    if isinstance(inputs, int) and not isinstance(inputs, bool) and inputs.bit_length() < _MOST_BITS:
        return f"did you mean `range({inputs})`, or `[{inputs}]`?"
    kind = type(inputs).__name__
    reader = {"LazyFrame": "collect", "DuckDBPyRelation": "df"}.get(kind, "to_table" if kind in _DATASETS else None)
    if reader is not None:
        return f"did you mean `inputs.{reader}()`?"
    if inputs is None:
        return "for a single call use `fanfold.run(udf, ...)`."
    return f"did you mean `[{short(inputs)}]`?"


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
            next_step="rename the columns after the UDF's parameters: `frame.set_axis([...], axis=1)`.",
        )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"The frame has two columns {twice!r}.", next_step="drop or rename one of them.")


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
