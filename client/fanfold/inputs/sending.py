"""Arguments as what is sent of them: text, in which a value that no codec knows stands as the plain data it is made of.

An Enum's member, a pydantic model, a dataclass, a URL: the annotation makes them from plain data here, to check them,
and once more where the UDF runs, whose classes are its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fanfold.codec import encode_json
from fanfold.codec.registry import knows
from fanfold.errors import CodecError
from fanfold.inputs.rejection import Rejection

if TYPE_CHECKING:
    from fanfold.inputs.signature import Signature

PutBlob = Callable[[str, bytes], object]
Send = Callable[[Mapping[str, Any]], str]


def sender(signature: Signature, put_blob: PutBlob) -> Send:
    """What writes bound arguments as canonical text; it raises `Rejection` for a value that cannot be sent.

    Anything binary above 1 KB goes to `put_blob(sha256_hex, data)`.
    """

    def send(arguments: Mapping[str, Any]) -> str:
        if signature.remade:
            arguments = {name: _sent(signature, name, value) for name, value in arguments.items()}
        try:
            return encode_json(arguments, put_blob=put_blob, name="input")
        except CodecError:
            raise _unsendable(arguments, put_blob) from None

    return send


def _sent(signature: Signature, name: str, value: Any) -> Any:
    """The plain data that the annotation makes `value` of again, where it needs any and there is some."""
    if name not in signature.remade:
        return value
    try:
        data = plain(value)
        same = data is value or bool(signature.coercers[name](data) == value)
    except Exception:  # noqa: BLE001 - the user's own attributes and `__eq__`, or the annotation does not take the data
        same = False
    return data if same else value  # which is then refused by its name


def _unsendable(arguments: Mapping[str, Any], put_blob: PutBlob) -> Rejection:
    for name, value in arguments.items():
        try:
            encode_json(value, put_blob=put_blob, name=name)
        except CodecError as error:
            reason = f"{error.message.rstrip('.')}; {error.instead}" if error.instead else error.message.rstrip(".")
            return Rejection(reason, parameter=name, value=value)
    raise AssertionError("the whole has no codec, though each of its parts has one")


def is_remade(annotation: Any) -> bool:
    """Whether an annotation makes values that no codec knows, by the classes it is made of."""
    from typing import get_args, get_origin

    if get_origin(annotation) is not None:
        return any(map(is_remade, get_args(annotation)))
    if not isinstance(annotation, type) or annotation.__module__ in ("builtins", "collections.abc", "typing"):
        return False
    return not knows(annotation)


def plain(value: Any) -> Any:
    """The data that `value` is made of, as its annotation takes it; `value` itself where that is all there is to it."""
    kind = type(value)
    if kind in (list, tuple, set, frozenset):
        parts = [plain(part) for part in value]
        return value if all(a is b for a, b in zip(parts, value, strict=True)) else kind(parts)
    if kind is dict:
        items = {plain(key): plain(item) for key, item in value.items()}
        return value if all(items.get(key) is item for key, item in value.items()) else items
    if knows(kind):
        return value
    return _taken_apart(value, kind)


def _taken_apart(value: Any, kind: type) -> Any:
    if hasattr(kind, "__members__") and hasattr(value, "_value_"):  # an Enum
        return plain(value._value_)
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return [plain(part) for part in value]
    fields = _fields(kind)
    return _printed(value, kind) if fields is None else {key: plain(getattr(value, name)) for name, key in fields}


def _fields(kind: Any) -> list[tuple[str, str]] | None:
    """The attributes of a dataclass or a pydantic model, and what each is called when one is made; None of others."""
    if hasattr(kind, "__dataclass_fields__"):
        return [(name, name) for name, field in kind.__dataclass_fields__.items() if field.init]
    if hasattr(kind, "__pydantic_fields__"):
        aliases = {name: field.validation_alias or field.alias for name, field in kind.__pydantic_fields__.items()}
        return [(name, alias if isinstance(alias, str) else name) for name, alias in aliases.items()]
    return None


def _printed(value: Any, kind: type) -> Any:
    """The text that some kinds are read from."""
    if hasattr(kind, "get_secret_value"):
        return value.get_secret_value()
    package = kind.__module__.partition(".")[0]
    if package == "re":
        return value.pattern
    return str(value) if package in ("pydantic", "pydantic_core", "ipaddress", "fractions") else value
