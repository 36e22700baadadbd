"""Which shards need not be read again: those in which every run has a good result, which nothing can take away."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fanfold.contract.cloud import shards
from fanfold.models import GOOD, Event, JobHeader
from fanfold.stores.protocols import Channel

#: Jobs that are remembered at a time; a byte a run.
_JOBS = 16


class _Job:
    def __init__(self, count: int) -> None:
        self.good = bytearray(count)
        number = shards(count)
        #: Runs of each shard without a good result so far.
        self.open = [len(range(shard, count, number)) for shard in range(number)]
        #: Of each finished shard, the key behind which nothing that matters can come.
        self.ends: dict[int, str] = {}


class FinishedShards:
    """What this process has seen of each job. Good for any reader here that has come as far."""

    def __init__(self) -> None:
        self._jobs: dict[str, _Job] = {}

    def note(self, header: JobHeader, shard: int, last: str, events: Iterable[Event]) -> None:
        """Take into account what was read of a shard, up to the key `last`."""
        job = self._jobs.get(header.id)
        if job is None:
            if len(self._jobs) >= _JOBS:
                self._jobs.clear()
            job = self._jobs[header.id] = _Job(header.count)
        good = job.good
        for event in events:
            if event.status in GOOD and 0 <= event.index < len(good) and not good[event.index]:
                good[event.index] = 1
                job.open[shard] -= 1
        if not job.open[shard]:
            job.ends.setdefault(shard, last)

    def asker(self, job_id: str, channel: Channel) -> Callable[[int, str], bool]:
        """Tells of a shard, and the last key a reader has seen of it, whether that reader is done with it."""
        job = self._jobs.get(job_id)
        if job is None or channel != "state":
            return lambda *_: False
        ends = job.ends
        return lambda shard, seen: shard in ends and seen >= ends[shard]
