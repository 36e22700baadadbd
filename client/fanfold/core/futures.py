"""What the futures of an executor's calls are told."""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures._base import CANCELLED
from typing import Any


def begin(future: Future[Any]) -> bool:
    """Let a future run; False where it is over already.

    Who waits for one that was cancelled (`concurrent.futures.wait`) waits until this is said of it.
    """
    if future.running():
        return True
    if future.done() and future._state != CANCELLED:
        return False
    return future.set_running_or_notify_cancel()
