"""pyarrow tables as Parquet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fanfold.codec.encoded import Encoded
from fanfold.codec.parquet import read_parquet, write_parquet

if TYPE_CHECKING:
    from fanfold.codec.tagged import Tagger

CODEC = "parquet-arrow/1"

UNTAG: dict[str, Callable[[Any], Any]] = {}


def pack(value: Any) -> Encoded | None:
    """The encoding of a table. Raises `CodecError` where Parquet would change a column's type."""
    return Encoded(CODEC, write_parquet(value)) if type(value) is pa.Table else None


def tag(value: Any, tagger: Tagger) -> Any:  # noqa: ARG001
    """Arrow's scalars and arrays have no tag."""
    return None


def unpack(_: str, data: bytes) -> Any:
    """The table that `pack` encoded."""
    return read_parquet(data)
