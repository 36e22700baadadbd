"""numpy's arrays, plain, masked, of records and of objects, and its scalars and dtypes."""

from __future__ import annotations

import io
from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from fanfold.codec.encoded import Encoded, damaged
from fanfold.errors import CodecError

if TYPE_CHECKING:
    from fanfold.codec.values import Tagger

CODEC = "npy/1"

#: numpy by itself reads headers of 10,000 characters, though it writes longer ones for records of many fields.
#: A record of 50,000 fields has less than this, and reading as much takes a second.
_LARGEST_HEADER = 4_000_000

#: Kinds of dtypes whose arrays are written item by item: of objects, and of texts of any length.
_BY_ITEM = "OT"
#: Arrays that are plain ones seen in another way, by the name of their class.
_VIEWS = ("recarray", "matrix")


def pack(value: Any) -> Encoded | None:
    """The encoding of an array; None for what has a tag. Raises `CodecError` for a dtype that cannot be written."""
    if type(value) is not np.ndarray or value.dtype.kind in _BY_ITEM or not value.flags.writeable:
        return None
    if _is_noted(value.dtype):
        return None
    return Encoded(CODEC, _npy(value))


def pieces(value: Any) -> tuple[bytes, memoryview] | None:
    """What `pack` would join for a large plain array: its header, and its own numbers where they lie. None for others.

    For a writer that needs no copy of them.
    """
    if type(value) is not np.ndarray or not _is_large(value):
        return None
    sink = io.BytesIO()
    np.lib.format.write_array_header_1_0(sink, np.lib.format.header_data_from_array_1_0(value))
    ordered = value if value.flags.c_contiguous else value.T
    return sink.getvalue(), ordered.reshape(-1).view(np.uint8).data


def unpack(codec: str, data: bytes) -> Any:
    """The array that `pack` encoded: over `data` itself where that may be written to, which is then the array's own."""
    shape, fortran, dtype, start = _header(data)
    expected = prod(shape) * dtype.itemsize
    if dtype.hasobject or min(shape, default=0) < 0 or expected != len(data) - start:
        raise damaged(codec, f"an array of {expected:,} bytes should follow, {len(data) - start:,} do")
    order: Any = "F" if fortran else "C"
    if not expected:
        return np.zeros(shape, dtype, order=order)
    array = np.frombuffer(data, dtype, offset=start).reshape(shape, order=order)
    return array if array.flags.writeable and array.flags.aligned else array.copy(order=order)


def _header(data: bytes) -> tuple[Any, bool, Any, int]:
    """Shape, order, dtype, and where the numbers begin. Not by numpy, which has no public reader for all versions."""
    import ast

    magic, version = bytes(data[:6]), (data[6], data[7])
    if magic != b"\x93NUMPY" or version not in _LENGTH_BYTES:
        raise ValueError("it is no .npy")
    start = 8 + _LENGTH_BYTES[version]
    end = start + int.from_bytes(data[8:start], "little")
    if end - start > _LARGEST_HEADER or end > len(data):
        raise ValueError("its header is too long")
    facts = ast.literal_eval(bytes(data[start:end]).decode("utf-8" if version == (3, 0) else "latin1"))
    shape = tuple(int(length) for length in facts["shape"])
    return shape, bool(facts["fortran_order"]), np.lib.format.descr_to_dtype(facts["descr"]), end


_LENGTH_BYTES = {(1, 0): 2, (2, 0): 4, (3, 0): 4}


_LARGE_BYTES = 1 << 20
#: Kinds of dtypes whose arrays are their bytes.
_NUMBERS = "biufc"


def _is_large(array: Any) -> bool:
    dtype = array.dtype
    is_plain = dtype.kind in _NUMBERS and dtype.metadata is None
    return bool(array.nbytes >= _LARGE_BYTES and is_plain and array.flags.forc)


def _npy(array: Any) -> bytes:
    if not _is_kept(array.dtype):
        raise CodecError(
            f"an array of dtype {array.dtype} has no codec.",
            next_step="return `array.tolist()`, or a numeric or text dtype: `array.astype(float)`, `.astype(str)`.",
        )
    if (parts := pieces(array)) is not None:
        return b"".join(parts)  # as `write_array` does it, with one copy of the numbers instead of three
    sink = io.BytesIO()
    # Version 3 has room for any field names; left to choose, numpy would warn of it.
    np.lib.format.write_array(sink, array, version=(3, 0) if array.dtype.names else (1, 0), allow_pickle=False)
    data = sink.getvalue()
    if array.dtype.names:
        _prove_readable(data)
        if _has_gaps(array.dtype):
            data = data[: len(data) - array.nbytes] + _without_gaps(array)
    return data


def _has_gaps(dtype: Any) -> bool:
    """Whether the items of a record leave bytes between them, in which anything may stand."""
    fields = [field[0] for field in (dtype.fields or {}).values()]
    inner = [each.base for each in [dtype, *fields] if each.subdtype]
    used = sum(dtype.fields[name][0].itemsize for name in dtype.names or ())
    return (dtype.names is not None and used != dtype.itemsize) or any(map(_has_gaps, [*inner, *fields]))


