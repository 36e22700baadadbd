"""Bringing wheels into the object store: each once for everybody, under the hash that its index gives it.

What is known of a wheel (its modules, what it takes unpacked, which system libraries it needs) is kept beside it, so
that the next caller who asks for it need not fetch it.
"""

from __future__ import annotations

import hashlib
import json
import ssl
import urllib.error
import urllib.request
import zipfile
from base64 import b64encode
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Protocol
from urllib.parse import unquote, urlsplit

from fanfold.contract.records import NamedTuple
from fanfold.environments.indexes import Indexes, without_passwords
from fanfold.environments.libraries import needed_libraries
from fanfold.environments.lock import Lock, Wheel
from fanfold.environments.resolve import Target, WheelSource
from fanfold.errors import ConfigurationError, InputError, ResultDamaged

_FETCHES = 8
_BLOCK_BYTES = 1 << 20
#: More small wheels than this go as one object: a request each would take longer than their bytes.
_MANY, _SMALL_BYTES = 16, 1 << 20
_TIMEOUT_S = 60.0


class WheelStore(Protocol):
    """Where wheels are kept: bytes by a name, which is the hash of a wheel, or that and what it is of the wheel."""

    def exists(self, name: str) -> bool: ...  # noqa: D102
    def get(self, name: str) -> bytes: ...  # noqa: D102
    def put(self, name: str, data: bytes) -> None: ...  # noqa: D102
    def put_file(self, name: str, path: Path) -> None: ...  # noqa: D102


class Facts(NamedTuple):
    """What is known of a wheel: top-level modules, bytes unpacked, system libraries it needs, and those it brings."""

    size: int
    unpacked: int
    modules: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    brings: tuple[str, ...] = ()


class Stored(NamedTuple):
    """A lock whose wheels are in the object store, and what is known of each by package."""

    lock: Lock
    facts: dict[str, Facts]


def store(sources: Sequence[WheelSource], target: Target, indexes: Indexes, blobs: WheelStore, scratch: Path) -> Stored:
    """Have these wheels in the object store. Raises `ConfigurationError` where the index does not give one."""
    small = [one for one in sources if 0 < one.size <= _SMALL_BYTES]
    packed = small if len(small) > _MANY else []
    with TemporaryDirectory(prefix="wheels-", dir=scratch) as folder, ThreadPoolExecutor(_FETCHES) as threads:
        depot = _Depot(blobs, indexes, Path(folder))
        pack = _pack_name(packed)
        if packed and not blobs.exists(pack):
            for _ in threads.map(depot.fetch, packed):
                pass
            depot.put_pack(pack, packed)
        single = [one for one in sources if one not in packed]
        facts = dict(zip(single, threads.map(depot.have, single), strict=True))
        facts |= dict(zip(packed, threads.map(depot.facts, packed), strict=True))
    offsets, at = {}, 0
    for one in packed:
        offsets[one] = at
        at += one.size
    wheels = tuple(
        Wheel(
            one.name,
            one.version,
            one.file,
            one.sha256,
            facts[one].size,
            *((pack, offsets[one]) if one in offsets else ()),
        )
        for one in sources
    )
    lock = Lock(target.python, target.platform, wheels, sum(each.unpacked for each in facts.values()))
    return Stored(lock, {one.name: each for one, each in facts.items()})


def _pack_name(packed: Sequence[WheelSource]) -> str:
    return hashlib.sha256("".join(one.sha256 for one in packed).encode()).hexdigest()


