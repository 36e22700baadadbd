"""The workers of one bundle, and the calls that they share."""

from __future__ import annotations

import selectors
import time
from collections.abc import Iterator
from pathlib import Path

from fanfold.errors import ConfigurationError
from fanfold.execution.calls import Feed
from fanfold.execution.pool.autoscaler import Autoscaler
from fanfold.execution.pool.call_queue import CallQueue
from fanfold.execution.pool.process import WorkerProcess
from fanfold.execution.pool.scheduler import Scheduler
from fanfold.execution.pool.spawn import Spawner

#: So many workers in a row that end before their first word: the interpreter cannot run here.
_STILLBORN = 16


class WorkerSet:
    """One bundle's workers: whichever is free takes the next call, so a slow call holds up none but its worker.

    No worker is of two sets, and so none performs the runs of two bundles: what one run leaves in the interpreter can
    reach runs of its own bundle only. Workers are registered with the pool's selector, their set with them.
    """

    def __init__(self, folder: Path, numbers: Iterator[int], selector: selectors.BaseSelector) -> None:
        self._folder = folder
        self._numbers = numbers
        self._selector = selector
        self.queue = CallQueue(folder)
        self.scheduler = Scheduler(self.queue, folder, numbers)
        self.autoscaler = Autoscaler()
        self._workers: dict[int, WorkerProcess] = {}
        self._retiring = 0
        self._stillborn = 0
        self.used_at = 0.0
        #: Since when it has had workers, or waits for its first (time.monotonic seconds).
        self.turn_since = time.monotonic()
        self.has_had_turn = False

    def __len__(self) -> int:
        return len(self._workers)

    def __iter__(self) -> Iterator[WorkerProcess]:
        return iter(list(self._workers.values()))

    def __getitem__(self, replies: int) -> WorkerProcess:
        return self._workers[replies]

    def __contains__(self, worker: WorkerProcess) -> bool:
        return self._workers.get(worker.replies) is worker

    @property
    def is_active(self) -> bool:
        """True while it serves any feed."""
        return bool(self.scheduler.feeds)

    @property
    def staying(self) -> int:
        """How many workers it has that have not been asked to end."""
        return len(self._workers) - self._retiring

    def add(self, feed: Feed, *, threads: int) -> None:
        """Serve another feed of this bundle; libraries may start that many `threads` in each worker."""
        if not self.is_active:
            self.turn_since, self.has_had_turn = time.monotonic(), bool(self._workers)
        self.scheduler.add(feed, threads=threads)
        self._retiring = 0  # those that were to end have not read so yet: it was in the queue

    def wanted(self, size: int, now: float) -> int:
        """As many workers as what waits is worth, but no more than there are calls, nor than the feeds allow."""
        most = min(size, len(self.scheduler.in_flight), self._allowed(size))
        if self.staying >= most:
            return most
        ready, busy, running_s = self._at_work(now)
        return min(most, self.autoscaler.worth(ready, len(self.scheduler.in_flight) - busy, running_s))

    def start(self, spawner: Spawner) -> None:
        """Start another worker."""
        if not self._workers:
            self.turn_since, self.has_had_turn = time.monotonic(), True
        self.used_at = time.monotonic()
        worker = WorkerProcess(self._folder / f"w{next(self._numbers)}", self.queue.exit, spawner)
        self._workers[worker.replies] = worker
        self._selector.register(worker.replies, selectors.EVENT_READ, self)

    def retire_one(self) -> None:
        """Have one worker end itself as soon as it is free."""
        self.scheduler.take_back()
        if self.queue.put_retirement():
            self._retiring += 1
        if self.staying == 0:
            self.turn_since = time.monotonic()

    def performed(self) -> set[int]:
        """The calls that workers are performing, by number."""
        return {worker.running for worker in self._workers.values() if worker.running is not None}

    def remove(self, worker: WorkerProcess) -> int:
        """A worker has ended, or is to: its return code. Raises `ConfigurationError` where none lives to say a word."""
        self._selector.unregister(worker.replies)
        del self._workers[worker.replies]
        code = worker.reap()
        if code == 0 and worker.running is None and self._retiring:
            self._retiring -= 1
            return code
        self._stillborn = 0 if worker.has_spoken else self._stillborn + 1
        if self._stillborn >= _STILLBORN:
            worker.close()
            raise cannot_start(code)
        return code

    def dismiss(self) -> None:
        """End all workers at once, and whatever they started."""
        for worker in self:
            worker.kill()
        for worker in self:
            self._selector.unregister(worker.replies)
            worker.reap()
            worker.close()
        self._workers.clear()
        self._retiring = 0

    def close(self) -> None:
        """End everything of it."""
        self.dismiss()
        self.queue.close()

    def _allowed(self, size: int) -> int:
        limits = [size if state.limit is None else state.limit for state in self.scheduler.feeds]
        return sum(limits)

    def _at_work(self, now: float) -> tuple[int, int, float]:
        """How many workers are up, how many perform a call, and for how long the longest of these has run by now."""
        workers = self._workers.values()
        since = [worker.since for worker in workers if worker.running is not None]
        return sum(worker.has_spoken for worker in workers), len(since), now - min(since, default=now)


def cannot_start(code: int) -> ConfigurationError:
    """Workers end before they can say a word."""
    return ConfigurationError(
        f"Worker processes end as soon as they start (the last with exit code {code}).",
        next_step="stderr says why; so does `python -c 'import fanfold.execution.worker.worker'`.",
    )