def _without_gaps(array: Any) -> bytes:
    """The bytes of records, with zeros in all gaps: equal arrays have equal bytes."""
    order: Any = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    clean = np.zeros(array.shape, array.dtype, order=order)
    _copy_fields(clean, array)
    return bytes(clean.tobytes(order))


def _copy_fields(to: Any, of: Any) -> None:
    if of.dtype.names is None:
        to[...] = of
    for name in of.dtype.names or ():
        _copy_fields(to[name], of[name])


def _prove_readable(data: bytes) -> None:
    """Raises `CodecError` where the header of a record is one that no reader takes."""
    try:
        _header(data)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise CodecError(
            f"an array of records of this dtype cannot be read back: {error}.",
            next_step="return a frame: `pandas.DataFrame.from_records(array)`.",
        ) from error


def _is_kept(dtype: Any) -> bool:
    if dtype.hasobject or dtype.kind == "T":
        return False
    try:
        return bool(np.lib.format.descr_to_dtype(np.lib.format.dtype_to_descr(dtype)) == dtype)
    except (TypeError, ValueError):
        return False


def tag(value: Any, tagger: Tagger) -> Any:
    """The tag of a scalar, of a dtype, and of arrays that are more than numbers; None for anything else."""
    kind = type(value)
    if kind is np.ndarray and (tree := _more_than_numbers(value, tagger)) is not None:
        return tree
    if isinstance(value, np.generic):
        return _scalar(value, tagger)
    if isinstance(value, np.dtype):
        return {"$dtype": tagger.tree(np.empty(0, value)) if _is_noted(value) else _dtype_tree(value, tagger)}
    if value is np.ma.masked:
        return {"$masked": None}
    if kind is np.ma.MaskedArray:
        return _masked(value, tagger)
    return _array(value, kind, tagger) if isinstance(value, np.ndarray) else None


def _more_than_numbers(value: Any, tagger: Tagger) -> Any:
    """The tag of an array whose dtype says more than what its items are, or which nothing may be written to."""
    if _is_noted(value.dtype):
        return {"$noted": [tagger.tree(value.view(_bare(value.dtype))), _notes(value.dtype, tagger)]}
    if value.flags.writeable:
        return None
    is_plain = value.dtype.kind not in _BY_ITEM
    return {"$locked": tagger.put_part(Encoded(CODEC, _npy(value))) if is_plain else _objects(value, tagger)}


def _array(value: Any, kind: type, tagger: Tagger) -> Any:
    """The tag of an array of objects, or of one that is seen in another way."""
    if kind is np.ndarray:
        return _objects(value, tagger)
    if kind.__name__ in _VIEWS and kind.__module__.partition(".")[0] == "numpy" and value.dtype.kind not in _BY_ITEM:
        return {"$view": [kind.__name__, tagger.at("array", _seen_plainly(value))]}
    return None


def _seen_plainly(value: Any) -> Any:
    plain = np.asarray(value).view(np.ndarray)
    return plain.view(np.dtype((np.void, plain.dtype))) if plain.dtype.type is np.record else plain


# What a dtype says beyond what its description does: notes of its maker's, C's alignment, that its items are records


def _is_noted(dtype: Any) -> bool:
    if dtype.metadata is not None or (dtype.names is not None and (dtype.isalignedstruct or dtype.type is np.record)):
        return True
    inner = [dtype.base] if dtype.subdtype else [field[0] for field in (dtype.fields or {}).values()]
    return any(map(_is_noted, inner))


def _bare(dtype: Any) -> Any:
    """The same without that."""
    if dtype.subdtype:
        return np.dtype((_bare(dtype.base), dtype.shape))
    if dtype.names is None:
        return np.dtype(dtype.str)
    fields = [dtype.fields[name] for name in dtype.names]
    said = {"names": list(dtype.names), "formats": [_bare(f[0]) for f in fields], "offsets": [f[1] for f in fields]}
    return _made({**said, "itemsize": dtype.itemsize})


def _notes(dtype: Any, tagger: Tagger) -> Any:
    """All that a dtype says, part by part."""
    if dtype.subdtype:
        return {"of": _notes(dtype.base, tagger), "shape": list(dtype.shape)}
    said: dict[str, Any] = {}
    if dtype.metadata is not None:
        try:
            said["metadata"] = tagger.at("dtype.metadata", dict(dtype.metadata))
        except CodecError:  # a note for its maker, who has it in this process alone
            said = {}
    if dtype.names is None:
        return {**said, "dtype": dtype.str}
    fields = [dtype.fields[name] for name in dtype.names]
    return {
        **said,
        "names": list(dtype.names),
        "fields": [_notes(field[0], tagger) for field in fields],
        "offsets": [field[1] for field in fields],
        "titles": [field[2] if len(field) > 2 else None for field in fields],
        "itemsize": dtype.itemsize,
        "align": dtype.isalignedstruct,
        "is_record": dtype.type is np.record,
    }


