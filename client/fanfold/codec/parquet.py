"""Arrow tables as Parquet in memory, tuned for results: written once, read whole, a few megabytes."""

from __future__ import annotations

import binascii
import sys
from contextlib import suppress
from importlib import import_module

import pyarrow as pa
import pyarrow.parquet as pq

from fanfold.errors import CodecError

#: The footer holds a frame's labels, categories and index levels, which may be longer than Parquet's cautious default.
_FOOTER_LIMIT_BYTES = 2**31 - 1

#: What comes back as it was without a further look, which most columns are of.
_EXACT_TYPES = frozenset(
    {
        *(pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64()),
        *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(), pa.float32(), pa.float64()),
        *(pa.string(), pa.large_string(), pa.binary(), pa.large_binary()),
    }
)


def write_parquet(table: pa.Table) -> bytes:
    """`table` as one Parquet file. Raises `CodecError` where Parquet would lose a column's type."""
    text = [field.name for field in table.schema if _is_text(field.type)]
    sink = pa.BufferOutputStream()
    try:
        # Nothing filters by statistics, and dictionaries of floats or integers cost more than they save.
        pq.write_table(table, sink, compression="lz4", use_dictionary=text or False, write_statistics=False)
    except (pa.ArrowException, NotImplementedError) as error:
        raise CodecError(
            f"This table has a column that Parquet cannot hold: {error}.",
            next_step="cast that column to a plain type: numbers, text, dates, lists or structs of these.",
        ) from error
    data: bytes = sink.getvalue().to_pybytes()
    _check_types(table.schema, data)
    return data


def _check_types(schema: pa.Schema, data: bytes) -> None:
    if _are_exact(schema):
        return
    for before, after in zip(schema, pq.read_schema(pa.BufferReader(data)), strict=True):
        if after.type == before.type:
            continue
        try:
            pa.nulls(0, after.type).cast(before.type)
        except (pa.ArrowException, NotImplementedError) as error:
            raise CodecError(
                f"column {before.name!r} of type {before.type} would come back as {after.type}.",
                next_step=f"cast it first: `column.cast({str(after.type)!r})`.",
            ) from error


def read_parquet(data: bytes, *, cast: bool = True) -> pa.Table:
    """The table that `write_parquet` wrote; without `cast` as Parquet has it, which may be of coarser types."""
    file = _opened(data)
    stored = binascii.a2b_base64((file.metadata.metadata or {}).get(b"ARROW:schema", b""))
    if know_extensions(stored):
        file = _opened(data)
    table = file.read(use_threads=False)
    if not cast or not stored or _are_exact(table.schema):
        return table
    # Parquet has no seconds: times of that unit are kept as milliseconds, and cast back here.
    return table.cast(pa.ipc.read_schema(pa.py_buffer(stored)))


def _opened(data: bytes) -> pq.ParquetFile:
    return pq.ParquetFile(
        pa.BufferReader(data),
        thrift_string_size_limit=_FOOTER_LIMIT_BYTES,
        thrift_container_size_limit=_FOOTER_LIMIT_BYTES,
    )


def know_extensions(schema: bytes) -> bool:
    """Have Arrow know the types of GeoArrow that a schema names; True where they were not known before."""
    if b"geoarrow." not in schema or "geoarrow.pyarrow" in sys.modules:
        return False
    with suppress(ImportError):
        import_module("geoarrow.pyarrow")
        return True
    return False


def _are_exact(schema: pa.Schema) -> bool:
    # Types of GeoArrow have no hash.
    return all(not isinstance(field.type, pa.BaseExtensionType) and field.type in _EXACT_TYPES for field in schema)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
