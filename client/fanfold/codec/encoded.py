"""Encoded values, and the container that holds several of them."""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from fanfold.errors import CodecError

_LENGTH = struct.Struct("<Q")


class Encoded(NamedTuple):
    """A value's bytes, and the versioned codec that reads them, such as `json/1`."""

    codec: str
    data: bytes


def join_parts(parts: Sequence[bytes]) -> bytes:
    """One body of all `parts`, each after its length (8 bytes, little-endian)."""
    pieces: list[bytes] = []
    for part in parts:
        pieces += (_LENGTH.pack(len(part)), part)
    return b"".join(pieces)


def split_parts(data: bytes) -> list[bytes]:
    """The parts that `join_parts` joined. Raises `CodecError` where the body was cut short."""
    parts, at = [], 0
    while at < len(data):
        start = at + _LENGTH.size
        if start > len(data):
            raise damaged("parts/1", "it ends within a length")
        at = start + _LENGTH.unpack_from(data, at)[0]
        if at > len(data):
            raise damaged("parts/1", f"a part should end at byte {at:,}, the data ends at {len(data):,}")
        parts.append(bytes(data[start:at]))
    return parts


def damaged(codec: str, reason: object) -> CodecError:
    """The error for bytes that `codec` cannot read."""
    return CodecError(
        f"These bytes do not decode as {codec}: {reason}.",
        next_step="The stored value is damaged or cut short: `job.verify()` names it, a new submit makes it anew.",
    )
