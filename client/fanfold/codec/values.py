"""Values as bytes and as JSON text, and back, exactly.

A result is one codec's bytes for the whole value, or JSON with binary parts beside it; arguments are JSON text.

What JSON knows is written as itself; anything else is an object of one key that starts with `$`, such as
`{"$tuple":[1,2]}`. A dict of the user's that has such a key, or keys that are not strings, is written as
`{"$dict":[[key,value],...]}`, so no value can be mistaken for a tag. The same value always gives the same text.
"""

from __future__ import annotations

import json
from _thread import _local as local  # `threading` itself would be one more import of a worker's
from collections.abc import Callable
from typing import Any, Literal

from fanfold.codec import registry
from fanfold.codec.encoded import Encoded, damaged, join_parts, split_parts, unreadable
from fanfold.errors import UPDATE, CodecError, InputMissing, MissingPackage

#: Binary parts above this go through `put_blob`; below it, a reference would cost about as much as the bytes.
BLOB_THRESHOLD_BYTES = 1024

#: Python refuses to print integers of more than 4,300 digits in decimal; well before that they are written in hex.
_PLAIN_INT_BITS = 4096

_LIMIT, _NEGATIVE_LIMIT = float("inf"), float("-inf")

JSON_SCALARS = frozenset({str, int, float, bool, type(None)})

# ASCII only, so that the text is safe as a line of JSONL whatever splits the lines. Not-a-number is an error here, for
# it is not JSON: the value is then written again with care.
_encoder = json.JSONEncoder(separators=(",", ":"), check_circular=False, allow_nan=False)


def _writer() -> Callable[[Any], str]:
    """What the encoder's `encode` does, with one writer in C for all values: it makes another for each, which takes
    three times as long as a small value."""
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return _encoder.encode
    ascii_text = json.encoder.encode_basestring_ascii
    pieces = make(None, _encoder.default, ascii_text, None, ":", ",", False, False, False)
    return lambda value: "".join(pieces(value, 0))


_dumps = _writer()

PutBlob = Callable[[str, bytes], object]
PutPart = Callable[[Encoded], Any]

#: Says how a class or function of the user's own travels: any JSON tree, or None to refuse it. "named": by name, where
#: that gives it; "loosely": by name, for readers who do without it.
Own = Callable[[Any], Any] | str


def encode_json(value: Any, *, put_blob: PutBlob | None = None, name: str = "value", own: Own | None = "named") -> str:
    """The tagged JSON text of `value`: compact, in order, and always the same for the same value.

    Frames, arrays, images and bytes above 1 KB go to `put_blob(sha256_hex, data)` where it is given, and inline as
    base64 otherwise. `name` is what errors call the value. `own` says how classes and functions of the user's own
    travel, by default by name; with None nothing is taken apart, and exact codecs are all there is. Raises `CodecError`
    where some part of it has no codec.
    """
    return write(value, put_part=_inline if put_blob is None else _Blobs(put_blob), name=name, own=own)


def write(
    value: Any,
    *,
    put_part: PutPart,
    name: str,
    own: Own | None = "named",
    start_again: Callable[[], None] | None = None,
) -> str:
    """Tagged JSON in which binary values are what `put_part` returns for them.

    `start_again` is called before the value is written a second time, as a graph: what was put is put once more.
    """
    try:
        text = _dumps(value if _is_plain(value) else Tagger(put_part, name).tree(value))
        if "\\ud" not in text:  # an escaped surrogate: half a character, or an emoji
            return text
    except NeedsGraph as needs:
        if own is None:
            from fanfold.codec.encoded import refuse

            raise refuse(*needs.args) from None
        return _as_graph(value, put_part, name, own, start_again)
    except ValueError:  # not a number, or an integer too long to print
        pass
    except RecursionError:
        if own is None:
            raise _too_deep(name) from None
        return _as_graph(value, put_part, name, own, start_again)
    if start_again is not None:
        start_again()
    return _dumps(Tagger(put_part, name, careful=True).tree(value))


def _as_graph(
    value: Any,
    put_part: PutPart,
    name: str,
    own: Own,
    start_again: Callable[[], None] | None,
) -> str:
    from fanfold.codec.reduce import write_graph

    if start_again is not None:
        start_again()
    try:
        return _dumps(write_graph(value, put_part, name, own))
    except RecursionError:
        raise _too_deep(name) from None


