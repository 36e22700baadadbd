"""Reading a store again and again without ever holding up a page: a store may answer late, or not at all."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fanfold.errors import FanfoldError

#: How long a page waits for a look before it goes on with what it has.
_PATIENCE_S = 2.0
#: How long a look may be under way before the page says so.
_SILENT_S = 4.0


class Reader:
    """Something that is read by one thread at a time, at most every so often, for any number of viewers."""

    def __init__(self, pause_s: float) -> None:
        self.lock = threading.RLock()
        #: Why the last look failed; None where it did not.
        self.trouble: FanfoldError | None = None
        #: When a look last succeeded, seconds since 1970; 0 where none has.
        self.read_at = 0.0
        self._pause_s = pause_s
        self._looked = -1e9
        self._began: float | None = None

    def look(self) -> None:
        """Read what is new, unless that has just been done or is being done."""
        if not self.lock.acquire(blocking=False):
            return
        try:
            if time.monotonic() - self._looked >= self._pause():
                self.look_now()
        finally:
            self.lock.release()

    def look_now(self) -> None:
        """Read what is new; waits where another thread is reading."""
        with self.lock:
            self._began = time.monotonic()
            try:
                self._read()
                self.trouble, self.read_at = None, time.time()
            except FanfoldError as error:
                self.trouble = error
            finally:
                self._looked, self._began = time.monotonic(), None

    async def look_soon(self) -> None:
        """Read what is new in another thread. Returns when that is done, or has taken longer than a page can wait."""
        try:
            await asyncio.wait_for(asyncio.shield(asyncio.to_thread(self.look)), _PATIENCE_S)
        except asyncio.TimeoutError:
            return  # the thread goes on, and what it finds is there at the next look

    @contextmanager
    def at_hand(self) -> Iterator[bool]:
        """Hold the lock where nobody reads just now, and tell whether that is so: a page must not wait."""
        mine = self.lock.acquire(timeout=0.05)
        try:
            yield mine
        finally:
            if mine:
                self.lock.release()

    def silence(self) -> str:
        """Why what is shown may be old, in words; empty where it is not."""
        began = self._began
        if self.trouble is None and (began is None or time.monotonic() - began < _SILENT_S):
            return ""
        since = (
            f" What you see is from {time.strftime('%H:%M:%S', time.localtime(self.read_at))}." if self.read_at else ""
        )
        reason = f" {self.trouble.message}" if self.trouble is not None else ""
        return f"No answer; trying again.{since}{reason}"

    def _pause(self) -> float:
        return self._pause_s

    def _read(self) -> None:
        raise NotImplementedError
