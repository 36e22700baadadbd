"""Serving a job's runs to their end, with an eye on its cancel flag."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from fanfold.errors import FanfoldError
from fanfold.execute.calls import Feed
from fanfold.execute.pool import Pool
from fanfold.stores.aws.heads import Heads


class Recording(Feed, Protocol):
    """A feed that holds output back, to record more of it at once."""

    def flush(self) -> None:
        """Record what has been held back for long enough."""


def serve(pool: Pool, feed: Recording, flag: CancelFlag) -> bool:
    """Serve a feed until it has nothing for now; False where its job was cancelled."""
    cancelled = False
    pool.add(feed)
    while pool.serves(feed):
        pool.step()
        feed.flush()
        if not cancelled and flag.is_set():
            cancelled = True
            pool.cancel(feed)
    return not cancelled


class CancelFlag:
    """Whether a job has been cancelled, as far as is known.

    It is asked for in a thread of its own: AWS may let one wait for long, and meanwhile the limits of the runs are
    watched. Where it cannot be had it is asked for again: no run ends for that.
    """

    def __init__(self, heads: Heads, job_id: str, every_s: float) -> None:
        self._heads, self._job_id, self._every_s = heads, job_id, every_s
        self._asked_at = time.monotonic()
        self._asking: threading.Thread | None = None
        self._is_set = False

    def is_set(self) -> bool:
        """What was found last; asks anew every `every_s` seconds, and does not wait for the answer."""
        waits = self._asking is not None and self._asking.is_alive()
        if not self._is_set and not waits and time.monotonic() - self._asked_at > self._every_s:
            self._asked_at = time.monotonic()
            self._asking = threading.Thread(target=self._ask, name="fanfold-cancel", daemon=True)
            self._asking.start()
        return self._is_set

    def _ask(self) -> None:
        self._is_set = is_cancelled(self._heads, self._job_id)


def is_cancelled(heads: Heads, job_id: str) -> bool:
    """Whether a job has been cancelled by now; False also where that cannot be had."""
    try:
        return heads.read(job_id).header.cancelled_at is not None
    except FanfoldError:
        return False
