"""What the file system refuses, told as a store's error; and how files are made to outlive a power cut."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from fanfold.core.processes import Locked
from fanfold.errors import StoreError, StoreFull

if TYPE_CHECKING:
    import sqlite3

#: What "no room" looks like: a full disk, a used-up quota, a file larger than allowed.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
#: What "only to be read" looks like.
READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
#: How room is made; every error that tells of a full disk says it.
MAKE_ROOM = (
    "free some disk space: `fanfold remove --older-than 7d` lets go of old jobs and their results (and needs 100 kB"
    " of room itself). Then call again: finished runs are kept."
)

#: With less free than this nothing can be done in a store; and after a disk was full, this is what counts as room.
NO_ROOM_BYTES, ROOM_AGAIN_BYTES = 1 << 20, 32 << 20


def free_bytes(folder: Path) -> int | None:
    """How much room there is; None where that cannot be told."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def has_no_room(folder: Path, least: int = NO_ROOM_BYTES) -> bool:
    """Whether there is less room than that, in bytes."""
    free = free_bytes(folder)
    return free is not None and free < least


@contextmanager
def disk_errors(where: str | os.PathLike[str]) -> Iterator[None]:
    """Raises `StoreFull` or `StoreError`, naming `where`, in place of an `OSError` from within."""
    try:
        yield
    except OSError as error:
        raise told(error, where) from error


def told(error: OSError, where: str | os.PathLike[str]) -> StoreError:
    """The store's error for what the file system refused."""
    if error.errno in NO_ROOM:
        return StoreFull(
            f"No room left in {os.fspath(where)}: {error.strerror}; what was stored before is unharmed.",
            next_step=MAKE_ROOM,
        )
    return StoreError(
        f"{os.fspath(where)} cannot be used for Fanfold's stores: {error.strerror}.",
        next_step="see that it is yours to write and on a working disk, or set FANFOLD_HOME to a directory that is.",
    )


# What has been written reaches the disk when the kernel likes, half a minute later: until then a power cut takes it.

#: So many files are on their way to the disk at once: the file system commits them together.
_SIDE_BY_SIDE = 8


class Syncer(Locked):
    """Files and folders that are to reach the disk, many at a time. Does nothing where `enabled` is False."""

    def __init__(self, *, enabled: bool) -> None:
        super().__init__()
        self.enabled = enabled
        self._files: set[Path] = set()
        self._folders: set[Path] = set()

    def note(self, file: Path, folders: Iterable[Path]) -> None:
        """Have the next `sync` bring a file to the disk, and its name in these folders. From any thread."""
        if self.enabled:
            with self.lock:
                self._files.add(file)
                self._folders.update(folders)

    def sync(self) -> None:
        """Return when all that was noted is on the disk. Raises `StoreError` where the disk fails."""
        if not self._files:
            return
        with self.lock:  # who comes second waits for the first: it may be about its files
            files, folders = sorted(self._files), sorted(self._folders)
            self._files, self._folders = set(), set()
            try:
                _sync_all(files)
                _sync_all(folders)
            except OSError as error:
                self._files.update(files)  # who comes next must not take them for safe
                self._folders.update(folders)
                raise told(error, files[0].parent) from error

    def sync_soon(self) -> None:
        """Begin now, while other work goes on; a failure is raised by the next `sync`."""
        if self._files:
            _start(threading.Thread(target=self._try_to_sync, name="fanfold-sync"))

    def _try_to_sync(self) -> None:
        with suppress(StoreError):
            self.sync()


def _sync_all(paths: list[Path]) -> None:
    if len(paths) <= 2:
        for path in paths:
            sync_path(path)
        return
    left, failures = iter(paths), list[BaseException]()
    taking = threading.Lock()

    def work() -> None:
        while True:
            with taking:
                path = next(left, None)
            if path is None:
                return
            try:
                sync_path(path)
            except BaseException as error:  # noqa: BLE001  it is raised where somebody waits
                failures.append(error)

    threads = [threading.Thread(target=work, name="fanfold-sync") for _ in range(min(_SIDE_BY_SIDE, len(paths)))]
    threads = [*takewhile(_start, threads)]
    if not threads:
        work()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _start(thread: threading.Thread) -> bool:
    """Start a thread; False where none starts: since Python 3.12 an interpreter that ends has no new ones."""
    try:
        thread.start()
    except RuntimeError:
        return False
    return True


def sync_path(path: Path) -> None:
    """Return when a file, or the names in a folder, are on the disk. One that is gone is passed over."""
    with suppress(FileNotFoundError):
        fd = os.open(path, os.O_RDONLY)
        try:
            if sys.platform == "darwin":  # where fsync leaves it in the drive's own cache
                import fcntl

                fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
            else:
                os.fsync(fd)
        finally:
            os.close(fd)


def sqlite_error(error: sqlite3.Error, path: Path, *, waited_s: float) -> StoreError:
    """The store's error for what SQLite refused of the file at `path`, after it had waited so long for others."""
    reason = str(error)
    # SQLite reports an I/O error without its reason, which a disk without room has most likely caused.
    if "full" in reason or ("disk I/O" in reason and has_no_room(path.parent)):
        return StoreFull(
            f"No room left for {path}; what was stored before is unharmed.",
            next_step=MAKE_ROOM,
        )
    if "not a database" in reason or "malformed" in reason:
        return StoreError(
            f"{path} is not a database that can be read ({reason}).",
            next_step="`fanfold salvage` makes a new one of all that can be read in it, and keeps this one beside it."
            " Or restore it from a backup.",
        )
    if "UTF-8" in reason:
        return StoreError(
            f"A record in {path} is damaged: it holds bytes that are no text.",
            next_step="other jobs are as they were; submit the one again that this was asked of.",
        )
    if "readonly" in reason:
        return StoreError(
            f"{path} can only be read here: {reason}.",
            next_step="set FANFOLD_HOME to a directory that is yours to write; jobs here can still be collected.",
        )
    if "locked" in reason:
        return StoreError(
            f"{path} was held by another process for more than {waited_s:.0f} s.",
            next_step="end whatever holds it (`fuser` names it), then call again.",
        )
    return StoreError(
        f"{path} cannot be read or written: {reason}.",
        next_step="check that its directory exists, is yours to write, and is on a local disk with room left.",
    )