class Tagger:
    """Turns a value into what `json` can write, keeping track of where in the value it is."""

    __slots__ = ("_careful", "_name", "_path", "_seen", "put_part")

    def __init__(self, put_part: PutPart, name: str, *, careful: bool = False) -> None:
        self.put_part = put_part
        self._name = name
        self._path: list[Any] = []
        self._careful = careful
        #: The items so far that can be changed: one that comes again is to stay one object. The value keeps them alive.
        self._seen: set[int] = set()

    @property
    def where(self) -> str:
        """The place within the value, as Python would write it: `result["model"][2]`."""
        return self._name + "".join(map(_subscript, self._path))

    def tree(self, value: Any) -> Any:
        """`value` with everything that JSON lacks replaced by tags."""
        kind = type(value)
        if kind in JSON_SCALARS:
            return _scalar_with_care(value) if self._careful else value
        if kind is list:
            return self.items(value)
        if kind is dict:
            return self._dict(value)
        return self._other(value, kind)

    def items(self, values: Any) -> list[Any]:
        """The trees of a sequence's items."""
        if not self._careful and JSON_SCALARS.issuperset(map(type, values)):
            return values if type(values) is list else list(values)
        return [self._item(index, value) for index, value in enumerate(values)]

    def _item(self, step: Any, value: Any) -> Any:
        """The same as `at`, of an item that may come again; where it does, the whole is to be written as a graph."""
        kind = type(value)
        if kind in JSON_SCALARS:
            return _scalar_with_care(value) if self._careful else value
        if kind is list or kind is dict or kind is set or hasattr(kind, "__setitem__"):
            if id(value) in self._seen:
                return self.unknown(value)
            self._seen.add(id(value))
        self._path.append(step)
        tree = self.items(value) if kind is list else self._dict(value) if kind is dict else self._other(value, kind)
        self._path.pop()
        return tree

    def at(self, step: Any, value: Any) -> Any:
        """The tree of what is found at `step` (an index or a key) within the present value."""
        self._path.append(step)
        tree = self.tree(value)
        self._path.pop()
        return tree

    def _dict(self, value: dict[Any, Any]) -> Any:
        if not self._careful and _is_plain(value):
            return value
        for key in value:
            if type(key) is not str or key[:1] == "$" or (self._careful and _has_surrogates(key)):
                return {"$dict": [[self.at(key, key), self._item(key, item)] for key, item in value.items()]}
        return {key: self._item(key, item) for key, item in value.items()}

    def _other(self, value: Any, kind: type) -> Any:
        module = registry.module_for_type(kind)
        if module is not None:
            if kind.__name__ == "ndarray" and isinstance(self.put_part, _Blobs):
                reference = self.put_part.put_in_place(module, value)
                if reference is not None:
                    return reference if value.flags.writeable else {"$locked": reference}
            encoded = pack_whole(module, value, lambda: self.where)
            if encoded is not None:
                reference = self.put_part(encoded)
                if not isinstance(self.put_part, _Blobs) or encoded.codec not in _WITH_CELLS:
                    return reference
                from fanfold.codec.path_cells import with_paths

                return with_paths(value, reference, all_texts=self.put_part.texts_are_paths)
            tree = module.tag(value, self)
            if tree is not None:
                return tree
        return self.unknown(value)

    def unknown(self, value: Any) -> Any:
        """The tree of a value that no codec knows: the whole is to be written as a graph."""
        raise NeedsGraph(value, self.where)


#: Frames and arrays, which may hold paths that nobody would see in their bytes.
_WITH_CELLS = frozenset(
    ("geoparquet/1", "ipc-arrow/1", "npy/1", "parquet-arrow/1", "parquet-pandas/1", "parquet-polars/2")
)


class NeedsGraph(Exception):
    """Some object has to be taken apart."""


def pack_whole(module: Any, value: Any, where: Callable[[], str]) -> Encoded | None:
    """The binary encoding that `module` has for `value`, if any; its errors say `where` the value is."""
    try:
        encoded: Encoded | None = module.pack(value)
    except CodecError as error:
        error.message = f"{where()}: {error.message}"
        raise
    return encoded


def _inline(encoded: Encoded) -> Any:
    if encoded.codec == "bytes/1":
        return {"$bytes": base64_text(encoded.data)}
    return {"$inline": [encoded.codec, {"$bytes": base64_text(encoded.data)}]}


