"""What is installed here: a package's version, and which packages bring a module along.

A version is found without `importlib.metadata`, which reads mail, and takes 30 ms to import.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from fanfold.contract.records import NamedTuple
from fanfold.core.cache_key import normal_name


class Installed(NamedTuple):
    """A package's version, and the text of its list of files; empty where it has none."""

    version: str
    record: str


def installed(package: str) -> Installed | None:
    """What `importlib.metadata.distribution` has of a package; None where it is not installed."""
    if not package:
        return None
    if not _all_is_in_folders():
        return _by_metadata(package)
    name = normal_name(package)
    for folder in sys.path:
        entry = _told_in(folder, _changed_at(folder)).get(name)
        if entry is not None:
            return _read(Path(folder, entry)) or _by_metadata(package)
    return None


def _all_is_in_folders() -> bool:
    """Whether there is nothing but folders that packages may be found in: no archive, and no finder of another's."""
    finders = [finder for finder in sys.meta_path if hasattr(finder, "find_distributions")]
    return all(map(_is_pythons_own, finders)) and not any(map(os.path.isfile, sys.path))


def _is_pythons_own(finder: object) -> bool:
    return getattr(finder, "__module__", "").startswith(("_frozen_importlib", "importlib"))


@lru_cache(maxsize=64)
def _told_in(folder: str, _changed: int) -> dict[str, str]:
    """The entries of a folder that tell of packages, by the packages' names: of each the first."""
    found: dict[str, str] = {}
    with suppress(OSError):
        for entry in os.listdir(folder or "."):
            if entry.endswith((".dist-info", ".egg-info", ".egg")):
                found.setdefault(normal_name(entry.partition("-")[0].partition(".egg")[0]), entry)
    return found


def _read(info: Path) -> Installed | None:
    try:
        head = (info / "METADATA").read_text(encoding="utf-8").partition("\n\n")[0]
        version = re.search(r"^version:[ \t]*(\S+)[ \t]*$", head, re.MULTILINE | re.IGNORECASE)
        record = info / "RECORD"
        listed = record.read_text(encoding="utf-8") if record.exists() else ""
    except (OSError, UnicodeDecodeError):
        return None
    return None if version is None else Installed(version[1], listed)


def _by_metadata(package: str) -> Installed | None:
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        found = distribution(package)
    except PackageNotFoundError:
        return None
    return Installed(found.version, found.read_text("RECORD") or "")


def installed_by(module: str) -> frozenset[str]:
    """The packages that bring a top-level module along on this machine."""
    return _packages(tuple((folder, _changed_at(folder)) for folder in sys.path)).get(module, frozenset())


@lru_cache(maxsize=1)
def _packages(_folders: tuple[tuple[str, int], ...]) -> dict[str, frozenset[str]]:
    """Which packages bring each top-level module along; reads all that are installed, a millisecond each."""
    from importlib.metadata import distributions

    found: dict[str, frozenset[str]] = {}
    for package in distributions():
        modules = set((package.read_text("top_level.txt") or "").split())
        if not modules:  # few tools write that file any more, and Python 3.10 goes by nothing else
            files = (file for file in package.files or () if file.suffix in (".py", ".so"))
            modules = {file.parts[0].partition(".")[0] for file in files}
        for module in modules:
            found[module] = found.get(module, frozenset()) | {normal_name(package.metadata["Name"] or "")}
    return found


def _changed_at(folder: str) -> int:
    try:
        return os.stat(folder or ".").st_mtime_ns
    except OSError:
        return 0
