"""Whether what a UDF imports is there where its runs are."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable

from fanfold.engines.protocol import Description
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


def _installed_by(module: str) -> set[str]:
    """The packages that bring a top-level module along on this machine; reads all that are installed."""
    from importlib.metadata import packages_distributions

    return {_normal(name) for name in packages_distributions().get(module, ())}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
