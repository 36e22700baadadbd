"""polars frames and series as Parquet, written by polars itself and read by Arrow."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from fanfold.codec.encoded import Encoded
from fanfold.codec.parquet import read_parquet
from fanfold.codec.registry import POLARS_WITH_LETTER
from fanfold.errors import CodecError

if TYPE_CHECKING:
    from fanfold.codec.values import Tagger

CODEC = "parquet-polars/2"
#: Of a series: a frame of one column.
_SERIES = "parquet-polars-series/2"

UNTAG: dict[str, Callable[[Any], Any]] = {"$polars_schema": lambda frame: frame.schema}


def pack(value: Any) -> Encoded | None:
    """The encoding of a frame or a series. Raises `CodecError` where Parquet would change a column's type."""
    if type(value) is pl.DataFrame:
        return Encoded(CODEC, _parquet(value))
    if type(value) is pl.Series:
        return Encoded(_SERIES, _parquet(value.to_frame()))
    return None


def tag(value: Any, tagger: Tagger) -> Any:
    """The tag of a schema, as a frame without rows; polars' scalars are Python's own."""
    if type(value) is pl.Schema:
        return {"$polars_schema": tagger.at("schema", pl.DataFrame(schema=value))}
    return None


def unpack(codec: str, data: bytes) -> Any:
    """The frame or the series that `pack` encoded."""
    is_series = data[:1] == b"S" if codec == POLARS_WITH_LETTER else codec == _SERIES
    frame = _read(data[1:] if codec == POLARS_WITH_LETTER else data)
    return frame.to_series() if is_series else frame


def _read(data: bytes) -> pl.DataFrame:
    """A frame by Arrow, which checks what it reads: of damaged bytes polars may end the process, past any `except`."""
    try:
        table = read_parquet(data, cast=False)
        table.validate(full=True)
    except pa.ArrowNotImplementedError:  # integers of 128 bits, which Arrow has not
        return pl.read_parquet(io.BytesIO(data))
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def _parquet(frame: pl.DataFrame) -> bytes:
    sink = io.BytesIO()
    try:
        frame.write_parquet(sink, compression="lz4", statistics=False)
    except pl.exceptions.PolarsError as error:
        raise _unfit(str(error)) from error
    # What Parquet keeps differs between versions of polars: look, rather than know.
    kept = pl.read_parquet_schema(io.BytesIO(sink.getvalue()))
    for name, dtype in frame.schema.items():
        if kept.get(name) != dtype:
            raise _unfit(f"column {name!r} of type {dtype} would come back as {kept.get(name)}")
    return sink.getvalue()


def _unfit(reason: str) -> CodecError:
    return CodecError(
        f"this polars frame does not fit into Parquet: {reason}.",
        next_step="cast that column: `frame.with_columns(pl.col(name).cast(...))`.",
    )
