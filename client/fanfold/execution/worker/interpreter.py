"""Settings of the whole process, as they were before a bundle's first run, and how they are put back between its runs.

Modules are not put back: a bundle's runs share them, as in every pool and in a warm Lambda function. No other bundle's
runs meet them, for these have workers of their own. Imported by workers: cheap standard library only.
"""

import _signal  # type: ignore[import-not-found]  # the public module makes an enum of each handler, 1 µs
import atexit
import builtins
import gc
import json
import os
import re
import resource
import stat
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import FrameType
from typing import Any

from fanfold.source.load import Bundle, is_loaded_source

# Two functions of C, through `_ctypes`: `ctypes` itself takes ten times as long to import.

#: prctl(2)
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def prctl(option: int, value: int) -> None:
    """Linux's prctl(2); nothing elsewhere."""
    call = _function("prctl") if sys.platform == "linux" else None
    if call is not None:
        call(option, value, 0, 0, 0)


def native_flush() -> Callable[[], Any] | None:
    """C's `fflush` of all streams; None in a Python that cannot call it."""
    flush = _function("fflush")
    return None if flush is None else lambda: flush(None)


def _function(name: str) -> Callable[..., Any] | None:
    try:
        import _ctypes
    except ImportError:
        return None
    program: Any = None
    address = _ctypes.dlsym(_ctypes.dlopen(program, 0), name)
    return lambda *arguments: _ctypes.call_cdeclfunction(address, arguments)


# The children of a process, as Linux lists them: `psutil` takes too long to import for a worker.


def children_of(parent: int) -> list[int]:
    """The processes whose parent that is, those included that have ended and were not waited for."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    stat = file.read()
            except OSError:  # it has ended meanwhile
                continue
            if int(stat[stat.rindex(b")") + 4 :].split(None, 1)[0]) == parent:
                found.append(int(name))
    return found


def is_tracker(pid: int) -> bool:
    """Whether that is a resource tracker: multiprocessing's, or loky's."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"resource_tracker" in file.read()
    except OSError:
        return False


# The folders that a worker has for its runs' files: for temporary ones, to stand in, and for what it may keep.

#: In the worker's folder of the pool: leads to the folders.
_LINK = "own"


class RunFolders:
    """One worker's: `temporary` and `working` are empty for each run, `kept` is for what the worker's runs share."""

    def __init__(self, worker_folder: str) -> None:
        base = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108  `tempfile` takes 10 ms to import
        self._root = os.path.join(base, f"fanfold-{os.urandom(6).hex()}")
        self.temporary, self.working, self.kept = (os.path.join(self._root, name) for name in ("tmp", "work", "kept"))
        os.mkdir(self._root, 0o700)
        os.symlink(self._root, os.path.join(worker_folder, _LINK))
        for folder in (self.temporary, self.working, self.kept):
            os.mkdir(folder, 0o700)
        self._stays: dict[str, set[str]] = {}

    def remember(self) -> None:
        """What is there now stays: loading the UDF has put it there."""
        self._stays = {folder: set(os.listdir(folder)) for folder in (self.temporary, self.working)}
        for folder in self._stays:
            _mark_as_seen(folder)

    def empty(self) -> bool:
        """Remove what a run has left; False where something cannot be removed."""
        for folder, stays in self._stays.items():
            try:
                if _is_as_seen(folder):
                    continue
                for name in set(os.listdir(folder)) - stays:
                    _remove(os.path.join(folder, name))
                _mark_as_seen(folder)
            except FileNotFoundError:  # the run has removed the folder itself
                os.makedirs(folder, 0o700, exist_ok=True)
            except OSError:
                return False
        return True


#: No file is made in 1970: a folder with this time has had nothing added and nothing removed since it was marked.
_SEEN_NS = 1_000_000_000


def _mark_as_seen(folder: str) -> None:
    os.utime(folder, ns=(_SEEN_NS, _SEEN_NS))


def _is_as_seen(folder: str) -> bool:
    """Nothing has come into the folder or gone from it; a fifth of what listing it takes."""
    return os.stat(folder).st_mtime_ns == _SEEN_NS


def remove_run_folders(worker_folder: str) -> None:
    """Remove the folders of a worker that has ended."""
    try:
        root = os.readlink(os.path.join(worker_folder, _LINK))
    except OSError:  # it had none
        return
    remove_tree(root)


