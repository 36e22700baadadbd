"""Whether the process that runs a job is still there: it holds a lock on a file for as long as it lives.

The kernel lets go of the lock however the process ends, and a process id that is used again fools nobody.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fanfold.execute.forks import close_private, keep_private


class Sign:
    """This process's sign of life, a locked file in `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.pid = os.getpid()
        self.name = f"{self.pid}-{os.urandom(4).hex()}"
        self._path = folder / self.name
        self._fd = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        keep_private(self._fd)  # a forked child shares the lock, and would hold it after this process is gone

    def take_down(self) -> None:
        """This process runs nothing more."""
        if self.pid == os.getpid():  # a forked child must not take its parent's sign down
            self._path.unlink(missing_ok=True)
            close_private(self._fd)


def is_alive(folder: Path, name: str) -> bool:
    """Whether the process whose sign has that name still lives."""
    path = folder / name
    try:
        fd = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    with suppress(FileNotFoundError):
        path.unlink()
    return False


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
