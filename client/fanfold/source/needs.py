"""What a bundle needs of where it is loaded: its Python, versions of packages, installed modules, its large values."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from operator import attrgetter
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from fanfold.core.processes import python_here
from fanfold.errors import CaptureError, FanfoldError

if TYPE_CHECKING:
    from fanfold.source.load import Bundle


#: What code raises of something that one Python has and another has not.
OF_WHAT_IS_MISSING = (ImportError, AttributeError, NameError, SyntaxError)


def check_needs(bundle: Bundle, graph: Mapping[str, Any]) -> None:
    """Raises `CaptureError` where something that travels as it is needs another Python or another version."""
    _check_state_shapes(graph)
    here = python_here()
    for what, package, version in bundle.needs:
        found = here if package == "Python" else _version(package)
        if found != version:
            raise CaptureError(
                f"{what} needs {package} {version}, with which it was made; here it is {found or 'not installed'}.",
                next_step=f"use {package} {version} on both sides, or make it inside the function.",
            )


def _check_state_shapes(graph: Mapping[str, Any]) -> None:
    """Raises `CaptureError` where an object of the standard library's travels whose class keeps something else here."""
    from fanfold.codec.state_shapes import here, shape

    for what, (kept, *kinds) in graph.get("state_shapes", {}).items():
        found = [_standard(kind) for kind in kinds]
        if None in found or shape(tuple(filter(None, found))) != kept:
            raise CaptureError(
                f"{what} was made with Python {graph['python']}, whose objects of that class keep something else than"
                f" those of {here()}.",
                next_step=f"use Python {graph['python']} on both sides, or make it inside the function.",
            )


def _standard(place: str) -> type | None:
    from importlib import import_module

    module, _, name = place.partition(":")
    try:
        found: type = attrgetter(name)(import_module(module))
    except (ImportError, AttributeError):
        return None
    return found


def raise_as_refusal(bundle: Bundle, python: str, error: Exception, is_own: Callable[[str], bool]) -> NoReturn:
    """Raise what a bundle has failed with, as `CaptureError` where that may be for its Python, which is another one."""
    if python in ("", python_here()) or isinstance(error, FanfoldError):
        raise error
    if not isinstance(error, OF_WHAT_IS_MISSING) and _is_raised_in(error.__traceback__, is_own):
        raise error
    raise CaptureError(
        f"{bundle.entry!r} was submitted with Python {python}, and Python {python_here()}, which runs this, cannot make"
        f" what it uses: {type(error).__name__}: {error}.",
        next_step=f"run it with Python {python}, or use what both have.",
    ) from error


def _is_raised_in(traceback: TracebackType | None, is_own: Callable[[str], bool]) -> bool:
    while traceback is not None:
        if is_own(traceback.tb_frame.f_code.co_filename):
            return True
        traceback = traceback.tb_next
    return False


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
    version = python_here()
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
