"""Who may talk to the page: a browser on this machine that was given this start's token.

A server on 127.0.0.1 is reached by every web page that the user has open (by name rebinding, or by a form or socket of
another origin), and by every other account on the machine. So each request and each socket, and with it every action,
has to name this address as its host, come from it where it says where from, and carry the token.
"""

from __future__ import annotations

import hmac
import html
import os
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_READING = ("GET", "HEAD")
_HOW_TO_GET_IN = (
    "This browser is not let in, or the token in the address is of an earlier start. "
    "Open the address that `fanfold workbench` printed when it started; where it no longer runs, start it again."
)

#: Nothing is fetched from, sent to or framed by any other place. NiceGUI compiles its templates in the browser.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; frame-ancestors 'none'; form-action 'self'; base-uri 'self'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Pass:
    """What lets a browser in: the token of this start, and the addresses that the page goes by.

    A browser that was let in keeps a cookie, which is signed with `secret`: where that is the same at the next start,
    a page that is open comes back by itself.
    """

    def __init__(self, port: int, secret: bytes | None = None) -> None:
        self.token = secrets.token_urlsafe(24)
        self.cookie_value = hmac.new(
            secret or secrets.token_bytes(32), f"fanfold {port}".encode(), "sha256"
        ).hexdigest()
        self.hosts = (f"127.0.0.1:{port}", f"localhost:{port}")
        #: Cookies do not tell ports apart; two Workbenches on one machine must not take each other's.
        self.cookie = f"fanfold_{port}"

    @property
    def address(self) -> str:
        """What the user opens."""
        return f"http://{self.hosts[0]}/?token={self.token}"

    def knows(self, token: str | None) -> bool:
        """Whether this is the token, compared in a time that does not tell how much of it is right."""
        return token is not None and hmac.compare_digest(token.encode(), self.token.encode())

    def has_signed(self, cookie: str) -> bool:
        """Whether this is the cookie of a browser that was let in."""
        return hmac.compare_digest(cookie.encode(), self.cookie_value.encode())


def cookie_secret(home: Path) -> bytes:
    """What signs cookies, the same at each start: in a file that this account alone may read."""
    path = home / "workbench-cookie-secret"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        os.chmod(path, 0o600)
        kept = path.read_bytes()
        return kept if len(kept) >= 32 else secrets.token_bytes(32)
    with os.fdopen(descriptor, "wb") as file:
        made = secrets.token_bytes(32)
        file.write(made)
    return made


class Auth:
    """Stands before the whole application, sockets included."""

    def __init__(self, app: Application, admission: Pass) -> None:
        self._app = app
        self._pass = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, turn it away, or put the token of the first visit into a cookie."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal:
            await _refuse(scope, receive, send, refusal)
        elif self._cookie_of(headers) is None:
            await _send(send, 303, "", {"location": scope["path"], "set-cookie": self._set_cookie()})
        else:
            await self._app(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> str:
        if headers.get("host") not in self._pass.hosts:
            return "This page goes by 127.0.0.1 and localhost only."
        origin = headers.get("origin")
        reading = scope["type"] == "http" and scope["method"] in _READING
        if (origin is None and not reading) or (origin is not None and not self._is_own(origin)):
            return "Another page may not do this."
        if self._cookie_of(headers) is None and not (reading and self._pass.knows(_token_in(scope))):
            return _HOW_TO_GET_IN
        return ""

    def _is_own(self, origin: str) -> bool:
        return origin in {f"http://{host}" for host in self._pass.hosts}

    def _cookie_of(self, headers: dict[str, str]) -> str | None:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self._pass.cookie)
        except CookieError:
            return None
        return found.value if found is not None and self._pass.has_signed(found.value) else None

    def _set_cookie(self) -> str:
        # Lax, not Strict: a link in another page, such as a terminal in the browser, would arrive without it.
        return f"{self._pass.cookie}={self._pass.cookie_value}; HttpOnly; SameSite=Lax; Path=/"


def _token_in(scope: Scope) -> str | None:
    found = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token")
    return found[0] if found else None


async def _refuse(scope: Scope, receive: Receive, send: Send, why: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": why[:120]})
    else:
        await _send(send, 403, _page(why), {"content-type": "text/html; charset=utf-8"})


def _page(why: str) -> str:
    """A page of its own, for the application's is behind this door."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<title>Not let in · Fanfold</title><style>body{font:16px/1.5 system-ui,sans-serif;max-width:34em;"
        "margin:12vh auto;padding:0 20px;color-scheme:light dark}code{font-size:.95em}</style>"
        f"<main><h1>Fanfold does not let this in</h1><p>{html.escape(why)}</p>"
        "<p>To start it: <code>fanfold workbench</code></p></main></html>"
    )


async def _send(send: Send, status: int, text: str, more: dict[str, str]) -> None:
    headers = {"content-type": "text/plain; charset=utf-8", "cache-control": "no-store", **_HEADERS, **more}
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": text.encode()})


def _with_headers(send: Send) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            own = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
            message["headers"] = [*message.get("headers", ()), *own]
        await send(message)

    return sending
