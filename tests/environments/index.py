"""An index of packages for tests: a file server with tiny wheels, which refuses or damages what it is told to."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

#: https://peps.python.org/pep-0691/
_JSON = "application/vnd.pypi.simple.v1+json"
_HEAD = {"meta": {"api-version": "1.0"}}


def make_wheel(folder, name, version, files=None, *, requires=(), tag="py3-none-any"):
    """A wheel with these files (text or bytes by path); by default a module of its name that knows its version."""
    files = files or {f"{name}.py": f"VERSION = {version!r}\n"}
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    metadata += [f"Requires-Dist: {each}" for each in requires]
    members = {
        **files,
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{info}/RECORD": "",
    }
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return path


class Index:
    """Serves the wheels of a folder. `log` has what was asked for, `fetched` the wheels, without uv's own looks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.log: list[str] = []
        self.fetched: list[str] = []
        self._uploaded: dict[str, str | None] = {}
        #: What all requests are answered with, and what is appended to each wheel.
        self.refuses_with = 0
        self.damage = b""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/simple/"

    def add(self, name, version, files=None, *, uploaded=None, **more):
        """`uploaded`: when, as the index tells it."""
        made = make_wheel(self.folder, name, version, files, **more)
        self._uploaded[made.name] = uploaded
        return made

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, path):
        parts = path.strip("/").split("/")
        if parts[0] == "files":
            file = self.folder / parts[1].removesuffix(".metadata")
            return file.read_bytes() + self.damage if file.exists() and not parts[1].endswith(".metadata") else None
        every = sorted(self.folder.glob("*.whl"))
        wheels = [one for one in every if one.name.split("-")[0].replace("_", "-") == parts[1]]
        return (
            json.dumps({**_HEAD, "name": parts[1], "files": [self._listed(one) for one in wheels]}) if wheels else None
        )

    def _listed(self, path):
        data, uploaded = path.read_bytes(), self._uploaded.get(path.name)
        return {
            "filename": path.name,
            "url": f"/files/{path.name}",
            "hashes": {"sha256": hashlib.sha256(data).hexdigest()},
            "size": len(data),
            **({"upload-time": uploaded} if uploaded else {}),
        }

    def _handler(self):
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body = index._answer(self.path)
                body = body.encode() if isinstance(body, str) else body
                index.log.append(self.path)
                if self.headers["User-Agent"].startswith("Python-urllib"):
                    index.fetched.append(self.path.rsplit("/", 1)[1])
                status = index.refuses_with or (200 if body is not None else 404)
                body = body if status == 200 else b""
                self.send_response(status)
                self.send_header("Content-Type", _JSON if self.path.startswith("/simple") else "application/zip")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            def do_HEAD(self):
                self.do_GET()

            def log_message(self, *_):
                pass

        return Handler


@pytest.fixture
def index(tmp_path, monkeypatch):
    """An index with nothing in it yet, and pip's settings pointing at it alone."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    found = Index(tmp_path / "index")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", found.address)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    yield found
    found.close()
