"""Which shards need not be read again: those in which every run has a good result, which nothing can take away."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from fanfold.contract.cloud import shards
from fanfold.models import GOOD, Event, JobHeader
from fanfold.stores.protocols import Channel

#: Runs of all jobs together that are remembered; a byte a run.
_RUNS = 16 << 20
#: What a job takes besides, in runs.
_JOB_RUNS = 1_000


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
        #: The one that was read longest ago comes first.
        self._jobs: OrderedDict[str, _Job] = OrderedDict()
        self._runs = 0

    def note(self, header: JobHeader, shard: int, last: str, events: Iterable[Event]) -> None:
        """Take into account what was read of a shard, up to the key `last`."""
        job = self._jobs.get(header.id) or self._new(header)
        self._jobs.move_to_end(header.id)
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

    def _new(self, header: JobHeader) -> _Job:
        """Remember one more job, and forget as many as make room for it."""
        job = self._jobs[header.id] = _Job(header.count)
        self._runs += header.count + _JOB_RUNS
        while self._runs > _RUNS and len(self._jobs) > 1:
            _, oldest = self._jobs.popitem(last=False)
            self._runs -= len(oldest.good) + _JOB_RUNS
        return job
