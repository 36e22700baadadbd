"""A run's arguments as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fanfold.codec import decode_json, encode_json
from fanfold.errors import CodecError


def encode_arguments(arguments: Mapping[str, Any], *, put_blob: Callable[[str, bytes], object]) -> str:
    """The canonical text of arguments that `Signature.bind` gave: in the order of the signature.

    Anything binary above 1 KB goes to `put_blob(sha256_hex, data)`. Raises `CodecError` naming the parameter.
    """
    return encode_json(dict(arguments), put_blob=put_blob, name="input")


def decode_arguments(text: str, *, get_blob: Callable[[str], bytes]) -> dict[str, Any]:
    """The arguments that `encode_arguments` wrote; `get_blob(sha256_hex)` gives what `put_blob` was given."""
    arguments = decode_json(text, get_blob=get_blob)
    if type(arguments) is not dict:
        raise CodecError(
            f"A run's arguments should be a dict; this text holds a {type(arguments).__name__}.",
            next_step="The job's inputs are damaged: submit it again.",
        )
    return arguments
