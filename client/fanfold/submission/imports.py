"""What a UDF imports: whether it is there where its runs are, and of which version it is here."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from functools import lru_cache

from fanfold.engines.base import Description
from fanfold.errors import CaptureError

#: Of packages that are imported by another name than they are installed by, for those not installed here.
_ALSO_KNOWN_AS = {
    "PIL": "pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "osgeo": "gdal",
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "yaml": "pyyaml",
}


def check_imports(modules: Iterable[str], described: Description) -> None:
    """Raises `CaptureError` for a top-level module that no package of the deployment's brings along."""
    if not described.packages:
        return
    there = {_normal(name) for name in described.packages}
    foreign = [name for name in modules if name not in sys.stdlib_module_names and name != "fanfold"]
    missing = [name for name in foreign if not {_normal(name), _ALSO_KNOWN_AS.get(name)} & there]
    missing = [name for name in missing if there.isdisjoint(_installed_by(name))]
    if missing:
        raise CaptureError(
            f"The UDF imports {', '.join(missing)}, which the deployment's image does not have.",
            next_step="add it to runtime/requirements.txt and deploy, import something else, or use engine='local'."
            f" It has {', '.join(sorted(described.packages))}.",
        )


def versions(modules: Iterable[str]) -> str:
    """The versions of the packages that bring these modules along on this machine: a result may change with them."""
    foreign = [name for name in modules if name not in sys.stdlib_module_names]
    return " ".join(dict.fromkeys(found for name in foreign for found in _versions_of(name)))


def _versions_of(module: str) -> list[str]:
    by_its_name = _version(module) or _version(_ALSO_KNOWN_AS.get(module, ""))
    if by_its_name:
        return [by_its_name]
    return [found for name in sorted(_installed_by(module)) if (found := _version(name))]


def _version(package: str) -> str:
    from hashlib import sha256
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        found = distribution(package) if package else None
    except PackageNotFoundError:
        found = None
    if found is None:
        return ""
    # Installed again under the same version (`pip install .`, a branch of git), it has other files.
    record = found.read_text("RECORD")
    files = f"#{sha256(record.encode()).hexdigest()[:12]}" if record else ""
    return f"{package}=={found.version}{files}"


def _installed_by(module: str) -> frozenset[str]:
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
            found[module] = found.get(module, frozenset()) | {_normal(package.metadata["Name"] or "")}
    return found


def _changed_at(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