class _Blobs:
    """Hands large parts to the caller's store, under their sha256."""

    def __init__(self, put_blob: PutBlob) -> None:
        self._put_blob = put_blob
        self._put_pieces: Callable[[tuple[bytes, memoryview]], str] | None = getattr(put_blob, "put_pieces", None)
        self.texts_are_paths: bool = getattr(put_blob, "texts_are_paths", False)

    def put_in_place(self, module: Any, array: Any) -> Any:
        """The reference to a large array that the store has taken from where it lies; None where it has not."""
        if self._put_pieces is None:
            return None
        pieces = module.pieces(array)
        return None if pieces is None else {"$blob": [module.CODEC, self._put_pieces(pieces)]}

    def __call__(self, encoded: Encoded) -> Any:
        if len(encoded.data) <= BLOB_THRESHOLD_BYTES:
            return _inline(encoded)
        import hashlib

        sha256 = hashlib.sha256(encoded.data).hexdigest()
        self._put_blob(sha256, encoded.data)
        return {"$blob": [encoded.codec, sha256]}


def base64_text(data: bytes) -> str:
    """Base64 in one line."""
    import binascii

    return binascii.b2a_base64(data, newline=False).decode("ascii")


def sort_key(tree: Any) -> str:
    """What orders the trees of a set's members, so that equal sets give equal text."""
    return _dumps(tree)


def _is_plain(value: Any) -> bool:
    """Whether JSON has all of `value`: a scalar, or a dict of scalars, which most arguments are."""
    if type(value) is not dict:
        return type(value) in JSON_SCALARS
    for key in value:
        if type(key) is not str or key[:1] == "$":
            return False
    return JSON_SCALARS.issuperset(map(type, value.values()))


def _scalar_with_care(value: Any) -> Any:
    if type(value) is float and not _NEGATIVE_LIMIT < value < _LIMIT:
        return {"$float": repr(value)}
    if type(value) is int and value.bit_length() > _PLAIN_INT_BITS:
        return {"$int": hex(value)}
    if type(value) is str and _has_surrogates(value):
        return {"$str": base64_text(value.encode("utf-8", "surrogatepass"))}
    return value


