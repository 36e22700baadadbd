"""Large pandas frames of numbers as an Arrow IPC file: written as they lie in memory, and read without a copy.

Only for results, and only where it pays: text, and numbers that repeat themselves, are much smaller as Parquet.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from fanfold.codec.encoded import Encoded, damaged
from fanfold.codec.frames import META, Sheet, index_tree, labels_tree, value_of
from fanfold.codec.registry import IPC
from fanfold.codec.values import decode_json

#: Below, Parquet costs little, and what goes into an event is best as small as it can be.
_LARGE_BYTES = 32 * 1024
#: So much of so many columns is compressed for a try: what is left with a smaller share than this is better as Parquet.
_TRIED_BYTES, _TRIED_COLUMNS, _WORTH = 4096, 16, 0.6


def pack(value: Any) -> Encoded | None:
    """The encoding of a frame or a series; None where it is small, holds more than numbers, or suits Parquet better."""
    columns = _columns(value)
    if columns is None or value.attrs or not value.flags.allows_duplicate_labels:
        return None
    if not _is_numbers(value.index) or not _is_dense(columns):
        return None
    sheet = Sheet()
    kept = [sheet.keep("value" if column.name is None else column.name, column) for column in columns]
    facts: dict[str, Any] = {"columns": kept, "index": index_tree(value.index, sheet.keep), "attrs": {}}
    if type(value) is pd.Series:
        facts |= {"kind": "series", "name": value.name}
    else:
        facts |= {"kind": "frame", "labels": labels_tree(value.columns)}
    return Encoded(IPC, _written(sheet.table(facts, {})))


def unpack(codec: str, data: Any) -> Any:
    """What `pack` encoded: over `data` itself where that may be written to, which is then the value's own."""
    table = read_table(data)
    meta: dict[str, Any] = decode_json(table.schema.metadata[META].decode("ascii"))
    if meta["kind"] not in ("frame", "series"):
        raise damaged(codec, f"no value is a {meta['kind']!r}")
    return value_of(table, meta, block=_block(table, meta, data))


def read_table(data: Any) -> pa.Table:
    """The Arrow table of an encoding, with nothing read of it yet."""
    with pa.ipc.open_file(pa.py_buffer(data)) as reader:
        table = reader.read_all()
    table.validate(full=True)  # lengths and offsets beyond the data would be read from memory that is not ours
    return table


def _columns(value: Any) -> list[Any] | None:
    """The columns of a large frame or series of numbers; None of any other value."""
    if type(value) is pd.DataFrame:
        if not all(isinstance(label, (str, int)) for label in value.columns):
            return None
        columns = [column for _, column in value.items()]
    elif type(value) is pd.Series and isinstance(value.name, (str, int, type(None))):
        columns = [value]
    else:
        return None
    if not all(map(_is_numbers, columns)) or sum(column.nbytes for column in columns) < _LARGE_BYTES:
        return None
    return columns


def _is_numbers(values: Any) -> bool:
    """Whether Arrow has a column or an index as it is: numbers, truth values, moments without a zone."""
    kind = values.dtype
    if type(values) is pd.RangeIndex:
        return True
    if not isinstance(kind, np.dtype) or not kind.isnative or isinstance(values, pd.MultiIndex):
        return False
    return kind.kind in "biuMm" or kind in (np.float32, np.float64)


def _is_dense(columns: list[Any]) -> bool:
    """Whether compression would leave most of the first rows."""
    some = columns[:: -(-len(columns) // _TRIED_COLUMNS)]
    tried = b"".join(column.to_numpy()[: _TRIED_BYTES // column.dtype.itemsize].tobytes() for column in some)
    return len(pa.compress(tried, codec="lz4_raw", asbytes=True)) >= _WORTH * len(tried)


def _written(table: pa.Table) -> Any:
    """The file, in memory of its very size: to be hashed and written without a copy."""
    (batch,) = table.to_batches()
    counting = pa.MockOutputStream()
    with pa.ipc.new_file(counting, batch.schema) as writer:
        writer.write_batch(batch)
    room = pa.allocate_buffer(counting.size())
    with pa.FixedSizeBufferWriter(room) as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return memoryview(room)


def _block(table: pa.Table, meta: dict[str, Any], data: Any) -> Any:
    """The columns as one array over `data`, which pandas takes as it is; None where they are of several types, have
    nulls, or may not be written to."""
    notes = [note for _, note in meta["columns"]]
    columns = [table.column(number) for number, _ in meta["columns"]]
    if any(note != notes[0] for note in notes) or any(each.num_chunks != 1 or each.null_count for each in columns):
        return None
    dtype, arrays = np.dtype(notes[0][1]), [each.chunk(0) for each in columns]
    if dtype.kind not in "iufMm" or any(array.offset or array.type.bit_width != 8 * dtype.itemsize for array in arrays):
        return None
    beginning = pa.py_buffer(data).address
    places = [array.buffers()[1].address - beginning for array in arrays]
    steps = {after - before for before, after in pairwise(places)} or {0}
    if len(steps) > 1 or min(steps) < 0:
        return None
    shape, strides = (len(arrays), table.num_rows), (min(steps), dtype.itemsize)
    block: Any = np.ndarray(shape, dtype, buffer=data, offset=places[0], strides=strides)
    return block if block.flags.writeable and block.flags.aligned else None