class _Depot:
    """Where wheels are kept, and where they come from."""

    def __init__(self, blobs: WheelStore, indexes: Indexes, folder: Path) -> None:
        self._blobs, self._indexes, self._folder = blobs, indexes, folder

    def have(self, source: WheelSource) -> Facts:
        """Have a wheel in the store as an object of its own; what is known of it."""
        if not self._blobs.exists(source.sha256):
            path = self.fetch(source)
            facts = self._note(source, path)
            self._blobs.put_file(source.sha256, path)
            return facts
        return self.facts(source)

    def facts(self, source: WheelSource) -> Facts:
        """What is known of a wheel, fetched where nothing is."""
        try:
            said = json.loads(self._blobs.get(_facts_key(source)))
        except ResultDamaged:
            return self._note(source, self.fetch(source))
        return Facts(*said[:2], *map(tuple, said[2:]))

    def fetch(self, source: WheelSource) -> Path:
        """The wheel's file, here, checked."""
        path = self._folder / source.sha256
        if path.exists():
            return path
        digest = hashlib.sha256()
        try:
            with self._open(source.address) as answer, path.open("wb") as file:
                while block := answer.read(_BLOCK_BYTES):
                    digest.update(block)
                    file.write(block)
        except (urllib.error.URLError, TimeoutError, ConnectionError, FileNotFoundError) as error:
            raise _refused(source, error) from error
        if digest.hexdigest() != source.sha256:
            raise ConfigurationError(
                f"The index gives other bytes for {source.file} than it says: their hash is not the lock's.",
                next_step="call again; if it stays so, the index or what stands between is damaged.",
            )
        return path

    def put_pack(self, name: str, packed: Sequence[WheelSource]) -> None:
        """Put wheels that have been fetched into one object."""
        path = self._folder / name
        with path.open("wb") as file:
            for one in packed:
                self._note(one, self._folder / one.sha256)
                file.write((self._folder / one.sha256).read_bytes())
        self._blobs.put_file(name, path)

    def _note(self, source: WheelSource, path: Path) -> Facts:
        facts = facts_of(path)
        self._blobs.put(_facts_key(source), json.dumps(facts).encode())
        return facts

    def _open(self, address: str) -> IO[bytes]:
        if "://" not in address:
            return Path(address).open("rb")
        if address.startswith("file:"):
            return Path(unquote(urlsplit(address).path)).open("rb")
        request = urllib.request.Request(address)  # noqa: S310  an address that uv found in the index
        if (known := self._indexes.credentials(address)) is not None:
            request.add_header("Authorization", "Basic " + b64encode(":".join(known).encode()).decode())
        context = ssl.create_default_context(cafile=self._indexes.certificates or None)
        opened: IO[bytes] = urllib.request.urlopen(request, timeout=_TIMEOUT_S, context=context)  # noqa: S310
        return opened


def _facts_key(source: WheelSource) -> str:
    return f"{source.sha256}.facts"


def _refused(source: WheelSource, error: Exception) -> ConfigurationError:
    said = without_passwords(str(error))
    host = urlsplit(source.address).hostname or "the index"
    step = "check the network, and call again."
    if isinstance(error, urllib.error.HTTPError):
        error.close()  # it is the answer as well, and holds the connection
        if error.code in (401, 403):
            step = "give its user and password, in pip.conf, PIP_INDEX_URL or the netrc file."
    return ConfigurationError(f"{source.file} could not be fetched from {host}: {said}.", next_step=step)


def facts_of(path: Path) -> Facts:
    """What a wheel's file says of itself. Raises `InputError` where it is none."""
    modules, needs, brings, unpacked = set(), set(), set(), 0
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                unpacked += member.file_size
                modules.add(_module(member.filename))
                if ".so" in (name := member.filename.rsplit("/", 1)[-1]):
                    brings.add(name)
                    needs.update(needed_libraries(archive.read(member)))
    except zipfile.BadZipFile as error:
        raise InputError(f"{path.name} is not a wheel: {error}.", next_step="build it again.") from error
    return Facts(path.stat().st_size, unpacked, _sorted(modules - {""}), _sorted(needs), _sorted(brings))


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names))


def _module(member: str) -> str:
    """The top-level module that a file of a wheel belongs to; empty for what is no module."""
    parts = member.split("/")
    if parts[0].endswith(".data"):
        parts = parts[2:] if parts[1:2] in (["purelib"], ["platlib"]) else [""]
    if not parts or parts[0].endswith(".dist-info"):
        return ""
    name = parts[0].partition(".")[0]
    return name if name.isidentifier() and (len(parts) > 1 or parts[0].endswith((".py", ".so"))) else ""
