"""Inputs that a browser sends for one job: written to a file of their own, read by the process that submits them."""

from __future__ import annotations

import tempfile
import uuid
from collections import OrderedDict
from pathlib import Path

from fastapi import HTTPException, Request
from nicegui import app

#: As many bytes as are taken; inputs beyond that belong in a script.
MOST_BYTES = 512 << 20
#: As many uploads as are kept: the oldest goes first.
_KEPT = 16


class Uploads:
    """What was sent, by the id that the browser was given for it. Only this account may read it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="fanfold-inputs-")  # mode 0700
        self._by_id: OrderedDict[str, tuple[Path, str]] = OrderedDict()

    def path_of(self, upload: str) -> tuple[Path, str] | None:
        """The file that holds an upload, and the name it was sent under; None where it is gone."""
        return self._by_id.get(upload)

    async def take(self, request: Request, name: str) -> str:
        """Write a request's body to a file and return its id. Raises 413 where it is too large."""
        upload = uuid.uuid4().hex
        path = Path(self._folder.name) / upload
        size = 0
        with path.open("wb") as file:
            async for part in request.stream():
                size += len(part)
                if size > MOST_BYTES:
                    path.unlink()
                    limit = f"More than {MOST_BYTES >> 20} MB of inputs."
                    raise HTTPException(413, f"{limit} Submit them from a script with fanfold.submit.")
                file.write(part)
        self._by_id[upload] = (path, Path(name).name)
        while len(self._by_id) > _KEPT:
            _, (oldest, _) = self._by_id.popitem(last=False)
            oldest.unlink(missing_ok=True)
        return upload


def add_upload_route(uploads: Uploads, path: str) -> None:
    """Take inputs at this address."""

    @app.post(path)
    async def inputs(request: Request, name: str = "") -> dict[str, str]:
        return {"upload": await uploads.take(request, name)}
