"""What the browser asks for travels compressed: a page is looked at through a tunnel as well, from another machine.

Its scripts, of two megabytes, would take forty seconds at 60 kB/s. They are compressed once for as long as the server
runs, and everything in a thread: the loop that serves all viewers pays for none of it.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import MutableMapping
from typing import Any

from fanfold.workbench.auth import Application, Receive, Scope, Send

#: Files of NiceGUI, whose addresses hold its version: they never change.
_LASTING = "/_nicegui/"
_KINDS = ("text/html", "text/css", "text/javascript", "application/javascript", "application/json")
#: What is shorter fits into a packet or two as it is.
_LEAST_BYTES = 2_000
#: How hard it is tried, of 9: what lasts is tried harder.
_QUICKLY, _WELL = 3, 6

Headers = list[tuple[bytes, bytes]]


class Compressed:
    """ASGI middleware: pages, scripts, styles and JSON as gzip, for browsers that take it."""

    def __init__(self, app: Application) -> None:
        self._app = app
        #: By their addresses, what lasts: the headers and the bytes.
        self._lasting: dict[str, tuple[Headers, bytes]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with what is held, or compress what the application answers."""
        if not _is_taken(scope):
            await self._app(scope, receive, send)
            return
        lasts = scope["path"].startswith(_LASTING) and not scope["query_string"]
        held = self._lasting.get(scope["path"]) if lasts else None
        if held is not None:
            await _send(send, *held)
            return
        answer = _Answer(send)
        await self._app(scope, receive, answer.take)
        if answer.body is not None:
            data = await asyncio.to_thread(gzip.compress, bytes(answer.body), _WELL if lasts else _QUICKLY, mtime=0)
            headers = _compressed_headers(answer.headers, len(data))
            if lasts:
                self._lasting[scope["path"]] = (headers, data)
            await _send(send, headers, data)


class _Answer:
    """What the application answers: held back where it is to be compressed, else passed on as it comes."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.headers: Headers = []
        #: The whole body, at the end; None where the answer was passed on.
        self.body: bytearray | None = None

    async def take(self, message: MutableMapping[str, Any]) -> None:
        """One message of the application's."""
        if message["type"] == "http.response.start":
            self.headers = list(message["headers"])
            if message["status"] == 200 and _is_worth_it(dict(self.headers)):
                self.body = bytearray()
                return
        elif self.body is not None and message["type"] == "http.response.body":
            self.body += message.get("body", b"")
            return
        await self._send(message)


def _is_taken(scope: Scope) -> bool:
    """Whether the browser takes an answer that is compressed, and the whole of it."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    headers = dict(scope["headers"])
    conditions = (b"range", b"if-none-match", b"if-modified-since")
    return b"gzip" in headers.get(b"accept-encoding", b"") and not any(name in headers for name in conditions)


def _is_worth_it(headers: dict[bytes, bytes]) -> bool:
    """Whether an answer is text of some length, and neither a file to be saved nor one that comes bit by bit."""
    kind = headers.get(b"content-type", b"").partition(b";")[0].decode()
    length = int(headers.get(b"content-length", b"0"))
    is_plain = b"content-encoding" not in headers and b"content-disposition" not in headers
    return kind in _KINDS and length >= _LEAST_BYTES and is_plain


def _compressed_headers(headers: Headers, length: int) -> Headers:
    kept = [(name, value) for name, value in headers if name not in (b"content-length", b"etag", b"accept-ranges")]
    more = {b"content-encoding": b"gzip", b"content-length": str(length).encode(), b"vary": b"accept-encoding"}
    return [*kept, *more.items()]


async def _send(send: Send, headers: Headers, data: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": data})
