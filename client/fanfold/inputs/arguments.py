"""A run's arguments out of text, and made into what the UDF's annotations say."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fanfold.codec import decode_json
from fanfold.errors import CodecError

Udf = Callable[..., Any]


def decode_arguments(text: str, *, get_blob: Callable[[str], bytes]) -> dict[str, Any]:
    """The arguments that `sender` wrote; `get_blob(sha256_hex)` gives what `put_blob` was given."""
    arguments = decode_json(text, get_blob=get_blob)
    if type(arguments) is not dict:
        raise CodecError(
            f"A run's arguments should be a dict; this text holds a {type(arguments).__name__}.",
            next_step="The job's inputs are damaged: submit it again.",
        )
    return arguments


def remaking(fresh: Callable[[], Udf], names: Iterable[str]) -> Callable[[], Udf]:
    """A factory of UDFs like `fresh`, which make values of the plain data that comes under `names`."""
    from fanfold.inputs.signature import Signature

    def made() -> Udf:
        udf = fresh()
        coercers = Signature.of(udf).coercers

        def call(**arguments: Any) -> Any:
            return udf(**{k: coercers[k](v) if k in names else v for k, v in arguments.items()})

        return call

    return made
