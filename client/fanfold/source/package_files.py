"""The files beside a project's modules, which `importlib.resources` and `pkgutil.get_data` read: they travel as well.

They are packed only where code that travels asks for one of these two. A `program` is a bundle as `load` has it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from io import BytesIO
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, Path, ZipFile, ZipInfo

from fanfold.codec import encode_json

if sys.version_info >= (3, 11):
    from importlib.resources.abc import TraversableResources
else:
    from importlib.abc import TraversableResources

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fanfold.source.graph import Graph

#: What a package may have beside its modules for all of it to travel: bytes, and files.
MOST_BYTES = 16 << 20
MOST_FILES = 2_000
#: Modules travel by themselves, and what is compiled is of this machine.
_NO_FILES = (".py", ".pyc", ".pyo", ".pyi", ".so", ".pyd", ".dylib")
_NO_FOLDERS = frozenset({"__pycache__", "node_modules"})


def pack_all(
    packages: Mapping[str, Iterable[str]], graph: Graph
) -> tuple[dict[str, str], list[tuple[str, str]], list[str]]:
    """The files of packages, given with their folders, as the codec's texts; their hashes; whose are too many."""
    texts, hashes, left = {}, [], []
    for package, folders in packages.items():
        packed = pack(folders)
        if packed is None:
            left.append(package)
        elif packed:
            graph.note_lane("value", package, "the files beside its modules", len(packed))
            texts[package] = encode_json(packed, put_blob=graph.put_blob)
            hashes.append((package, sha256(packed).hexdigest()))
    return texts, hashes, left


def pack(folders: Iterable[str]) -> bytes | None:
    """All files below a package's folders as a zip, of equal bytes for equal files; None where they are too many."""
    found: dict[str, bytes] = {}
    size = 0
    for folder in folders:
        for path in _paths(folder):
            size += os.path.getsize(path)
            if size > MOST_BYTES or len(found) == MOST_FILES:
                return None
            with open(path, "rb") as file:
                found.setdefault(os.path.relpath(path, folder).replace(os.sep, "/"), file.read())
    packed = BytesIO()
    with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
        for name, data in sorted(found.items()):
            archive.writestr(ZipInfo(name), data, ZIP_DEFLATED)
    return packed.getvalue() if found else b""


def _paths(folder: str) -> Iterator[str]:
    from fanfold.core.matches import files_below

    for path in files_below(folder, lambda name: name not in _NO_FOLDERS and not name.startswith(".")):
        name = os.path.basename(path)
        if not name.endswith(_NO_FILES) and not name.startswith(".") and os.path.isfile(path):
            yield path


class PackageReader(TraversableResources):
    """What `importlib.resources` reads a package's files by; Python 3.10 calls the methods of its base."""

    def __init__(self, root: Callable[[], Any]) -> None:
        self._root = root

    def files(self) -> Any:
        """The folder of the package."""
        return self._root()


def reader(program: Any, package: str) -> PackageReader:
    """The files of a package: those that have travelled, else this machine's."""
    top, _, below = package.partition(".")
    archive = _archives(program).get(top)
    if archive is None:
        from pathlib import Path as Folder

        source = program.project.get(package)
        path = source.path if source else str(sys.modules[package].__file__)
        return PackageReader(Folder(path).parent.absolute)
    return PackageReader(lambda: Path(archive, below.replace(".", "/") + "/" if below else ""))


def read(program: Any, path: str) -> bytes:
    """The bytes of a file beside a module, for `pkgutil`. Raises `OSError` where there is none."""
    for top, archive in _archives(program).items():
        root = os.path.dirname(program.project[top].path)
        name = os.path.relpath(path, root).replace(os.sep, "/") if root else ""
        if name in archive.namelist():
            return archive.read(name)
    with open(path, "rb") as file:
        return file.read()


@lru_cache(maxsize=1)
def _archives(program: Any) -> Mapping[str, ZipFile]:
    archives = {}
    for package, packed in program.files().items():
        archives[package] = ZipFile(BytesIO(packed))
        archives[package].filename = package  # which is what the root is called
    return archives
