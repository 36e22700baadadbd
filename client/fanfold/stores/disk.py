"""What the file system refuses, told as a store's error: where, and what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from fanfold.errors import StoreError, StoreFull

#: What "no room" looks like: a full disk, a used-up quota, a file larger than allowed.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
#: How room is made; every error that tells of a full disk says it.
MAKE_ROOM = (
    "free some disk space: `fanfold remove --older-than 7d` lets go of old jobs and their results (and needs 100 kB"
    " of room itself). Then call again: finished runs are kept."
)


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
