"""Local copies of what a job's workers read: its source bundle, and large arguments, both named by their hash."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from fanfold.contract.layout import blob_key, bundle_key
from fanfold.errors import ResultDamaged
from fanfold.models import JobHeader
from fanfold.stores.protocols import ObjectStore

#: A reference to a large value as the codec writes it, also within text that is itself within JSON.
_BLOB = re.compile(r'\$blob\\*":\s*\[\\*"[^"\\]+\\*",\s*\\*"([0-9a-f]{64})')
#: Copies are kept for the next run until there is this much of them: a realtime environment has 512 MB of disk.
_KEPT_BYTES = 128 << 20


class Copies:
    """Files under `folder`, each fetched once and checked against its name."""

    def __init__(self, objects: ObjectStore, folder: Path) -> None:
        self._objects = objects
        self._bundles, self.blobs = folder / "udf", folder / "blobs"
        for place in (self._bundles, self.blobs):
            place.mkdir(parents=True, exist_ok=True)
        #: Of each bundle, the large values it refers to.
        self._named_by: dict[str, set[str]] = {}

    def bundle(self, header: JobHeader) -> Path:
        """The job's source bundle. What it and the job's constants refer to is here as well."""
        sha256 = header.bundle_sha256
        path = self._copy(bundle_key(sha256), self._bundles / sha256)
        if sha256 not in self._named_by:
            self._named_by[sha256] = set(_BLOB.findall(path.read_text("ascii")))
        self.fetch({*self._named_by[sha256], *_BLOB.findall(header.constants)})
        return path

    def fetch_for(self, arguments: str) -> None:
        """Have here what a run's arguments refer to."""
        if "$blob" in arguments:
            self.fetch(set(_BLOB.findall(arguments)))

    def fetch(self, names: Iterable[str]) -> None:
        """Have these large values here. What does not exist is passed over: it only looked like a reference."""
        for sha256 in names:
            with suppress(ResultDamaged):
                self._copy(blob_key(sha256), self.blobs / sha256)

    def tidy(self) -> None:
        """Between runs: remove all copies when there are very many bytes of them."""
        files = [file for place in (self._bundles, self.blobs) for file in place.iterdir()]
        if sum(file.stat().st_size for file in files) > _KEPT_BYTES:
            for file in files:
                file.unlink(missing_ok=True)

    def _copy(self, key: str, path: Path) -> Path:
        if path.exists():
            return path
        data = self._objects.get(key)
        if hashlib.sha256(data).hexdigest() != path.name:
            raise ResultDamaged(
                f"The object {key} is damaged: its bytes do not match their hash.", next_step="submit the job again."
            )
        part = path.with_suffix(f".{os.getpid()}")
        part.write_bytes(data)
        part.replace(path)  # never half there
        return path
