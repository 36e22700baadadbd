"""pyarrow's tables as Parquet; its arrays, scalars, batches, schemas and types as Arrow IPC."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fanfold.codec.classes import origin
from fanfold.codec.encoded import Encoded, damaged
from fanfold.codec.parquet import know_extensions, read_parquet, write_parquet

if TYPE_CHECKING:
    from fanfold.codec.values import Tagger

CODEC = "parquet-arrow/1"
_IPC = "ipc-arrow/1"
#: In which a stream's schema begins, and mostly ends.
_SCHEMA_BYTES = 1 << 20


def pack(value: Any) -> Encoded | None:
    """The encoding of a table, a batch or an array. Raises `CodecError` where a column's type would change."""
    if _has_types_of_the_user(value):
        return None
    if type(value) is pa.Table:
        return Encoded(CODEC, write_parquet(value))
    if type(value) is pa.RecordBatch:
        return Encoded(_IPC, _written(b"batch", value.schema, [value]))
    if isinstance(value, pa.ChunkedArray):
        batches = [pa.record_batch([chunk], names=["value"]) for chunk in value.chunks]
        return Encoded(_IPC, _written(b"chunks", pa.schema([("value", value.type)]), batches))
    if isinstance(value, pa.Array):
        batch = pa.record_batch([value], names=["value"])
        return Encoded(_IPC, _written(b"array", batch.schema, [batch]))
    return None


def tag(value: Any, tagger: Tagger) -> Any:
    """The tag of a schema, a field, a type or a scalar; None for anything else."""
    if _has_types_of_the_user(value):
        return None
    if isinstance(value, pa.Schema):
        return {"$arrow": ["schema", tagger.at("schema", value.serialize().to_pybytes())]}
    if isinstance(value, pa.Field):
        return {"$arrow": ["field", tagger.at("field", pa.schema([value]).serialize().to_pybytes())]}
    if isinstance(value, pa.DataType):
        return {"$arrow": ["type", tagger.at("type", pa.schema([pa.field("", value)]).serialize().to_pybytes())]}
    if isinstance(value, pa.Scalar):
        return {"$arrow": ["scalar", tagger.at("value", pa.array([value], type=value.type))]}
    return None


def _has_types_of_the_user(value: Any) -> bool:
    """Whether a type in it is of a class of the user's, which Arrow's bytes only name."""
    schema = getattr(value, "schema", value)
    kinds = [field.type for field in schema] if isinstance(schema, pa.Schema) else [getattr(value, "type", value)]
    return any(isinstance(kind, pa.DataType) and _is_of_the_user(kind) for kind in kinds)


def _is_of_the_user(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.ExtensionType):
        return origin(type(kind).__module__) == "own" and not kind.extension_name.startswith("geoarrow.")
    inner = [kind.value_type] if hasattr(kind, "value_type") else []
    inner += [kind.field(number).type for number in range(kind.num_fields)] if kind.num_fields else []
    return any(map(_is_of_the_user, inner))


def unpack(codec: str, data: bytes) -> Any:
    """What `pack` encoded."""
    return read_parquet(data) if codec == CODEC else _read(data)


def _written(kind: bytes, schema: Any, batches: list[Any]) -> bytes:
    """The kind's name up to a zero byte, and the stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return kind + b"\0" + sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _read(data: bytes) -> Any:
    kind, _, body = bytes(data).partition(b"\0")
    know_extensions(body[:_SCHEMA_BYTES])
    with pa.ipc.open_stream(pa.py_buffer(body)) as reader:
        batches = list(reader)
        schema = reader.schema
    for batch in batches:
        batch.validate(full=True)  # offsets beyond the data would be read from memory that is not ours
    if kind == b"batch":
        (batch,) = batches
        return batch
    if kind == b"chunks":
        return pa.chunked_array([batch.column(0) for batch in batches], type=schema.field(0).type)
    if kind == b"array":
        (batch,) = batches
        return batch.column(0)
    raise damaged(_IPC, f"no value is a {kind!r}")


def _untagged(payload: Any) -> Any:
    kind, body = payload
    if kind == "scalar":
        return body[0]
    know_extensions(body)
    schema = pa.ipc.read_schema(pa.py_buffer(body))
    if kind == "schema":
        return schema
    return schema.field(0) if kind == "field" else schema.field(0).type


UNTAG: dict[str, Callable[[Any], Any]] = {"$arrow": _untagged}
