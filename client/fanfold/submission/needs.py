"""What travels as it is, and the versions of Python and of packages that it needs where it is loaded."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from fanfold.engines.base import Description
from fanfold.errors import CaptureError


def check_needs(needs: Iterable[tuple[str, str, str]], described: Description, brought: Collection[str] = ()) -> None:
    """Raises `CaptureError` for what travels as it is and needs another Python or version than the deployment has.

    What is not known from here, and what the UDF brings along, is checked where it is loaded.
    """
    there = {_spelt(name): version for name, version in described.packages.items()}
    for what, package, version in needs:
        found = described.python if package == "Python" else there.get(_spelt(package), "")
        if not found or found == version or not _installed_modules(package).isdisjoint(brought):
            continue
        raise CaptureError(
            f"{what} needs {package} {version}, with which it was made; the deployment has {package} {found}.",
            next_step=f"use {package} {found} here, make it inside the function, or use engine='local'.",
        )


def _installed_modules(package: str) -> set[str]:
    from importlib.metadata import packages_distributions

    return {module for module, names in packages_distributions().items() if package in names}


def _spelt(package: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", package).lower()
