"""Tags for what comes with Python: tuples, sets, bytes, numbers that JSON lacks, UUIDs, decimals, paths."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fanfold.codec.encoded import Encoded
from fanfold.errors import CodecError

if TYPE_CHECKING:
    from fanfold.codec.values import Tagger


def pack(value: Any) -> Encoded | None:
    """Bytes are their own encoding."""
    return Encoded("bytes/1", value) if type(value) is bytes else None


def tag(value: Any, tagger: Tagger) -> Any:
    """The tag for `value`, or None where it is of no class known here."""
    kind = type(value)
    if issubclass(kind, BaseException):
        from fanfold.codec import exceptions

        return exceptions.tag(value, tagger)
    write_tag = _WRITERS.get(kind.__qualname__)
    # Looked up by name so that decimal, uuid and pathlib stay unimported: a namesake elsewhere never gets here.
    return None if write_tag is None else write_tag(value, tagger)


def _members(value: Any, tagger: Tagger) -> list[Any]:
    from fanfold.codec.values import sort_key

    return sorted((tagger.at(member, member) for member in value), key=sort_key)


def _path(value: Any, _: Tagger) -> Any:
    pure = type(value).__qualname__ in ("PurePosixPath", "PureWindowsPath")
    return {"$path": [type(value).__qualname__ if pure else "Path", str(value)]}


def _pattern(value: Any, tagger: Tagger) -> Any:
    return {"$pattern": [tagger.tree(value.pattern), value.flags]}


def _ip(value: Any, _: Tagger) -> Any:
    scope = f"%{value.scope_id}" if getattr(value, "scope_id", None) and "%" not in str(value) else ""
    return {"$ip": [type(value).__qualname__, f"{value}{scope}"]}


_WRITERS: dict[str, Callable[[Any, Tagger], Any]] = {
    "tuple": lambda value, tagger: {"$tuple": tagger.items(value)},
    "set": lambda value, tagger: {"$set": _members(value, tagger)},
    "frozenset": lambda value, tagger: {"$frozenset": _members(value, tagger)},
    "bytearray": lambda value, tagger: {"$bytearray": tagger.tree(bytes(value))},
    "complex": lambda value, tagger: {"$complex": [tagger.tree(value.real), tagger.tree(value.imag)]},
    "range": lambda value, tagger: {"$range": tagger.items([value.start, value.stop, value.step])},
    "slice": lambda value, tagger: {"$slice": tagger.items([value.start, value.stop, value.step])},
    "ellipsis": lambda *_: {"$constant": "..."},
    "NotImplementedType": lambda *_: {"$constant": "NotImplemented"},
    "Fraction": lambda value, tagger: {"$fraction": tagger.items([value.numerator, value.denominator])},
    "Pattern": _pattern,
    "UUID": lambda value, _: {"$uuid": str(value)},
    "Decimal": lambda value, _: {"$decimal": str(value)},
    **dict.fromkeys(("PurePosixPath", "PureWindowsPath", "PosixPath", "WindowsPath"), _path),
    **dict.fromkeys((f"IPv{n}{kind}" for n in (4, 6) for kind in ("Address", "Interface", "Network")), _ip),
}


def _bytes(text: str) -> bytes:
    import binascii

    return binascii.a2b_base64(text)


def _listed(items: Any, kind: type = list) -> Any:
    """What stands in the text: a range or a number in its place would be gone through for ever, or fill the memory."""
    if type(items) is not kind:
        raise TypeError(f"a {type(items).__name__} where a {kind.__name__} should be")
    return items


def _read_uuid(text: str) -> Any:
    from uuid import UUID

    return UUID(text)


def _read_decimal(text: str) -> Any:
    from decimal import Decimal

    return Decimal(text)


def _read_path(payload: list[str]) -> Any:
    import pathlib

    kind, text = payload
    return {
        "Path": pathlib.Path,
        "PurePosixPath": pathlib.PurePosixPath,
        "PureWindowsPath": pathlib.PureWindowsPath,
        "Folder": str,
        "System": str,  # for the cache alone: `codec.paths`
    }[kind](text)


def _read_fraction(pair: list[int]) -> Any:
    from fractions import Fraction

    return Fraction(*pair)


def _read_pattern(payload: list[Any]) -> Any:
    import re

    try:
        return re.compile(*payload)
    except re.error as error:
        from fanfold.codec.state_shapes import here

        raise CodecError(
            f"The pattern {payload[0]!r} is none for {here()}: {error}.",
            next_step="write it as both Pythons take it: newer ones refuse some of what older ones took.",
        ) from error


def _read_ip(payload: list[str]) -> Any:
    import ipaddress

    name, text = payload
    if not name.startswith("IPv"):
        raise ValueError(f"no address is a {name}")
    return getattr(ipaddress, name)(text)


def _read_ref(number: int) -> Any:
    from fanfold.codec.rebuild import Ref

    return Ref(number)


class _Same:
    """Stands for an argument that is one object with another one."""

    def __init__(self, name: str) -> None:
        self.name = name


def with_same(arguments: Any) -> Any:
    """The arguments of a call, with those that are one object with another made so."""
    for name, value in arguments.items() if type(arguments) is dict else ():
        if type(value) is _Same:
            arguments[name] = arguments[value.name]
    return arguments


UNTAG: dict[str, Callable[[Any], Any]] = {
    "$dict": lambda items: dict(_listed(items)),
    "$naming": lambda payload: payload[1],  # `path_cells`
    "$tuple": lambda items: tuple(_listed(items)),
    "$set": lambda items: set(_listed(items)),
    "$frozenset": lambda items: frozenset(_listed(items)),
    "$bytes": _bytes,
    "$bytearray": lambda data: bytearray(_listed(data, bytes)),
    "$float": float,
    "$int": lambda text: int(text, 16),
    "$str": lambda text: _bytes(text).decode("utf-8", "surrogatepass"),
    "$complex": lambda pair: complex(*pair),
    "$range": lambda bounds: range(*bounds),
    "$uuid": _read_uuid,
    "$decimal": _read_decimal,
    "$path": _read_path,
    "$slice": lambda bounds: slice(*bounds),
    "$constant": {"...": ..., "NotImplemented": NotImplemented}.__getitem__,
    "$fraction": _read_fraction,
    "$pattern": _read_pattern,
    "$ip": _read_ip,
    "$ref": _read_ref,
    "$same": _Same,
}
