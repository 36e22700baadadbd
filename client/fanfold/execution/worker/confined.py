"""What AWS Lambda gives a realtime run and no more, for workers on this machine (`fanfold.local(like="lambda")`).

Linux lets a process have mounts of its own, as a container has: /dev without shared memory, a /tmp of the function's
size, and nothing else that can be written. Where a machine lets nobody have them, semaphores and shared memory of
`multiprocessing` are refused in Python, and the rest is as it is.

Imported by workers that are told to: in `run`, before anything of the UDF is there.
"""

import ctypes
import errno
import json
import os
import resource
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from fanfold.contract.layout import ENV_CONFINED

# sched.h and sys/mount.h
_NEW_MOUNTS, _NEW_USER = 0x00020000, 0x10000000
_READ_ONLY, _REMOUNT, _BIND, _MOVE, _RECURSIVE, _PRIVATE = 1, 32, 4096, 8192, 16384, 1 << 18
#: What a mount has and a process with rights over its own mounts only must not take away.
_LOCKED = {"nosuid": 2, "nodev": 4, "noexec": 8, "noatime": 1024, "nodiratime": 2048, "relatime": 1 << 21}
#: prctl(2)
_SET_DUMPABLE = 4
#: Lambda lets a function have so many files open.
_MOST_FILES = 1024
#: Parts of the kernel, which look at nobody's disk.
_KERNEL = ("/proc", "/dev", "/sys")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_TMP = "/tmp"  # noqa: S108  the one folder that Lambda lets a function write to


def confine(facts: str) -> None:
    """Confine this process, which has one thread, and what it will start. `facts`: JSON, made by `told`."""
    disk_mib, kept, read = json.loads(facts)
    _limit_files()
    os.environ.pop("TMPDIR", None)
    if not (sys.platform == "linux" and _confine_mounts(disk_mib, kept, read)):
        _refuse_shared_memory()
        return
    from fanfold.execution.worker import perform

    perform.check_room = _check_room


def told(disk_mib: int, kept: Iterable[str], read: Iterable[str]) -> tuple[str, str]:
    """The variable by which a worker is told: MiB of /tmp, folders it may write to, and those it has to read."""
    return ENV_CONFINED, json.dumps([disk_mib, list(kept), list(read)])


def _limit_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = _MOST_FILES if most == resource.RLIM_INFINITY else min(_MOST_FILES, most)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


def _check_room(size: int) -> None:
    """Raises OSError where a result of that size would not find room in Lambda, where it lies in /tmp as well."""
    facts = os.statvfs(_TMP)
    if facts.f_bavail * facts.f_frsize < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), _TMP)


# Mounts


def may_confine() -> bool:
    """Whether this machine lets processes have mounts of their own. Tries it in a process that ends at once."""
    if sys.platform != "linux":
        return False
    import subprocess

    program = (
        f"import sys; sys.path.append({_root()!r}); "
        "from fanfold.execution.worker.confined import _own_mounts; sys.exit(not _own_mounts())"
    )
    return not subprocess.run([sys.executable, "-Sc", program], capture_output=True, check=False).returncode


def _root() -> str:
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def _confine_mounts(disk_mib: int, kept: list[str], read: list[str]) -> bool:
    before = os.getcwd()
    if not _own_mounts():
        return False
    # What is behind the new /tmp is reached by these, of the mounts that this process now has.
    opened = {path: os.open(path, os.O_PATH) for path in {*kept, *read} if os.path.isdir(path)}
    try:
        _take_devices()
        _mount("none", _TMP, "tmpfs", data=f"size={disk_mib}m,mode=1777")
        for path in sorted(opened):
            if path in kept or _is_in(path, _TMP):
                os.makedirs(path, exist_ok=True)
                _mount(f"/proc/self/fd/{opened[path]}", path, flags=_BIND | _RECURSIVE)
        _make_read_only({"/": False, **dict.fromkeys(read, False), _TMP: True, **dict.fromkeys(kept, True)})
    except OSError as error:
        sys.stderr.write(f"fanfold: this worker is not confined as in Lambda: {error}\n")
    for fd in opened.values():
        os.close(fd)
    with suppress(OSError):
        os.chdir(before)
    return True


def _own_mounts() -> bool:
    """Have mounts of one's own, which nobody else sees."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        if uid != 0 or not _unshared(_NEW_MOUNTS):
            if not _unshared(_NEW_MOUNTS | _NEW_USER):
                return False
            # The pool looks at this process in /proc, whose files the kernel has just made root's.
            ctypes.CDLL(None).prctl(_SET_DUMPABLE, 1)
            for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
                _write(f"/proc/self/{name}", text)
        _mount("none", "/", flags=_RECURSIVE | _PRIVATE)
    except OSError:
        return False
    return True


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _unshared(flags: int) -> bool:
    return not ctypes.CDLL(None).unshare(flags)


def _take_devices() -> None:
    """A /dev with all that programs look for there, but without shared memory."""
    new = f"{_TMP}/fanfold-dev-{os.getpid()}"
    os.mkdir(new, 0o755)
    _mount("none", new, "tmpfs", data="mode=755")
    for name in _DEVICES:
        with suppress(OSError):  # a container need not have them all
            os.close(os.open(f"{new}/{name}", os.O_CREAT))
            _mount(f"/dev/{name}", f"{new}/{name}", flags=_BIND)
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(target, f"{new}/{name}")
    _mount(new, "/dev", flags=_MOVE)
    os.rmdir(new)


def _make_read_only(writable: dict[str, bool]) -> None:
    """Let nobody write to mounts, but where the nearest folder of `writable` that they are in says otherwise."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        mounts = [(fields[4], fields[5].split(",")) for fields in map(str.split, file)]
    for place, options in mounts:
        point = place.encode("latin-1", "surrogateescape").decode("unicode_escape") if "\\" in place else place
        nearest = max((folder for folder in writable if _is_in(point, folder)), key=len)
        if writable[nearest] or any(_is_in(point, folder) for folder in _KERNEL):
            continue
        flags = sum(_LOCKED.get(option, 0) for option in options)
        with suppress(OSError):  # one that is not for us to change stays as it is
            _mount("none", point, flags=_BIND | _REMOUNT | _READ_ONLY | flags)


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _mount(source: str, target: str, kind: str = "", *, flags: int = 0, data: str = "") -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    texts = [os.fsencode(text) or None for text in (source, target, kind)]
    if libc.mount(*texts, ctypes.c_ulong(flags), os.fsencode(data) or None):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


# Where there are no mounts of one's own


def _refuse_shared_memory() -> None:
    """Have semaphores and shared memory fail as they do where there is no /dev/shm."""
    with suppress(ImportError):
        import _multiprocessing  # type: ignore[import-not-found]

        class NoSemaphore(_multiprocessing.SemLock):  # type: ignore[misc]
            """As long as there is no place for semaphores."""

            def __new__(cls, *_: Any, **__: Any) -> Any:
                raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

        _multiprocessing.SemLock = NoSemaphore
    with suppress(ImportError):
        import _posixshmem  # type: ignore[import-not-found]

        def refuse(*_: Any, **__: Any) -> int:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

        _posixshmem.shm_open = refuse
