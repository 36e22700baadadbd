"""Descriptors that a forked child of this process must not hold.

Others learn of this process's end by what its descriptors do then. A child of the user's (multiprocessing forks) has
copies of them all, and would keep up the appearance that its parent lives.
"""

from __future__ import annotations

import os
import threading
import weakref

# Locks that a forked child finds open: the thread that held one in its parent is not there to let go of it.


class Locked:
    """Something that threads share, and use with its `lock`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        _shared.add(self)


_shared: weakref.WeakSet[Locked] = weakref.WeakSet()


def _open_all() -> None:
    for shared in _shared:
        shared.lock = threading.RLock()


os.register_at_fork(after_in_child=_open_all)

_private: set[int] = set()


def keep_private(fd: int) -> None:
    """Have every forked child close `fd` at once."""
    if not _private:
        os.register_at_fork(after_in_child=_close_private)
    _private.add(fd)


def close_private(fd: int) -> None:
    """Close a descriptor that was kept private."""
    if fd in _private:  # a forked child has closed it already
        _private.remove(fd)
        os.close(fd)


def _close_private() -> None:
    for fd in _private:
        os.close(fd)
    _private.clear()
