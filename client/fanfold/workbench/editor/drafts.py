"""Drafts that the server keeps in the home, beside the browser's own copies.

What a browser keeps belongs to one address: a Workbench on another port, or another browser, would not find it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

from fastapi import HTTPException, Request, Response
from nicegui import Client, app

from fanfold.core.unfinished import write_privately
from fanfold.engines.feed import Heartbeat, is_alive
from fanfold.errors import FanfoldError, InputError

DRAFTS_PATH = "/workbench/drafts"
#: The longest draft that is taken: text, form and inputs. Of a longer one the browser sends all but the inputs.
MOST_BYTES = 4 << 20
#: As many drafts are kept, and as many bytes of them: the oldest go first.
_MOST, _MOST_TOGETHER = 500, 64 << 20
#: The longest first line that is read of a draft's file, and what it says in words.
_LINE_BYTES = 64 << 10
_TEXTS = ("id", "server", "base")
Draft = dict[str, Any]


class Drafts:
    """The drafts of all pages of a home, a file each, which this account alone may read.

    A draft belongs to a file and a tab: its id is the file's path, a `#`, and the tab's name. Its file begins with a
    line about it, so that to look for one none has to be read whole; what the browser has written follows as it is.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / "drafts"
        self._servers = self._folder / "servers"
        self._lock = Lock()
        self._heartbeat: Heartbeat | None = None
        #: The page that was seen last in each tab, by the name of the tab.
        self._pages: dict[str, str] = {}

    def keep(self, about: Draft, written: bytes) -> None:
        """Keep a draft. `about` has its `id`, when it was typed (`at`), and the text that it was typed over (`base`).

        Raises `InputError` for what is none, `OSError`, and `StoreError`.
        """
        path = self._path_of(about["id"])
        with self._lock:
            known = _about(path)
            if known is not None and known["at"] > about["at"]:
                return  # what is there was typed later: that request has overtaken this one
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._heartbeat is None:
                self._heartbeat = Heartbeat(self._servers)
            line = json.dumps({**about, "server": self._heartbeat.name})
            write_privately(path, line.encode() + b"\n" + written)
            self._make_room(path)

    def drop(self, draft_id: str) -> None:
        """Keep it no more. Raises `InputError` for what is no draft's id."""
        with self._lock:
            self._path_of(draft_id).unlink(missing_ok=True)

    def note_page(self, tab: str, page: str) -> None:
        """Note which page is in a tab."""
        self._pages[tab] = page

    def of_file(self, key: str) -> bytes:
        """The drafts of a file as JSON: each with its `id`, what was `kept`, and whether its tab is `open`."""
        return self._written(
            self._folder.glob(f"{_named(key)}-*.json"), lambda about: about["id"].startswith(f"{key}#")
        )

    def typed_over(self, base: str, folder: str) -> bytes:
        """The same of all files of a folder that were typed over a text of that digest."""
        own = self._folder.glob("*.json")
        return self._written(own, lambda about: about["base"] == base and about["id"].startswith(folder))

    def _written(self, paths: Iterable[Path], wanted: Callable[[Draft], bool]) -> bytes:
        found = []
        for path in paths:
            about = _about(path)
            if about is None or not wanted(about):
                continue
            with suppress(OSError):  # another server has dropped it
                kept = path.read_bytes().partition(b"\n")[2]
                known = json.dumps({"id": about["id"], "open": self._is_open(about)})
                found.append(known[:-1].encode() + b', "kept": ' + kept + b"}")
        return b"[" + b",".join(found) + b"]"

    def _is_open(self, about: Draft) -> bool:
        """Whether its tab is open, as far as this server can tell: of the tabs of another that is up, all may be."""
        if self._heartbeat is None or about["server"] != self._heartbeat.name:
            return is_alive(self._servers, about["server"])
        client = Client.instances.get(self._pages.get(about["id"].rpartition("#")[2], ""))
        return client is not None and client.has_socket_connection

    def _path_of(self, draft_id: str) -> Path:
        key, mark, _ = draft_id.rpartition("#")
        if not mark:
            raise InputError(f"{draft_id!r} names no draft.", next_step="name a file and a tab.")
        return self._folder / f"{_named(key)}-{_named(draft_id)}.json"

    def _make_room(self, newest: Path) -> None:
        """Drop the oldest. What has just come stays: a clock does not tell it from what came right before."""
        kept = []
        for path in self._folder.glob("*.json"):
            with suppress(FileNotFoundError):  # another server has dropped it
                kept.append((path == newest, path.stat().st_mtime, path.stat().st_size, path))
        kept.sort(reverse=True)
        together = 0
        for place, (_, _, size, path) in enumerate(kept):
            together += size
            if place >= _MOST or together > _MOST_TOGETHER:
                path.unlink(missing_ok=True)


def _named(key: str) -> str:
    """A name for a file that says nothing of what it is the name for."""
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _about(path: Path) -> Draft | None:
    """The first line of a draft; None where there is none, or what cannot be one."""
    try:
        with path.open("rb") as file:
            about: Draft = json.loads(file.readline(_LINE_BYTES))
        is_one = isinstance(about["at"], (int, float)) and all(isinstance(about[one], str) for one in _TEXTS)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return about if is_one else None


def add_draft_routes(drafts: Drafts) -> None:
    """Tell the application where pages leave their drafts, and find those of others."""

    @app.get(DRAFTS_PATH)
    async def found(key: str, tab: str, page: str) -> Response:
        drafts.note_page(tab, page)
        return Response(await asyncio.to_thread(drafts.of_file, key), media_type="application/json")

    @app.get(f"{DRAFTS_PATH}/typed-over/{{base}}")
    async def moved(base: str, folder: str) -> Response:
        return Response(await asyncio.to_thread(drafts.typed_over, base, folder), media_type="application/json")

    @app.post(DRAFTS_PATH, status_code=204)
    async def keep(request: Request, id: str, at: float, base: str = "") -> None:
        written = bytearray()
        async for part in request.stream():
            written += part
            if len(written) > MOST_BYTES:
                raise HTTPException(413, "This draft is too long to be kept by the server.")
        try:
            await asyncio.to_thread(drafts.keep, {"id": id, "at": at, "base": base}, bytes(written))
        except (OSError, FanfoldError) as error:
            raise HTTPException(409, f"The draft cannot be kept: {error}") from error

    @app.delete(DRAFTS_PATH, status_code=204)
    async def drop(id: str) -> None:
        try:
            await asyncio.to_thread(drafts.drop, id)
        except (OSError, FanfoldError) as error:
            raise HTTPException(409, f"The draft cannot be dropped: {error}") from error
