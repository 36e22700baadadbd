"""What a bundle needs of where it is loaded: its Python, versions of packages, installed modules, its large values."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

from fanfold.errors import CaptureError

if TYPE_CHECKING:
    from fanfold.source.load import Bundle


def check_needs(bundle: Bundle) -> None:
    """Raises `CaptureError` where something that travels as it is needs another Python or another version."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    for what, package, version in bundle.needs:
        found = here if package == "Python" else _version(package)
        if found != version:
            raise CaptureError(
                f"{what} needs {package} {version}, with which it was made; here it is {found or 'not installed'}.",
                next_step=f"use {package} {version} on both sides, or make it inside the function.",
            )


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def no_blob(bundle: Bundle, name: str) -> Exception:
    """The error where a large value lies elsewhere, and nothing says where."""
    return CaptureError(
        f"A global of {bundle.entry!r} is kept apart from its bundle ({name[:12]}), and nothing was said of where.",
        next_step="pass `get_blob=` to `load`, the counterpart of the `put_blob=` that `capture` was given.",
    )


def unreadable(path: str, error: Exception) -> CaptureError:
    """The error where this Python cannot read a text that travels."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
    reason = (error.msg if isinstance(error, SyntaxError) else str(error)) or "it is nested too deeply"
    return CaptureError(
        f"{path}{line}: Python {version}, which runs this, cannot read it ({reason}).",
        next_step=f"write it the way Python {version} reads it, or run it with a newer Python.",
    )


def adopt_installed(namespace: ModuleType) -> None:
    """Give a fresh namespace package the installed submodules that an earlier run has imported."""
    for name, module in list(sys.modules.items()):
        parent, _, own = name.rpartition(".")
        if parent == namespace.__name__:
            setattr(namespace, own, module)


def is_installed(name: str) -> bool:
    """Whether a module can be imported from this machine's own path."""
    from importlib.machinery import PathFinder

    return PathFinder.find_spec(name) is not None
