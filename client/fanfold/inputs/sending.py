"""Arguments as text: what is sent of them, and what is read of it again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fanfold.codec import decode_json, encode_json
from fanfold.codec.tagged import Own
from fanfold.errors import CodecError
from fanfold.inputs.rejection import Rejection

PutBlob = Callable[[str, bytes], object]
Send = Callable[[Mapping[str, Any]], str]


def sender(put_blob: PutBlob, own: Own = "named") -> Send:
    """What writes bound arguments as canonical text; it raises `Rejection` for a value that cannot be sent.

    Anything binary above 1 KB goes to `put_blob(sha256_hex, data)`. `own` says how classes and functions of the user's
    own travel (see `encode_json`).
    """

    def send(arguments: Mapping[str, Any]) -> str:
        try:
            return encode_json(arguments, put_blob=put_blob, name="input", own=None)
        except CodecError:
            return _one_by_one(arguments, put_blob, own)

    return send


def _one_by_one(arguments: Mapping[str, Any], put_blob: PutBlob, own: Own) -> str:
    """Each argument as a text of its own, for a job's constants and a run's own arguments are put together as text."""
    import json

    texts = []
    for name, value in arguments.items():
        try:
            texts.append(f"{json.dumps(name)}:{encode_json(value, put_blob=put_blob, name=name, own=own)}")
        except CodecError as error:
            reason = f"{error.message.rstrip('.')}; {error.instead}" if error.instead else error.message.rstrip(".")
            raise Rejection(reason, parameter=name, value=value) from None
    return "{" + ",".join(texts) + "}"


def decode_arguments(
    text: str, *, get_blob: Callable[[str], bytes], from_source: Callable[[Any], Any] | None = None
) -> dict[str, Any]:
    """The arguments that `sender` wrote, for the code that they were written for.

    `get_blob(sha256_hex)` gives what `put_blob` was given, and `from_source` what `own` named.
    """
    arguments = decode_json(text, get_blob=get_blob, trusted=True, from_source=from_source)
    if type(arguments) is not dict:
        raise CodecError(
            f"A run's arguments should be a dict; this text holds a {type(arguments).__name__}.",
            next_step="The job's inputs are damaged: submit it again.",
        )
    return arguments
