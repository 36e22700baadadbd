"""numpy arrays as .npy, and numpy scalars with their dtype."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fanfold.codec.encoded import Encoded
from fanfold.errors import CodecError

if TYPE_CHECKING:
    from fanfold.codec.tagged import Tagger

CODEC = "npy/1"


def pack(value: Any) -> Encoded | None:
    """The encoding of an array; None for a scalar. Raises `CodecError` for arrays of Python objects."""
    return Encoded(CODEC, _npy(value)) if type(value) is np.ndarray else None


def unpack(_: str, data: bytes) -> Any:
    """The array that `pack` encoded."""
    return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)


def _npy(array: Any) -> bytes:
    if not _is_kept(array.dtype):
        raise CodecError(
            f"an array of dtype {array.dtype} has no codec.",
            next_step="Return `array.tolist()`, or a numeric or text dtype: `array.astype(float)`, `.astype(str)`.",
        )
    sink = io.BytesIO()
    # Version 3 has room for any field names; left to choose, numpy would warn of it.
    np.lib.format.write_array(sink, array, version=(3, 0) if array.dtype.names else (1, 0), allow_pickle=False)
    return sink.getvalue()


def _is_kept(dtype: Any) -> bool:
    if dtype.hasobject:
        return False
    try:
        return bool(np.lib.format.descr_to_dtype(np.lib.format.dtype_to_descr(dtype)) == dtype)
    except (TypeError, ValueError):
        return False


def tag(value: Any, tagger: Tagger) -> Any:
    """The tag of a numpy scalar, or None where `value` is something else."""
    if not isinstance(value, np.generic):
        return None
    dtype = value.dtype
    if dtype.kind in "mM":
        return {"$numpy": [dtype.str, int(value.view("i8"))]}
    # A long double has more digits than a Python float, and a record has fields: these go as arrays without axes.
    if dtype.kind in "biufcSU" and dtype.char not in "gG":
        return {"$numpy": [dtype.str, tagger.tree(value.item())]}
    return {"$npy_scalar": tagger.tree(np.asarray(value))}


def _read_scalar(payload: Any) -> Any:
    dtype, item = payload
    kind = np.dtype(dtype)
    return np.array(item, "i8").view(kind)[()] if kind.kind in "mM" else kind.type(item)


UNTAG: dict[str, Callable[[Any], Any]] = {
    "$numpy": _read_scalar,
    "$npy_scalar": lambda array: array[()],
}
