"""Who may talk to the page: a browser on this machine that was given this start's token.

A server on 127.0.0.1 is reached by every web page that the user has open (by name rebinding, or by a form or socket of
another origin), and by every other account on the machine. So each request and each socket, and with it every action,
has to name this address as its host, come from it where it says where from, and carry the token.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_READING = ("GET", "HEAD")

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
    """What lets a browser in: the token of this start, and the addresses that the page goes by."""

    def __init__(self, port: int, token: str | None = None) -> None:
        self.token = token or secrets.token_urlsafe(24)
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
            return "Open the address that `fanfold workbench` has printed: it carries the token that lets you in."
        return ""

    def _is_own(self, origin: str) -> bool:
        return origin in {f"http://{host}" for host in self._pass.hosts}

    def _cookie_of(self, headers: dict[str, str]) -> str | None:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self._pass.cookie)
        except CookieError:
            return None
        return found.value if found is not None and self._pass.knows(found.value) else None

    def _set_cookie(self) -> str:
        # Lax, not Strict: a link in another page, such as a terminal in the browser, would arrive without it.
        return f"{self._pass.cookie}={self._pass.token}; HttpOnly; SameSite=Lax; Path=/"


def _token_in(scope: Scope) -> str | None:
    found = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token")
    return found[0] if found else None


async def _refuse(scope: Scope, receive: Receive, send: Send, why: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": why[:120]})
    else:
        await _send(send, 403, f"{why}\n", {})


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