def remove_tree(folder: str | os.PathLike[str]) -> None:
    """As `shutil.rmtree` without errors; `shutil` brings every compressor along, 3 ms in each process."""
    with suppress(OSError):  # it is gone, or goes at this moment
        for _, folders, files, fd in os.fwalk(folder, topdown=False):
            for remove, names in ((os.unlink, files), (_remove_within, folders)):
                _each(remove, names, fd)
        os.rmdir(folder)


def _each(remove: Callable[..., None], names: list[str], fd: int) -> None:
    for name in names:
        with suppress(OSError):
            remove(name, dir_fd=fd)


def _remove_within(name: str, *, dir_fd: int) -> None:
    try:
        os.rmdir(name, dir_fd=dir_fd)
    except NotADirectoryError:  # a link to one
        os.unlink(name, dir_fd=dir_fd)


def _remove(path: str) -> None:
    if stat.S_ISDIR(os.lstat(path).st_mode):
        import shutil

        shutil.rmtree(path)
    else:
        os.unlink(path)


# What goes on after a run is over: its threads and processes. A worker in which anything does performs no other
# run.

#: A resource tracker needs so long at most to remove what was left to it: on a busy machine it may only just start.
_TRACKER_S = 5.0


class Leftovers:
    """Looks for threads and child processes that were not there when this was made: after the bundle was loaded."""

    def __init__(self) -> None:
        self._threads = set(sys._current_frames())
        self._trackers = {id(tracker) for tracker in _trackers()}
        self._children = set(_children()) if _has_living_children() else set()

    def found(self) -> bool:
        """True where a child process is alive, or a thread still runs the UDF's own code.

        A library's idle thread (a connection pool, a progress monitor) is no leftover: it belongs to a module that
        stays imported, and a new process for each call would make every call pay that import again.
        """
        if _has_living_children():
            self._end_helpers()
            if _has_living_children() and set(_children()) - self._children:
                return True
        frames = sys._current_frames()
        if len(frames) <= len(self._threads):
            return False
        new = {ident: frame for ident, frame in frames.items() if ident not in self._threads}
        return any(_runs_users_code(frame) for frame in new.values()) or _will_run_users_code(self._threads)

    def _end_helpers(self) -> None:
        """End the processes that libraries keep for the next call of theirs: they have no part in the next run.

        A resource tracker then removes shared memory and semaphores that the run has left.
        """
        for package in _LOKYS:
            executor: Any = getattr(sys.modules.get(f"{package}.reusable_executor"), "_executor", None)
            if executor is not None:
                executor.shutdown(wait=True, kill_workers=True)
        trackers = [tracker for tracker in _trackers() if id(tracker) not in self._trackers]
        if set(_children()) - self._children - {tracker._pid for tracker in trackers}:
            return  # another process may hold a tracker's pipe open, and this one will not go on anyway
        if any(type(tracker).__module__.startswith(_LOKYS) for tracker in trackers):
            _have_joblib_tidy()
        for tracker in trackers:
            _end_tracker(tracker)


#: loky, and the copy that joblib has of it.
_LOKYS = ("joblib.externals.loky", "loky")


def _trackers() -> list[Any]:
    """The resource trackers that run: multiprocessing's, and loky's."""
    names = ("multiprocessing.resource_tracker", *(f"{package}.backend.resource_tracker" for package in _LOKYS))
    found = [getattr(sys.modules.get(name), "_resource_tracker", None) for name in names]
    return [tracker for tracker in found if tracker is not None and tracker._fd is not None]


def _have_joblib_tidy() -> None:
    """Have joblib remove its folders for large arrays now, which it does when a process ends.

    loky's tracker goes with the run, and would call what it has not been told to forget leaked: in the run's own log.
    """
    known = _Listing()
    atexit.unregister(known)
    for remove in known.functions:
        if getattr(remove, "__module__", None) == "joblib._memmapping_reducer":
            atexit.unregister(remove)
            with suppress(Exception):  # the tracker then removes it, and says so
                remove()


class _Listing:
    """Equal to nothing, and keeps what it was compared with: there is no other way to see what `atexit` holds."""

    def __init__(self) -> None:
        self.functions: list[Callable[[], Any]] = []

    def __eq__(self, other: object) -> bool:
        self.functions.append(other)  # type: ignore[arg-type]
        return False

    __hash__ = None  # type: ignore[assignment]

    def __call__(self) -> None:
        """Nothing: `atexit` takes only what can be called."""


