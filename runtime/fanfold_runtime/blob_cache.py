"""Local copies of what a job's workers read: its source bundle, and large arguments, both named by their hash."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from fanfold.core.models import EnvironmentRecord, JobHeader, to_event
from fanfold.environments.lock import lock_from_text
from fanfold.environments.unpack import Environments
from fanfold.errors import FanfoldError, ResultDamaged, StoreFull
from fanfold.source.load import environment_of
from fanfold.stores.keys import blob_key, blob_reader, bundle_key
from fanfold.stores.protocols import EventLog, ObjectStore
from fanfold_runtime.context import make_folder

#: A reference to a large value as the codec writes it, also within text that is itself within JSON.
#: Another job's result has its key beside it.
_BLOB = re.compile(
    r'\$blob\\*":\s*\[\\*"[^"\\]+\\*",\s*\\*"([0-9a-f]{64})(?:\\*",\s*\\*"(results/[0-9a-f]{64}/[0-9a-f]{64}))?'
)
#: BlobCache are kept for the next run until there is this much of them: a realtime environment has 512 MB of disk.
_KEPT_BYTES = 128 << 20
_BLOCK_BYTES = 16 << 20
#: Two writes within a tick of the kernel's clock (10 ms at most) leave a file with the same times: a UDF that begins
#: right after its argument was fetched would change it unseen. What was written so short ago is compared again.
_TICK_NS = 50_000_000
#: Environments that no run uses are kept for the next one until there is this much of them, and room on the disk.
_KEPT_ENVIRONMENT_BYTES = 8 << 30


class BlobCache:
    """Files under `folder`, each fetched once, and checked against its name before every use."""

    def __init__(self, objects: ObjectStore, folder: Path) -> None:
        self._objects = objects
        self._bundles, self.blobs = folder / "udf", folder / "blobs"
        for place in (self._bundles, self.blobs):
            make_folder(place)
        #: Of each bundle, the large values it refers to.
        self._named_by: dict[str, set[str]] = {}
        #: How each copy was when it was last checked.
        self._checked: dict[str, tuple[int, int, int]] = {}
        #: What every run of the job that was asked for last needs.
        self._of_job: set[str] = set()
        #: The environment that was made last, until somebody has told of it.
        self.made: EnvironmentRecord | None = None
        self._environments = Environments(folder / "environments", kept_bytes=_KEPT_ENVIRONMENT_BYTES, hold_all=False)

    def interpreter(self, header: JobHeader) -> str:
        """What starts workers that have the packages which the job's UDF brings along; empty where it brings none.

        An owner's environments are the owner's: runs are performed as the user who can write to them. Raises
        `StoreFull`, and `ResultDamaged` for wheels that are not those of the lock.
        """
        text = environment_of(self.bundle(header).read_bytes())
        if not text:
            return ""
        lock = lock_from_text(text)
        python = self._environments.interpreter(lock, blob_reader(self._objects), owner=header.owner)
        if self._environments.making_s:
            name = f"{lock.id[:12]}-{os.urandom(4).hex()}"  # each worker's is a record of its own
            self.made = EnvironmentRecord(name, round(self._environments.making_s, 3))
        return python

    def tell_of_environment(self, header: JobHeader, log: EventLog) -> None:
        """Record what making the environment took, where one was made. A run does not fail of it."""
        made, self.made = self.made, None
        if made is not None:
            with suppress(FanfoldError):
                log.append([to_event(header.id, made)])

    def bundle(self, header: JobHeader) -> Path:
        """The job's source bundle. What it and the job's constants refer to is here as well. Raises `StoreFull`."""
        sha256 = header.current_bundle_sha256
        self._of_job = {sha256}
        path = self._copy(bundle_key(sha256), self._bundles / sha256)
        if sha256 not in self._named_by:
            self._named_by[sha256] = {name for name, _ in _BLOB.findall(path.read_text("ascii"))}
        self.fetch(self._named_by[sha256])
        self._of_job |= self._named_by[sha256] | self.fetch_for(header.constants)
        return path

    def fetch_for(self, arguments: str) -> set[str]:
        """Have here what a run's arguments refer to, and say which that is. Raises `StoreFull`."""
        found = set(_BLOB.findall(arguments)) if "$blob" in arguments else set()
        self.fetch(key or name for name, key in found)
        return {name for name, _ in found}

    def fetch(self, names: Iterable[str]) -> None:
        """Have these large values here, by hash or key. What does not exist is passed over: it only looked like one."""
        for name in names:
            with suppress(ResultDamaged):
                self._copy(blob_key(name), self.blobs / name.rpartition("/")[2])

    def tidy(self, in_use: Collection[str] = (), *, above_bytes: int = _KEPT_BYTES) -> None:
        """Remove copies that no run `in_use` and not all of the job's need, where there is more of all than that."""
        files = [file for place in (self._bundles, self.blobs) for file in place.iterdir()]
        if sum(file.stat().st_size for file in files) > above_bytes:
            for file in (file for file in files if file.name not in self._of_job and file.name not in in_use):
                file.unlink(missing_ok=True)

    def _is_intact(self, path: Path) -> bool:
        """Whether the copy is there as it was fetched: UDFs run as the same user, and can write to it."""
        try:
            state = _state(path)
            if self._checked.get(path.name) != state:
                if _hash_of(path) != path.name:
                    return False  # it is fetched anew
                self._note(path.name, state)
        except FileNotFoundError:
            return False
        return True

    def _note(self, name: str, state: tuple[int, int, int]) -> None:
        """Note how a copy was when it was checked, unless it may be written to and still look the same."""
        if time.time_ns() - state[2] > _TICK_NS:
            self._checked[name] = state

    def _copy(self, key: str, path: Path) -> Path:
        if self._is_intact(path):
            return path
        part = path.with_suffix(f".{os.getpid()}")
        try:
            sha256 = self._download(key, part)
            if sha256 != path.name:
                raise ResultDamaged(
                    f"The object {key} is damaged: its bytes do not match their hash.",
                    next_step="submit the job again.",
                )
            part.replace(path)  # never half there
        except OSError as error:
            raise StoreFull(
                f"There is no room for {key} in {path.parent}: {error.strerror}.",
                next_step="make its arguments smaller, or deploy with more disk (realtime_disk_mib, disk_size_gb).",
            ) from error
        finally:
            part.unlink(missing_ok=True)  # what there is of it takes room that others need
        return path

    def _download(self, key: str, part: Path) -> str:
        """Write an object to a file, a block at a time: its memory is the runs'. Its hash."""
        digest, at = hashlib.sha256(), 0
        with part.open("wb") as file:
            while True:
                block = self._objects.get_range(key, at, at + _BLOCK_BYTES)
                digest.update(block)
                file.write(block)
                at += len(block)
                if len(block) < _BLOCK_BYTES:
                    return digest.hexdigest()


def _state(path: Path) -> tuple[int, int, int]:
    """What changes where anyone writes to a file: of its times, the one that nobody can set."""
    facts = path.stat()
    return facts.st_ino, facts.st_size, facts.st_ctime_ns


def _hash_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
