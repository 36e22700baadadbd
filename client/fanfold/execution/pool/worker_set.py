"""The worker processes of a pool: who they are, how they come and go."""

from __future__ import annotations

import itertools
import os
import selectors
from collections.abc import Iterator
from pathlib import Path

from fanfold.errors import ConfigurationError
from fanfold.execution.pool.process import WorkerProcess

#: So many workers in a row that end before their first word: the interpreter cannot run here.
_STILLBORN = 16


class Crew:
    """Workers by the descriptor they answer on, each registered with the pool's selector."""

    def __init__(
        self, folder: Path, queue_exit: int, environment: dict[str, str] | None, selector: selectors.BaseSelector
    ) -> None:
        self._folder = folder
        self._queue_exit = queue_exit
        self._environment = environment
        self._selector = selector
        self._numbers = itertools.count()
        self._workers: dict[int, WorkerProcess] = {}
        self._stillborn = 0
        self._started_from = _surroundings()

    def __len__(self) -> int:
        return len(self._workers)

    def __iter__(self) -> Iterator[WorkerProcess]:
        return iter(list(self._workers.values()))

    def __getitem__(self, replies: int) -> WorkerProcess:
        return self._workers[replies]

    def __contains__(self, worker: WorkerProcess) -> bool:
        return self._workers.get(worker.replies) is worker

    def grow_to(self, size: int) -> None:
        """Start workers until there are `size`."""
        while len(self._workers) < size:
            worker = WorkerProcess(self._folder / f"w{next(self._numbers)}", self._queue_exit, self._environment)
            self._workers[worker.replies] = worker
            self._selector.register(worker.replies, selectors.EVENT_READ)

    def at_work(self, now: float) -> tuple[int, int, float]:
        """How many workers are up, how many perform a call, and for how long the longest of these has run by now."""
        workers = self._workers.values()
        since = [worker.since for worker in workers if worker.running is not None]
        return sum(worker.has_spoken for worker in workers), len(since), now - min(since, default=now)

    def held(self) -> set[int]:
        """The calls that workers are performing, by number."""
        return {worker.running for worker in self._workers.values() if worker.running is not None}

    def remove(self, worker: WorkerProcess) -> int:
        """A worker has ended, or is to: its return code. Raises `ConfigurationError` where none lives to say a word."""
        self._selector.unregister(worker.replies)
        del self._workers[worker.replies]
        code = worker.reap()
        self._stillborn = 0 if worker.has_spoken else self._stillborn + 1
        if self._stillborn >= _STILLBORN:
            worker.close()
            raise ConfigurationError(
                f"Worker processes end as soon as they start (the last with exit code {code}).",
                next_step="stderr says why; so does `python -c 'import fanfold.execution.worker.worker'`.",
            )
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

    def follow_surroundings(self) -> None:
        """Let workers that see an older environment or folder than this process has now make room for others."""
        now = _surroundings()
        if now != self._started_from:
            self._started_from = now
            self.dismiss()


def _surroundings() -> tuple[dict[str, str], str]:
    try:
        return dict(os.environ), os.getcwd()
    except FileNotFoundError:  # somebody has removed the folder
        return dict(os.environ), ""
