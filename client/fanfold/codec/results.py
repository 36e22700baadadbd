"""A result's bytes: one codec for the whole value, or JSON with binary parts beside it."""

from __future__ import annotations

from _thread import _local as local  # `threading` itself would be one more import of a worker's
from collections.abc import Callable
from typing import Any, Literal

from fanfold.codec import registry
from fanfold.codec.encoded import Encoded, damaged, join_parts, split_parts
from fanfold.codec.tagged import BLOB_THRESHOLD_BYTES, GetPart, base64_text, pack_whole, read, write
from fanfold.errors import CodecError

GetBlob = Callable[[str], bytes]
#: Turns what `own` wrote of a class or function back into it.
FromSource = Callable[[Any], Any]


def encode(value: Any, *, serializer: Literal["auto", "pickle"] | str = "auto", name: str = "result") -> Encoded:
    """`value` as bytes and the codec that reads them; `name` is what errors call it.

    `serializer="pickle"` encodes anything that pickles, for readers that opt in as well. Raises `CodecError` naming the
    type, its place and what to return instead.
    """
    if serializer == "pickle":
        return _pickle(value, name)
    if serializer != "auto":
        raise CodecError(f"There is no serializer {serializer!r}.", next_step='Use "auto" or "pickle".')
    module = registry.module_for_type(type(value))
    whole = None if module is None else pack_whole(module, value, lambda: name)
    return whole or _with_parts(value, name)


def decode(codec: str, data: bytes, *, allow_pickle: bool = False, from_source: FromSource | None = None) -> Any:
    """The value that `encode` encoded.

    Its objects are of the classes that this process has; those of others come as plain data, with a warning.
    `allow_pickle` is for those who trust the writer: it reads pickle, and finds and calls whatever an object says it is
    made by. Raises `CodecError` for an unknown codec, bad bytes, or pickle without opt-in.
    """
    with _Reading(allow_pickle, from_source):
        return _decode(codec, data)


class _Reading:
    """How far the writer is trusted while one value is read, the values within it included.

    A frame's cells are read by `decode_json` from deep within a library, which passes nothing on.
    """

    def __init__(self, trusted: bool, from_source: FromSource | None) -> None:
        self._own = (trusted, from_source)

    def __enter__(self) -> None:
        self._before = (_now.trusted, _now.from_source)
        _now.trusted, _now.from_source = self._own

    def __exit__(self, *_: object) -> None:
        _now.trusted, _now.from_source = self._before


class _Now(local):
    """The present reading of each thread; at rest nobody is trusted."""

    trusted = False
    from_source: FromSource | None = None


_now = _Now()


def _put_together(nodes: Any) -> Any:
    from fanfold.codec.rebuild import put_together

    return put_together(nodes, trusted=_now.trusted, from_source=_now.from_source)


def _decode(codec: str, data: bytes) -> Any:
    if codec == "json/1":
        return read(_text(data, codec), _no_part, _decode, _put_together)
    if codec == "bytes/1":
        return bytes(data)
    if codec == "parts/1":
        return _read_parts(data)
    if codec == "pickle/1":
        return _unpickle(data, _now.trusted)
    module = registry.module_for_codec(codec)
    if module is None:
        raise CodecError(
            f"The codec {codec!r} is not known to this version.",
            next_step="A newer Fanfold wrote this value: update this one (`pip install -U fanfold`).",
        )
    try:
        return module.unpack(codec, data)
    except (CodecError, ImportError, MemoryError, Warning):
        raise
    except Exception as error:  # each library has its own tree of errors for bytes it cannot read
        raise damaged(codec, error) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # polars' own code of Rust, which has no other way to fail
            raise
        raise damaged(codec, error) from error


def decode_json(
    text: str,
    *,
    get_blob: GetBlob | None = None,
    get_value: GetPart | None = None,
    trusted: bool | None = None,
    from_source: FromSource | None = None,
) -> Any:
    """The value that `encode_json` wrote; `get_blob(sha256_hex)` gives the bytes that `put_blob` was given.

    `get_value(codec, sha256_hex)` may give their value instead, for one that keeps what comes again and again.
    `trusted` is for a worker, which runs the writer's code anyway: see `decode`. Left out, it is what the value around
    this one is read with. Raises `CodecError` where the text is damaged, or written by a newer Fanfold.
    """
    blob = get_blob or _no_blob
    part = get_value or (lambda codec, sha256: _decode(codec, blob(sha256)))
    if trusted is None or '{"$' not in text:
        return read(text, part, _decode, _put_together)
    with _Reading(trusted, from_source):
        return read(text, part, _decode, _put_together)


def _with_parts(value: Any, name: str) -> Encoded:
    parts: list[bytes] = []

    def put_part(encoded: Encoded) -> Any:
        if encoded.codec == "bytes/1" and len(encoded.data) <= BLOB_THRESHOLD_BYTES:
            return {"$bytes": base64_text(encoded.data)}
        parts.append(encoded.data)
        return {"$part": [encoded.codec, len(parts)]}

    text = write(value, put_part=put_part, name=name, own="loosely", start_again=parts.clear)
    skeleton = text.encode("ascii")
    return Encoded("parts/1", join_parts([skeleton, *parts])) if parts else Encoded("json/1", skeleton)


def _read_parts(data: bytes) -> Any:
    parts = split_parts(data)
    if not parts:
        raise damaged("parts/1", "it is empty")
    return read(_text(parts[0], "parts/1"), lambda codec, number: _decode(codec, parts[number]), _decode, _put_together)


def _text(data: bytes, codec: str) -> str:
    try:
        return bytes(data).decode("ascii")
    except UnicodeDecodeError as error:
        raise damaged(codec, error) from error


def _no_part(_: str, __: Any) -> Any:
    raise damaged("json/1", "it refers to a part that is not there")


def _no_blob(_: str) -> bytes:
    raise CodecError("This text refers to bytes that are kept elsewhere.", next_step="Hand in `get_blob` to read them.")


def _pickle(value: Any, name: str) -> Encoded:
    import pickle

    try:
        return Encoded("pickle/1", pickle.dumps(value, protocol=5))
    except Exception as error:  # pickling runs the value's own code, which may raise anything
        raise CodecError(
            f"{name} is a {type(value).__qualname__}, which does not pickle: {error}.",
            next_step="Return plain data, a frame or an array.",
        ) from error


def _unpickle(data: bytes, allow_pickle: bool) -> Any:
    if not allow_pickle:
        raise CodecError(
            "This value was written with pickle, and reading pickle runs code that the bytes bring along.",
            next_step="if you trust who wrote it, opt in: `job.results(allow_pickle=True)`, or FANFOLD_ALLOW_PICKLE=1.",
        )
    import pickle

    try:
        return pickle.loads(data)  # noqa: S301 - only with the caller's explicit opt-in
    except Exception as error:  # unpickling runs the value's own code, which may raise anything
        raise damaged("pickle/1", error) from error
