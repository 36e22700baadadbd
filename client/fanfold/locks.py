"""Locks that a forked child finds open: the thread that held one in its parent is not there to let go of it."""

from __future__ import annotations

import os
import threading
import weakref


class Locked:
    """Something that threads share: whoever uses it does so with its `lock`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        _shared.add(self)


_shared: weakref.WeakSet[Locked] = weakref.WeakSet()


def _open_all() -> None:
    for shared in _shared:
        shared.lock = threading.RLock()


os.register_at_fork(after_in_child=_open_all)
