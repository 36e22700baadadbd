"""What a UDF can change of its interpreter that the next run would meet: put back, or a reason for a new process.

A worker serves many runs, of several jobs. What one changes for all must not decide what another computes, for that
would be kept in the cache. Imported by workers: cheap standard library only.
"""

import _signal  # type: ignore[import-not-found]  # the public module makes an enum of each handler, 1 µs
import builtins
import gc
import os
import resource
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, ModuleType
from typing import Any

from fanfold.source.bundle import Bundle
from fanfold.source.load import is_loaded_source

_BUILTINS = vars(builtins)
_BEFORE = _BUILTINS.copy()
#: As a list: lists of the same objects compare in 1 µs, dictionaries in four.
_BEFORE_VALUES = [*_BEFORE.values()]

#: Limits that make later work fail: memory, processor time, sizes of files, open files, processes, stack.
_LIMITS = [
    getattr(resource, f"RLIMIT_{name}")
    for name in ("AS", "CPU", "DATA", "FSIZE", "NOFILE", "NPROC", "STACK")
    if hasattr(resource, f"RLIMIT_{name}")
]
_SIGNALS = sorted(_signal.valid_signals() - {_signal.SIGKILL, _signal.SIGSTOP})


def reaches_the_interpreter(bundle: Bundle) -> bool:
    """Whether the UDF can change more than `__builtins__`: for all else it has to import something, plainly or not."""
    return bool(bundle.imports) or any("__" in source.text for source in bundle.sources)


def restore_builtins() -> bool:
    """Take back what the UDF has put among the builtins, before any other code uses them; True where it had."""
    try:
        if [*_BUILTINS.values()] == _BEFORE_VALUES:
            return False
    except Exception:  # noqa: BLE001, S110  the user's own __eq__
        pass
    _BUILTINS.clear()
    _BUILTINS.update(_BEFORE)
    return True


class _Module:
    """A module's names as they were."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self._names = vars(module)
        self._remember()

    def _remember(self) -> None:
        self._before = self._names.copy()
        self._values = [*self._names.values()]

    def is_patched(self) -> bool:
        """Whether a function or class is gone or another. Names that were added or set anew (a cache) are no harm."""
        try:
            if [*self._names.values()] == self._values:
                return False
        except Exception:  # noqa: BLE001, S110  an array among them: they do not compare as a whole
            pass
        before = self._before
        self._remember()
        return any(
            callable(value) and self._names.get(name) is not value and not _is_libraries_own(name)
            for name, value in before.items()
        )

    def holds_users_code(self) -> bool:
        """Whether a function of the UDF's stands in it: it was replaced in the very run that first imported it."""
        codes = (getattr(value, "__code__", None) for value in [*self._names.values()])
        return any(isinstance(code, CodeType) and is_loaded_source(code.co_filename) for code in codes)


def _is_libraries_own(name: str) -> bool:
    """Whether libraries set such names as they are imported: typing_extensions does, and what shows tracebacks."""
    return name.startswith("_") or name.endswith("hook")