def _end_tracker(tracker: Any) -> None:
    """Close its pipe: it then removes what it was told of, and ends. The next use starts another."""
    os.close(tracker._fd)
    pid, tracker._fd, tracker._pid = tracker._pid, None, None
    wait_for_child(pid, time.monotonic() + _TRACKER_S)


def wait_for_child(pid: int, deadline: float) -> None:
    """Return when that child of this process has ended, or at the `deadline` (time.monotonic seconds)."""
    while time.monotonic() < deadline:
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
        except ChildProcessError:
            return
        time.sleep(0.0005)


def _has_living_children() -> bool:
    while True:
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if not ended:
            return True


def _children() -> list[int]:
    if os.path.exists("/proc/self/stat"):
        return children_of(os.getpid())
    import psutil

    return [child.pid for child in psutil.Process().children()]


def _runs_users_code(frame: FrameType | None) -> bool:
    while frame is not None:
        if is_loaded_source(frame.f_code.co_filename):
            return True
        frame = frame.f_back
    return False


def _will_run_users_code(known: "set[int]") -> bool:
    """Whether a thread waits to call the UDF's code later, such as a timer."""
    import threading

    for thread in threading.enumerate():
        if thread.ident in known:
            continue
        target = getattr(thread, "function", None) or getattr(thread, "_target", None)
        code = getattr(target, "__code__", None)
        if code is not None and is_loaded_source(code.co_filename):
            return True
    return False


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


#: Modules that compute: code gets from them to a setting of the process only by one of the names below.
COMPUTING = frozenset(
    "bisect cmath collections copy dataclasses datetime enum fractions functools heapq itertools json math numbers"
    " numpy operator random re statistics string struct textwrap time typing".split()
)
#: Of the builtins, what runs code that comes as text, opens files, or leads to a module.
_FROM_BUILTINS = frozenset("breakpoint compile eval exec getattr globals input locals open vars".split())
#: What leads from a module that computes to all else: other modules within it, frames, files, settings of its own.
_FROM_COMPUTING = frozenset(
    "abc annotationlib ast bltns builtins codecs contextlib copyreg inspect keyword os signal sre_compile sre_parse sys"
    " threading types warnings attrgetter methodcaller clock_settime tzset setstate set_state"
    " ag_frame cr_frame f_back f_builtins f_globals f_locals gi_frame tb_frame DataSource ctypeslib distutils dump"
    " dumps f2py fromfile fromregex genfromtxt load loadtxt lookfor memmap open_memmap save savetxt savez"
    " savez_compressed source test testing tofile".split()
    + ["io", "pickle"] * (sys.version_info < (3, 11))  # the numpy that 3.10 has leads to them
)


def reaches_the_interpreter(bundle: Bundle) -> bool:
    """Whether the UDF can change anything that others in its process use: it imports something, plainly or not.

    What its arguments can do is not known here, nor below.
    """
    text = _text(bundle)
    if bundle.imports or "__" in text or _has_code_without_text(bundle):
        return True
    if any(f'"builtins","{word}"' in bundle.graph for word in _FROM_BUILTINS):
        return True
    return any(word in text for word in _FROM_BUILTINS) and not _FROM_BUILTINS.isdisjoint(_words(text))


def computes_only(bundle: Bundle) -> bool:
    """Whether all that a UDF with imports can do, as far as its text tells, is to compute: most simulations are such.

    To look at each setting of the process after a run would take longer than their runs.
    """
    if not COMPUTING.issuperset(bundle.imports) or bundle.needs or bundle.environment or _has_code_without_text(bundle):
        return False
    text = _text(bundle)
    if re.search(r"\b_\w|__|\bseed\s*\(", text):  # private names, and the seed of what all runs draw from
        return False
    imported = [node[1:3] for node in json.loads(bundle.graph)["nodes"] if node[0] == "import"]
    names = _words(" ".join(f"{'' if module == 'builtins' else module} {name}" for module, name in imported))
    return "seed" not in names and (_FROM_BUILTINS | _FROM_COMPUTING).isdisjoint([*_words(text), *names])


def _text(bundle: Bundle) -> str:
    return "\n".join(source.text for source in bundle.sources)


def _has_code_without_text(bundle: Bundle) -> bool:
    return '"marshal"' in bundle.graph or '"$graph"' in bundle.graph


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


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
    return [*map(_signal.getsignal, _SIGNALS)]


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
