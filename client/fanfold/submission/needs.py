"""What a UDF imports and what travels as it is, and the Python and packages that these need where they are loaded."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterable

from fanfold.core.cache_key import not_brought
from fanfold.engines.base import Description
from fanfold.errors import CaptureError
from fanfold.source.load import Bundle, SourceFile


def check_imports(modules: Iterable[str], described: Description, brought: Collection[str] = ()) -> None:
    """Raises `CaptureError` for a top-level module that no package of the deployment's brings along.

    `brought` are the modules of the packages that the UDF asks for itself.
    """
    missing = [name for name in missing_imports(modules, described) if name not in brought]
    if missing:
        raise CaptureError(
            f"The UDF imports {', '.join(missing)}, which the deployment's image does not have.",
            next_step='have it brought along with @udf(packages="auto") or packages=["..."], import something else, or'
            f" use engine='local'. It has {', '.join(sorted(described.packages))}.",
        )


def missing_imports(modules: Iterable[str], described: Description) -> list[str]:
    """The top-level modules that no package of the deployment's brings along, as far as is known from here."""
    return not_brought(modules, described.packages) if described.packages else []


def check_bundle(bundle: Bundle, described: Description, brought: Collection[str] = ()) -> None:
    """Raises `CaptureError` for what travels and does not go with the Python and the packages of the deployment."""
    check_needs(bundle.needs, described, brought)
    check_texts(bundle.sources, described.python)


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


def check_texts(sources: Iterable[SourceFile], python: str) -> None:
    """Raises `CaptureError` for a text that the deployment's Python, an older one, cannot read, as far as can be told.

    What only that Python itself can tell, such as quotes within a formatted text, is said where it is loaded.
    """
    if not (found := re.match(r"(\d+)\.(\d+)", python)):
        return
    there = int(found[1]), int(found[2])
    if there >= sys.version_info[:2]:
        return
    import ast

    for source in sources:
        try:
            ast.parse(source.text, source.path, feature_version=there)
        except SyntaxError as error:
            raise CaptureError(
                f"{source.path}:{error.lineno}: the Python {python} of the deployment cannot read it ({error.msg}).",
                next_step=f"write it the way Python {python} reads it, or use engine='local'.",
            ) from error


def _installed_modules(package: str) -> set[str]:
    from importlib.metadata import packages_distributions

    return {module for module, names in packages_distributions().items() if package in names}


def _spelt(package: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", package).lower()
