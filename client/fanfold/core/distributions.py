"""The version of an installed package, without `importlib.metadata`: that reads mail, and takes 30 ms to import."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from fanfold.contract.records import NamedTuple


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
    name = _normal(package)
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
                found.setdefault(_normal(entry.partition("-")[0].partition(".egg")[0]), entry)
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


def _changed_at(folder: str) -> int:
    try:
        return os.stat(folder or ".").st_mtime_ns
    except OSError:
        return 0


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()
