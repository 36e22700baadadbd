"""What an executor's calls find in their worker: modules as the submitting process has them, and what it has set up.

Imported by workers that serve an executor: cheap standard library only.
"""

from __future__ import annotations

import importlib
import os
import pickle
import sys
from collections.abc import Callable
from typing import Any

from fanfold.contract.records import NamedTuple

#: Module, dotted name within it, value.
Change = tuple[str, str, Any]
#: When a module's file was written, in ns, and its size.
Stamp = tuple[int, int]

_MISSING: Any = object()


class WorkerState(NamedTuple):
    """What a session has its workers find besides where modules are."""

    #: The project's modules by name, and the state of the file that the submitting process has them from.
    stamps: dict[str, Stamp]
    #: A pickle of what their names hold by now, and importing them does not give: `[Change]`.
    changes: bytes
    #: Pickles of statements that set something up: see `SetupStatement`.
    statements: tuple[bytes, ...] = ()
    #: A pickle of how libraries stand: their settings by library, and what `filled.fill` is given; empty for nothing.
    libraries: bytes = b""


class SetupStatement(NamedTuple):
    """A statement of the top of a script, or a decorator, with what it reads."""

    text: str
    path: str
    names: dict[str, Any]
    #: What a decorator is applied to; nothing for a statement.
    given: tuple[Any, ...] = ()


class _Entered:
    """What this worker has been told so far."""

    def __init__(self) -> None:
        self.pickled = b""
        self.stamps: dict[str, Stamp] = {}
        self.done: set[bytes] = set()
        #: Owner, attribute, and what was there before a change.
        self.before: list[tuple[Any, str, Any]] = []
        #: The settings of libraries that it was told, and what puts back what they held.
        self.settings: dict[str, dict[str, Any]] = {}
        self.filled: list[Callable[[], object]] = []


_entered = _Entered()


def stamp_of(path: str) -> Stamp | None:
    """The state of a file; None where it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def enter(pickled: bytes) -> None:
    """Have everything be as a session says. Raises what the user's own statements and modules raise."""
    if pickled == _entered.pickled:
        return
    _entered.pickled = b""
    _undo()
    libraries = b""
    if pickled:
        wanted = WorkerState(*pickle.loads(pickled))  # noqa: S301 - written by this process's parent
        _reload(wanted.stamps)
        for module, name, value in pickle.loads(wanted.changes):  # noqa: S301 - as above
            _set(module, name, value)
        for statement in wanted.statements:
            _execute(statement)
        libraries = wanted.libraries
    if libraries or _entered.settings or _entered.filled:
        _have_libraries(libraries)
    _entered.pickled = pickled


def _reload(stamps: dict[str, Stamp]) -> None:
    """Load again what the submitting process has loaded again since this worker loaded it."""
    for name, stamp in stamps.items():
        module = sys.modules.get(name)
        known = _entered.stamps.get(name)
        _entered.stamps[name] = stamp
        if module is not None and known not in (None, stamp):
            importlib.reload(module)


def _set(module: str, dotted: str, value: Any) -> None:
    gone = value is getattr(sys.modules.get("fanfold.source.removed"), "GONE", _MISSING)
    if not dotted:
        sys.modules[module] = None if gone else value  # type: ignore[assignment]
        return
    owner: Any = importlib.import_module(module)
    *path, name = dotted.split(".")
    for part in path:
        owner = getattr(owner, part)
    before = getattr(owner, name) if name.startswith("__") else vars(owner).get(name, _MISSING)
    if gone:
        if before is _MISSING:
            return
        delattr(owner, name)
    elif _is_same(before, value):
        return
    else:
        setattr(owner, name, value)
    _entered.before.append((owner, name, before))


def _is_same(one: Any, other: Any) -> bool:
    """Whether what importing gave is what is to be: then others that hold it go on to hold it."""
    if one is other or type(one) is not type(other):
        return one is other
    try:
        return pickle.dumps(one) == pickle.dumps(other)
    except Exception:  # noqa: BLE001  the user's own __reduce__, or what cannot be pickled by name
        return False


def _undo() -> None:
    while _entered.before:
        owner, name, before = _entered.before.pop()
        if before is _MISSING:
            if name in vars(owner):
                delattr(owner, name)
        else:
            setattr(owner, name, before)


def _have_libraries(pickled: bytes) -> None:
    """Have libraries set up as they are in the submitting process, those too that are as at first there again."""
    from fanfold.source.filled import fill
    from fanfold.source.library_settings import as_at_first, have

    settings, filled = pickle.loads(pickled) if pickled else ({}, [])  # noqa: S301 - written by this process's parent
    while _entered.filled:
        _entered.filled.pop()()
    for library in {**_entered.settings, **settings}:
        before = _entered.settings.get(library, ())
        have(library, {**as_at_first(library, before), **settings.get(library, {})})
    _entered.settings, _entered.filled = settings, fill(filled)


def _execute(pickled: bytes) -> None:
    """A statement is executed once in each worker, as it was in the script."""
    if pickled in _entered.done:
        return
    _entered.done.add(pickled)
    text, path, names, given = pickle.loads(pickled)  # noqa: S301 - written by this process's parent
    namespace = {"__name__": "__main__", **names}
    if given:
        made = eval(compile(text, path, "eval"), namespace)  # noqa: S307 - a decorator of the user's
        made(*given)
    else:
        exec(compile(text, path, "exec"), namespace)  # noqa: S102 - a statement of the user's