class InterpreterState:
    """Settings of the whole process, as they were before any user's code, and the modules that users' code imports."""

    def __init__(self) -> None:
        self._settings = [(read(), read, write) for read, write in _settings()]
        self._filters = warnings.filters[:]
        self._limits = _limits()
        self._handlers = _handlers()
        self._blocked = _signal.pthread_sigmask(_signal.SIG_BLOCK, ())
        self._locale: str | None = None
        self._modules: dict[str, _Module] = {}
        self._absent: set[str] = set()
        self._seeds = False

    def expect(self, bundle: Bundle) -> None:
        """Look from now on also after what this bundle imports. To be called before it is loaded."""
        self._absent.update(_names_of(bundle.imports))
        self._absent.difference_update(self._modules)
        self._seeds = self._seeds or any("seed(" in source.text for source in bundle.sources)
        self._new_modules()
        if self._locale is None:
            self._locale = _setlocale()

    def restore(self) -> bool:
        """Put back what can be put back. False where the next run needs a process of its own."""
        for before, read, write in self._settings:
            if read() != before:
                write(before)
        if warnings.filters != self._filters:
            warnings.resetwarnings()  # which also has the warnings that were shown once forgotten
            warnings.filters[:] = self._filters  # type: ignore[index]
        if self._locale is not None and _setlocale() != self._locale:
            _setlocale(self._locale)
        sys.settrace(None)
        sys.setprofile(None)
        gc.enable()
        _restore_library("socket", "setdefaulttimeout", None)
        _restore_library("multiprocessing", "set_start_method", None, force=True)  # a second call would raise
        if self._seeds:
            _seed_anew()
        return self._has_its_limits() and self._has_its_handlers() and self._has_its_modules()

    def _has_its_limits(self) -> bool:
        return _limits() == self._limits or _relaxed(self._limits)

    def _has_its_handlers(self) -> bool:
        # Handlers are not put back: one of another library's, or the pool's own, may stand behind them.
        same = _handlers() == self._handlers
        return same and _signal.pthread_sigmask(_signal.SIG_BLOCK, ()) == self._blocked

    def _has_its_modules(self) -> bool:
        """No function or class of a module that users' code imports is another than it was."""
        intact = True
        for name, known in self._modules.items():
            intact = sys.modules.get(name) is known.module and not known.is_patched() and intact
        for new in self._new_modules():
            intact = not new.holds_users_code() and intact
        return intact

    def _new_modules(self) -> list[_Module]:
        """Those that have been imported since the last look, which are looked after from now on."""
        found = ((name, sys.modules.get(name)) for name in self._absent)
        new = {name: _Module(module) for name, module in found if isinstance(module, ModuleType)}
        self._absent.difference_update(new)
        self._modules.update(new)
        return list(new.values())


#: Of the standard library, what is commonly replaced below a package's top.
_WITH_SUBMODULES = {
    "concurrent": ("concurrent.futures",),
    "os": ("os.path",),
    "unittest": ("unittest.mock",),
    "urllib": ("urllib.request", "urllib.parse"),
    "http": ("http.client",),
}


def _names_of(imports: Iterable[str]) -> Iterator[str]:
    """The modules to look after: packages by their top alone, for they may have thousands below."""
    for name in imports:
        yield name
        yield from _WITH_SUBMODULES.get(name, ())


def _settings() -> Iterator[tuple[Callable[[], Any], Callable[[Any], Any]]]:
    """How to read each setting of the process, and how to write it."""
    yield sys.getrecursionlimit, sys.setrecursionlimit
    yield gc.get_threshold, lambda thresholds: gc.set_threshold(*thresholds)
    yield _umask, os.umask
    if hasattr(sys, "get_int_max_str_digits"):  # not in the first releases of 3.10
        yield sys.get_int_max_str_digits, sys.set_int_max_str_digits
    if hasattr(os, "sched_getaffinity"):
        yield lambda: os.sched_getaffinity(0), lambda cores: os.sched_setaffinity(0, cores)


def _restore_library(module: str, setter: str, *values: Any, **how: Any) -> None:
    if module in sys.modules:
        getattr(sys.modules[module], setter)(*values, **how)


def _limits() -> list[tuple[int, int]]:
    return [resource.getrlimit(limit) for limit in _LIMITS]


def _relaxed(before: list[tuple[int, int]]) -> bool:
    try:
        for limit, value in zip(_LIMITS, before, strict=True):
            resource.setrlimit(limit, value)
    except (OSError, ValueError):  # a hard limit that was lowered stays so
        return False
    return True


def _handlers() -> list[Callable[..., Any] | int | None]:
    return [_signal.getsignal(number) for number in _SIGNALS]


def _umask() -> int:
    mask = os.umask(0o077)  # there is no other way to read it
    os.umask(mask)
    return mask


def _setlocale(told: str | None = None) -> str:
    import _locale

    return _locale.setlocale(_locale.LC_ALL, told)


def _seed_anew() -> None:
    """Random numbers that a run has seeded are not the next run's, which may count on having others."""
    for name in ("random", "numpy.random"):
        if name in sys.modules:
            sys.modules[name].seed()
