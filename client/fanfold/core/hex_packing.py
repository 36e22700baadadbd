"""Hashes and ids are hexadecimal text; as bytes they take half the room."""

from __future__ import annotations


def compact(text: str) -> bytes | str:
    """The bytes that `text` spells, or `text` itself where it is not hexadecimal or would come back otherwise."""
    try:
        packed = bytes.fromhex(text)
    except ValueError:
        return text
    return packed if packed.hex() == text else text


def compact_to(size: int, text: str) -> bytes:
    """The `size` bytes that `text` spells, or none where it spells something else."""
    packed = compact(text)
    return packed if isinstance(packed, bytes) and len(packed) == size else b""


def expand(stored: bytes | str) -> str:
    """The text that `compact` was given."""
    return stored.hex() if isinstance(stored, bytes) else stored
