"""Settings of the whole process, as they were before a bundle's first run, and how they are put back between its runs.

Modules are not put back: a bundle's runs share them, as in every pool and in a warm Lambda function. No other bundle's
runs meet them, for these have workers of their own. Imported by workers: cheap standard library only.
"""

import _signal  # type: ignore[import-not-found]  # the public module makes an enum of each handler, 1 µs
import builtins
import gc
import os
import resource
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from fanfold.source.bundle import Bundle

_BUILTINS = vars(builtins)

#: Limits that make later work fail: memory, processor time, sizes of files, open files, processes, stack.
_LIMITS = [
    getattr(resource, f"RLIMIT_{name}")
    for name in ("AS", "CPU", "DATA", "FSIZE", "NOFILE", "NPROC", "STACK")
    if hasattr(resource, f"RLIMIT_{name}")
]
_SIGNALS = sorted(_signal.valid_signals() - {_signal.SIGKILL, _signal.SIGSTOP})


class Builtins:
    """The builtins as they were when this was made; to be compared in 1 µs."""

    def __init__(self) -> None:
        self._before = _BUILTINS.copy()
        self._values = [*self._before.values()]  # lists of the same objects compare four times as fast as dictionaries

    def restore(self) -> bool:
        """Take back what a run has put among them, before any other code uses them; True where it had."""
        try:
            if [*_BUILTINS.values()] == self._values:
                return False
        except Exception:  # noqa: BLE001, S110  the user's own __eq__
            pass
        _BUILTINS.clear()
        _BUILTINS.update(self._before)
        return True


class InterpreterState:
    """Settings of the whole process, as they were when this was made: after the bundle was loaded."""

    def __init__(self, bundle: Bundle) -> None:
        self._settings = [(read(), read, write) for read, write in _settings()]
        self._filters = warnings.filters[:]
        self._limits = _limits()
        self._handlers = _handlers()
        self._blocked = _signal.pthread_sigmask(_signal.SIG_BLOCK, ())
        self._locale = _setlocale()
        self._trace, self._profile = sys.gettrace(), sys.getprofile()
        self._gc = gc.isenabled()
        self._timeout = _library("socket", "getdefaulttimeout")
        self._start_method = _library("multiprocessing", "get_start_method", allow_none=True)
        self._decimal = _library("decimal", "getcontext")
        if self._decimal is not None:
            self._decimal = self._decimal.copy()
        self._seeds = any("seed(" in source.text for source in bundle.sources)

    def restore(self) -> bool:
        """Put back what can be put back. False where the next run needs a process of its own."""
        for before, read, write in self._settings:
            if read() != before:
                write(before)
        if warnings.filters != self._filters:
            warnings.resetwarnings()  # which also has the warnings that were shown once forgotten
            warnings.filters[:] = self._filters  # type: ignore[index]
        if _setlocale() != self._locale:
            _setlocale(self._locale)
        sys.settrace(self._trace)
        sys.setprofile(self._profile)
        (gc.enable if self._gc else gc.disable)()
        _library("socket", "setdefaulttimeout", self._timeout)
        if _library("multiprocessing", "get_start_method", allow_none=True) != self._start_method:
            _library("multiprocessing", "set_start_method", self._start_method, force=True)  # a second call would raise
        if self._seeds:
            _seed_anew()
        return self._has_its_limits() and self._has_its_handlers()

    def restore_context(self) -> None:
        """Put back what stands in the context that runs get a copy of: objects in it are shared."""
        if self._decimal is not None:
            _library("decimal", "setcontext", self._decimal.copy())

    def _has_its_limits(self) -> bool:
        return _limits() == self._limits or _relaxed(self._limits)

    def _has_its_handlers(self) -> bool:
        # Handlers are not put back: one of another library's, or the pool's own, may stand behind them.
        same = _handlers() == self._handlers
        return same and _signal.pthread_sigmask(_signal.SIG_BLOCK, ()) == self._blocked


def reaches_the_interpreter(bundle: Bundle) -> bool:
    """Whether the UDF can change more than `__builtins__`: for all else it has to import something, plainly or not."""
    return bool(bundle.imports) or any("__" in source.text for source in bundle.sources)


def _settings() -> Iterator[tuple[Callable[[], Any], Callable[[Any], Any]]]:
    """How to read each setting of the process, and how to write it."""
    yield sys.getrecursionlimit, sys.setrecursionlimit
    yield gc.get_threshold, lambda thresholds: gc.set_threshold(*thresholds)
    yield _umask, os.umask
    if hasattr(sys, "get_int_max_str_digits"):  # not in the first releases of 3.10
        yield sys.get_int_max_str_digits, sys.set_int_max_str_digits
    if hasattr(os, "sched_getaffinity"):
        yield lambda: os.sched_getaffinity(0), lambda cores: os.sched_setaffinity(0, cores)


def _library(module: str, function: str, *values: Any, **how: Any) -> Any:
    """What a library's function gives; None where nothing has imported the library."""
    return getattr(sys.modules[module], function)(*values, **how) if module in sys.modules else None


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
