"""Serving one job's runs to their end, with an eye on its cancel flag: on machines, in functions, in a runner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from fanfold.execution.calls import Feed
from fanfold.execution.pool.pool import Pool


class RecordingFeed(Feed, Protocol):
    """A feed that may hold output back, to record more of it at once."""

    def flush(self) -> None:
        """Record what has been held back for long enough."""


def serve(pool: Pool, feed: RecordingFeed, is_cancelled: Callable[[], bool]) -> bool:
    """Serve a feed until it has nothing for now; False where its job was cancelled. `is_cancelled` must not block."""
    cancelled = False
    pool.add(feed)
    while pool.serves(feed):
        pool.step()
        feed.flush()
        if not cancelled and is_cancelled():
            cancelled = True
            pool.cancel(feed)
    return not cancelled
