"""What a process is: how many cores it may use (its affinity, its container's CPU quota), its Python, how it ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any

_MEMBERSHIP = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Cores this process may use, at least one."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _own_quota()
    return affinity if quota is None else max(1, min(affinity, int(quota)))


@lru_cache(maxsize=1)
def _own_quota() -> float | None:
    """Read once: a function asks at each of its runs, and the dozen files take longer than the rest of its start."""
    return cpu_quota()


def cpu_quota(membership: Path = _MEMBERSHIP, root: Path = _CGROUPS) -> float | None:
    """Cores' worth of time that this process's control group and those above it may use; None without a limit.

    `membership` lists the groups of this process, `root` is where they are mounted: cgroups(7), versions 1 and 2.
    """
    quotas = [quota for group in _groups(membership, root) if (quota := _quota(group)) is not None]
    return min(quotas, default=None)


def _groups(membership: Path, root: Path) -> Iterator[Path]:
    """The folders that may limit this process: its groups' and those above; in a container its own may be the root."""
    yield root
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / controllers if controllers and (root / controllers).exists() else root / "cpu"
        group = (top if controllers else root) / path.lstrip("/")
        yield from (group, *(above for above in group.parents if above.is_relative_to(root)))


def _quota(group: Path) -> float | None:
    for files in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            quota, period = " ".join((group / file).read_text(encoding="ascii") for file in files).split()[:2]
            if int(quota) > 0:
                return int(quota) / int(period)
        except (OSError, ValueError):  # no such group, or "max"
            continue
    return None


# A Python process of Fanfold's own.


def program_of(module: str) -> str:
    """What `python -c` runs to call `main` of a module: the folder it starts in may hold the user's files, and goes."""
    root = str(Path(__file__).resolve().parents[2])
    path = f"import sys; sys.path[:] = filter(None, sys.path); sys.path.append({root!r}); "
    return f"{path}from {module} import main; main()"


# A process's identity, for others of the same machine to tell whether it is still there.

#: What of a machine and its containers a process number goes by.
_BOOT, _NUMBERS = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")


def this_process() -> str:
    """This process, for `has_ended`: its number, and which processes that number is one of."""
    return f"{os.getpid()} {_where_numbers_count()}"


def has_ended(told: str) -> bool:
    """Whether a process is known to have ended, as `this_process` told of it there.

    False for one of another machine or container, and where its number is another's by now.
    """
    number, _, where = told.partition(" ")
    if not number.isdigit() or where != _where_numbers_count():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):  # it is another user's; it is nobody's
        return False
    return False


def _where_numbers_count() -> str:
    facts = [os.uname().nodename]
    with suppress(OSError):  # not Linux
        facts += _BOOT.read_text(encoding="ascii").strip(), os.readlink(_NUMBERS)
    return " ".join(facts)


# Locks that a forked child finds open: the thread that held one in its parent is not there to let go of it.


class Locked:
    """Something that threads share, and use with its `lock`."""

    #: Whether no child is forked while another thread has its lock: the child could not do with the half of it.
    is_whole_at_a_fork = False

    def __init__(self) -> None:
        self.begin_anew()
        _shared.add(self)

    def begin_anew(self) -> None:
        """Have what no thread holds, or waits for: at first, and in a forked child."""
        self.lock = threading.RLock()


_shared: weakref.WeakSet[Locked] = weakref.WeakSet()


def _open_all() -> None:
    for shared in _shared:
        shared.begin_anew()


os.register_at_fork(after_in_child=_open_all)

# Descriptors that a forked child of this process must not hold.

#: Held while something is made that a forked child must not have a part of.
_making = threading.RLock()
#: The locks that the thread holds which forks, and how long it waits for each.
_held: list[threading.RLock] = []
_FORK_S = 5.0


def _begin_fork() -> None:
    _making.acquire()
    _held.extend(one.lock for one in list(_shared) if one.is_whole_at_a_fork and one.lock.acquire(timeout=_FORK_S))


def _end_fork() -> None:
    while _held:
        _held.pop().release()
    _making.release()


def _begin_in_child() -> None:
    global _making  # noqa: PLW0603  the forking thread holds it, and in the child there is no other
    _making = threading.RLock()
    _held.clear()


os.register_at_fork(before=_begin_fork, after_in_parent=_end_fork, after_in_child=_begin_in_child)


@contextmanager
def unforked() -> Iterator[None]:
    """No child is forked within, by whatever thread: it would have what is not private yet."""
    with _making:
        yield


_private: set[int] = set()


def keep_private(fd: int) -> None:
    """Have every forked child close `fd` at once."""
    _private.add(fd)


def close_private(fd: int) -> None:
    """Close a descriptor that was kept private."""
    if fd in _private:  # a forked child has closed it already
        _private.remove(fd)
        os.close(fd)


def _close_private() -> None:
    for fd in _private:
        with suppress(OSError):  # somebody has closed it
            os.close(fd)
    _private.clear()


os.register_at_fork(after_in_child=_close_private)


# Its Python.


def python_here() -> str:
    """The minor version of this Python, such as "3.12"."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


# A process that ends by a Ctrl-C.


def ends_by_interrupt() -> bool:
    """Whether this process ends because of a Ctrl-C that nobody caught. At a prompt one may be long past."""
    return (
        getattr(sys, "last_type", None) is KeyboardInterrupt and not hasattr(sys, "ps1") and not sys.flags.interactive
    )


@contextmanager
def _interrupts_go_to(handler: Any) -> Iterator[Any]:
    """Within, a Ctrl-C goes to `handler`; gives what it went to before, None outside of the main thread."""
    try:
        before = signal.signal(signal.SIGINT, handler)
    except ValueError:  # not in the main thread, where alone they are heard
        yield None
        return
    try:
        yield before
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.default_int_handler)


@contextmanager
def without_interrupts() -> Iterator[None]:
    """No further Ctrl-C is heard within: what ends is ended in a moment, and not left half done."""
    with _interrupts_go_to(signal.SIG_IGN):
        yield


@contextmanager
def deferring_interrupts() -> Iterator[None]:
    """A Ctrl-C within is heard at its end: one that meets an import may leave Python's import lock held for ever.

    (It is raised, and dropped, in a callback of `importlib._bootstrap` that holds the lock.)
    """
    heard: list[tuple[int, FrameType | None]] = []
    with _interrupts_go_to(lambda *one: heard.append(one)) as before:
        yield
    if heard and callable(before):
        before(*heard[0])
