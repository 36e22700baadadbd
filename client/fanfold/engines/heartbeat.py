"""Whether the process that runs a job is still there: it holds a lock on a file for as long as it lives.

The kernel lets go of the lock however the process ends, and a process id that is used again fools nobody. Another
machine that shares the folder may not see the lock: for its sake the file is touched every few seconds.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fanfold.core.forks import close_private, keep_private
from fanfold.stores.disk import disk_errors

#: Seconds between two touches of a sign.
_RENEWAL_S = 2.0


class Sign:
    """This process's sign of life, a locked file in `folder`. Raises `StoreError` where it cannot be made."""

    def __init__(self, folder: Path) -> None:
        self.pid = os.getpid()
        self.name = f"{self.pid}-{os.urandom(4).hex()}"
        self._path = folder / self.name
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        self._touched_at = time.monotonic()
        keep_private(self._fd)  # a forked child shares the lock, and would hold it after this process is gone

    def renew(self) -> None:
        """Touch it, for who cannot see the lock. Cheap, and to be called every second or two."""
        now = time.monotonic()
        if now - self._touched_at >= _RENEWAL_S:
            self._touched_at = now
            with suppress(OSError):  # the disk is full or gone, which the work itself will tell of
                os.utime(self._path)

    def take_down(self) -> None:
        """This process runs nothing more."""
        if self.pid == os.getpid():  # a forked child must not take its parent's sign down
            self._path.unlink(missing_ok=True)
            close_private(self._fd)


def is_alive(folder: Path, name: str) -> bool:
    """Whether the process of this machine whose sign has that name still lives."""
    alive, _ = _looked_at(folder / name)
    if not alive:
        with suppress(OSError):  # where the home can only be read
            (folder / name).unlink(missing_ok=True)
    return alive


def was_alive(folder: Path, name: str, *, within_s: float) -> bool:
    """Whether a process of any machine that shares `folder` lives, as far as can be told: it has been seen lately."""
    alive, touched_at = _looked_at(folder / name)
    return alive or time.time() - touched_at < within_s


def _looked_at(path: Path) -> tuple[bool, float]:
    """Whether the lock of a sign is held, and when it was touched last (seconds since 1970; long ago without one)."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False, 0.0
    try:
        touched_at = os.fstat(fd).st_mtime
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True, touched_at
    finally:
        os.close(fd)
    return False, touched_at


@contextmanager
def only_one(folder: Path, name: str) -> Iterator[bool]:
    """True within for one process at a time, False for the others, who leave the work to it."""
    folder.mkdir(parents=True, exist_ok=True)
    fd = os.open(folder / f"{name}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(fd)
