"""The bytes between a pool and its workers: one datagram a message, a head on a line of its own, then a body.

Imported by workers: nothing but json and os here.
"""

import json
import os
from typing import Any

#: Longest message that is sent as it is; longer arguments go through a file. Half of Linux's default socket buffer.
MESSAGE_BYTES = 96 * 1024


def pack_call(number: int, index: int, assignment: int, arguments: bytes, *, spilled: bool = False) -> bytes:
    """A call on its way to a worker; `spilled` where its arguments are in a file instead."""
    return b"%d %d %d %d\n%b" % (number, index, assignment, spilled, arguments)


def unpack_call(message: bytes) -> tuple[int, int, int, bool, bytes]:
    """Number, index, assignment, whether the arguments are in a file, and the arguments."""
    head, _, arguments = message.partition(b"\n")
    number, index, assignment, spilled = map(int, head.split())
    return number, index, assignment, bool(spilled), arguments


_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_decode = json.JSONDecoder().decode


def pack(head: Any, body: bytes = b"") -> bytes:
    """An answer on its way to the pool."""
    return _encode(head).encode() + b"\n" + body


def unpack(message: bytes) -> tuple[Any, bytes]:
    """The head and the body of an answer."""
    head, _, body = message.partition(b"\n")
    return _decode(head.decode()), body


def receive(fd: int) -> bytes:
    """The next whole message on `fd`; empty where the other side is gone."""
    return os.read(fd, 2 * MESSAGE_BYTES)