def _has_surrogates(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _subscript(step: Any) -> str:
    return f"[{json.dumps(step)}]" if isinstance(step, str) else f"[{step!r}]"


def _too_deep(name: str) -> CodecError:
    return CodecError(
        f"{name} contains itself, or is nested too deeply to be written.",
        next_step="return a flatter value: a list, or a frame with a column for the parent.",
    )


# Tagged JSON read back: every object whose one key starts with `$` becomes the value that it stands for.

_decoder = json.JSONDecoder()


def _loads_plain(text: str) -> Any:
    try:
        value, end = _decoder.raw_decode(text)
    except ValueError:
        end = -1
    return value if end == len(text) else _decoder.decode(text)  # which says what is wrong with it


#: Gives the value of a part that lies elsewhere, by its codec and what `put_part` returned for it; of another job's
#: result there follow its key and its run (`codec.stored`).
GetPart = Callable[..., Any]
Decode = Callable[[str, bytes], Any]
PutTogether = Callable[[Any], Any]


def read(text: str, get_part: GetPart, decode: Decode, put_together: PutTogether) -> Any:
    """The value that `write` wrote.

    `get_part(codec, reference)` gives the value of what `put_part` returned; `decode(codec, data)` that of bytes which
    stand in the text itself; `put_together(nodes)` that of a graph.
    """
    if '{"$' in text:
        untagged: Callable[[str], Any] = json.JSONDecoder(
            object_hook=_Untagger(get_part, decode, put_together).value
        ).decode
    else:
        untagged = _loads_plain
    try:
        return untagged(text)
    except (CodecError, InputMissing, MissingPackage, OSError, MemoryError, Warning):
        raise
    except Exception as error:  # tags are read by many libraries, each with errors of its own for what it cannot read
        raise unreadable("json/1", error) from error


class _Untagger:
    """Turns tags back into values; the decoder hands it the innermost objects first."""

    __slots__ = ("_decode", "_get_part", "_put_together")

    def __init__(self, get_part: GetPart, decode: Decode, put_together: PutTogether) -> None:
        self._get_part = get_part
        self._decode = decode
        self._put_together = put_together

    def value(self, found: dict[str, Any]) -> Any:
        if len(found) != 1:
            return found
        ((tag, payload),) = found.items()
        if tag[:1] != "$":
            return found
        if tag in ("$blob", "$part"):
            return self._get_part(*payload)
        if tag == "$inline":
            codec, data = payload
            return self._decode(codec, data)
        if tag == "$graph":
            return self._put_together(payload)
        return _from_tag(tag, payload)


def _from_tag(tag: str, payload: Any) -> Any:
    read_tag = registry.module_for_tag(tag).UNTAG.get(tag)
    if read_tag is None:
        raise CodecError(
            f"The tag {tag} is not known to this version.", next_step=f"a newer Fanfold wrote it: {UPDATE}"
        )
    return read_tag(payload)


# A result's bytes: one codec for the whole value, or JSON with binary parts beside it.

GetBlob = Callable[[str], bytes]
#: Turns what `own` wrote of a class or function back into it.
FromSource = Callable[[Any], Any]


def encode(
    value: Any,
    *,
    serializer: Literal["auto", "pickle"] | str = "auto",
    name: str = "result",
    as_file: bool = False,
) -> Encoded:
    """`value` as bytes and the codec that reads them; `name` is what errors call it.

    `serializer="pickle"` encodes anything that pickles, for readers that opt in as well. `as_file`: large frames of
    numbers are laid out to be read in place, and their bytes are a view of memory. Raises `CodecError` naming the type,
    its place and what to return instead.
    """
    if type(value) in JSON_SCALARS and serializer == "auto" and (text := plain_text(value)):
        return Encoded("json/1", text.encode("ascii"))
    if serializer == "pickle":
        from fanfold.codec.pickled_code import pickled

        return Encoded("pickle/1", pickled(value, name))
    if serializer != "auto":
        raise CodecError(f"There is no serializer {serializer!r}.", next_step='use "auto" or "pickle".')
    module = None if type(value) in JSON_SCALARS else registry.module_for_type(type(value))
    whole: Encoded | None = None
    if as_file and registry.package_of(type(value)) == "pandas":
        whole = registry.codec_module("mapped_frames").pack(value)
    if whole is None and module is not None:
        whole = pack_whole(module, value, lambda: name)
    return whole or _with_parts(value, name)


def plain_text(value: Any) -> str:
    """The JSON of one of `JSON_SCALARS`; nothing for one that JSON does not have as it is."""
    try:
        text = _dumps(value)
    except ValueError:  # not a number, or an integer too long to print
        return ""
    return "" if "\\ud" in text else text


def decode(codec: str, data: bytes, *, allow_pickle: bool = False, from_source: FromSource | None = None) -> Any:
    """The value that `encode` encoded.

    Its objects are of the classes that this process has; those of others come as plain data, with a warning.
    `allow_pickle` is for those who trust the writer: it reads pickle, and finds and calls whatever an object says it is
    made by. Raises `CodecError` for an unknown codec, bad bytes, or pickle without opt-in.
    """
    if (
        codec == "json/1" and type(data) is bytes and b'{"$' not in data
    ):  # there is nothing in it that trust would matter to
        return _decode(codec, data)
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


def trusts_writer() -> bool:
    """Whether the present reading is that of a worker, which runs the writer's code anyway."""
    return _now.trusted


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
        from fanfold.codec.pickled_code import unpickled

        return unpickled(data, trusted=_now.trusted)
    module = registry.module_for_codec(codec)
    if module is None:
        raise CodecError(
            f"The codec {codec!r} is not known to this version.",
            next_step=f"a newer Fanfold wrote this value: {UPDATE}",
        )
    try:
        return module.unpack(codec, data)
    except (CodecError, MissingPackage, MemoryError, Warning):
        raise
    except Exception as error:  # each library has its own tree of errors for bytes it cannot read
        raise unreadable(codec, error) from error
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

    `get_value(codec, sha256_hex)` may give their value instead, for one that keeps what comes again and again. Another
    job's result is asked for by its key in place of the hash; `get_value` has that and its run as further arguments.
    `trusted` is for a worker, which runs the writer's code anyway: see `decode`. Left out, it is what the value around
    this one is read with. Raises `CodecError` where the text is damaged, or written by a newer Fanfold.
    """
    if '{"$' not in text:
        return read(text, _no_part, _decode, _put_together)
    blob = get_blob or _no_blob
    part = get_value or (lambda codec, sha256, key="", *_: _decode(codec, blob(key or sha256)))
    if trusted is None:
        value = read(text, part, _decode, _put_together)
    else:
        with _Reading(trusted, from_source):
            value = read(text, part, _decode, _put_together)
    if '{"$same":' in text:
        from fanfold.codec.builtin import with_same

        return with_same(value)
    return value


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
    raise CodecError("This text refers to bytes that are kept elsewhere.", next_step="hand in `get_blob` to read them.")