def _noted(notes: Any) -> Any:
    if "of" in notes:
        return _made((_noted(notes["of"]), tuple(notes["shape"])))
    metadata: dict[str, Any] = {"metadata": notes["metadata"]} if "metadata" in notes else {}
    if "dtype" in notes:
        return _made(notes["dtype"], **metadata)
    said = {name: notes[name] for name in ("names", "offsets", "titles", "itemsize")}
    said["formats"] = list(map(_noted, notes["fields"]))
    made = _made(said, align=notes["align"], **metadata)
    return np.dtype((np.record, made)) if notes["is_record"] else made


#: As numpy's own types do not say it.
_made: Any = np.dtype


def _read_noted(payload: Any) -> Any:
    array, notes = payload
    return array.view(_noted(notes))


def _objects(value: Any, tagger: Tagger) -> Any:
    order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
    flat = value.ravel(order=order).tolist()
    parts = [list(value.shape), order, [tagger.at(number, item) for number, item in enumerate(flat)]]
    if value.dtype.kind == "O":
        return {"$objects": parts}
    return {"$texts": [*parts, *_of_texts(value.dtype, tagger)]}


def _of_texts(dtype: Any, tagger: Tagger) -> list[Any]:
    """What a dtype of texts of any length is made of."""
    return [dtype.coerce, *([tagger.tree(dtype.na_object)] if hasattr(dtype, "na_object") else [])]


def _locked(array: Any) -> Any:
    """An array that nothing may be written to: a view, since several may share what was read."""
    made = array.view()
    made.flags.writeable = False
    return made


def _scalar(value: Any, tagger: Tagger) -> Any:
    dtype = value.dtype
    if dtype.kind in "mM":
        return {"$numpy": [dtype.str, int(value.view("i8"))]}
    # A long double has more digits than a Python float, and a record has fields: these go as arrays without axes.
    if dtype.kind in "biufcSU" and dtype.char not in "gG":
        return {"$numpy": [dtype.str, tagger.tree(value.item())]}
    return {"$npy_scalar": tagger.tree(np.asarray(value))}


def _dtype_tree(dtype: Any, tagger: Tagger) -> Any:
    if dtype.kind == "O" and dtype.names is None:
        return "|O"
    if dtype.kind == "T":
        return {"$texts": [[0], "C", [], *_of_texts(dtype, tagger)]}
    if not _is_kept(dtype):
        raise CodecError(f"{tagger.where} is the dtype {dtype}, which has no codec.", next_step="pass its `.descr`.")
    return tagger.tree(np.lib.format.dtype_to_descr(dtype))


def _masked(value: Any, tagger: Tagger) -> Any:
    mask = np.ma.getmask(value)
    own_fill = value._fill_value  # None where it is the dtype's default
    parts = [
        tagger.at("data", np.asarray(value.data)),
        None if mask is np.ma.nomask else tagger.at("mask", np.asarray(mask)),
        None if own_fill is None else tagger.at("fill_value", np.asarray(own_fill)),
        bool(value.hardmask),
    ]
    return {"$masked": parts}


def _read_masked(parts: Any) -> Any:
    if parts is None:
        return np.ma.masked
    data, mask, fill, hard = parts
    # A mask that is there, all false, is another thing than none.
    made = np.ma.MaskedArray(data, np.ma.nomask if mask is None else mask, hard_mask=hard, keep_mask=False)
    if fill is not None:
        made.set_fill_value(fill[()])
    return made


def _read_scalar(payload: Any) -> Any:
    dtype, item = payload
    kind = np.dtype(dtype)
    return np.array(item, "i8").view(kind)[()] if kind.kind in "mM" else kind.type(item)


def _read_objects(payload: Any) -> Any:
    shape, order, items = payload
    flat = np.empty(len(items), dtype=object)
    for number, item in enumerate(items):  # one by one: numpy would unpack lists of one length into a second axis
        flat[number] = item
    return flat.reshape(shape, order=order)


def _read_texts(payload: Any) -> Any:
    shape, order, items, coerce, *missing = payload
    given = {"na_object": missing[0]} if missing else {}
    kind = np.dtypes.StringDType(coerce=coerce, **given)  # which numpy has since 2.0
    return _read_objects([shape, order, items]).astype(kind)


def _read_dtype(descr: Any) -> Any:
    if isinstance(descr, np.ndarray):
        return descr.dtype
    return np.lib.format.descr_to_dtype(descr) if isinstance(descr, list) else np.dtype(descr)


def _read_view(payload: Any) -> Any:
    name, array = payload
    if name not in _VIEWS:
        raise ValueError(f"no array is a {name}")
    return array.view(getattr(np, name))


UNTAG: dict[str, Callable[[Any], Any]] = {
    "$numpy": _read_scalar,
    "$npy_scalar": lambda array: array[()],
    "$objects": _read_objects,
    "$texts": _read_texts,
    "$dtype": _read_dtype,
    "$masked": _read_masked,
    "$view": _read_view,
    "$locked": _locked,
    "$noted": _read_noted,
}
