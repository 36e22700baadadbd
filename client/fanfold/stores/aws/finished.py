"""Which shards a reader is done with: those in which every run has a good result, which nothing can take away."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from fanfold.contract.cloud import shards
from fanfold.models import GOOD, Event, JobHeader

#: Runs of all readings together that are remembered; a byte a run.
_RUNS = 16 << 20
#: What a reading takes besides, in runs.
_READING_RUNS = 1_000


class _Found:
    def __init__(self, count: int) -> None:
        self.good = bytearray(count)
        number = shards(count)
        #: Runs of each shard without a good result so far.
        self.open = [len(range(shard, count, number)) for shard in range(number)]


class FinishedShards:
    """What each reading of a job has found in it.

    What another reading has found tells nothing: an event that came late, behind what this one had read, it has to find
    by itself.
    """

    def __init__(self) -> None:
        #: The one that went on longest ago comes first.
        self._readings: OrderedDict[str, _Found] = OrderedDict()
        self._runs = 0

    def note(self, reading: str, header: JobHeader, pages: Iterable[tuple[int, list[Event]]]) -> None:
        """Take into account what a reading has read: events by shard."""
        found = self._readings.get(reading) or self._new(reading, header)
        self._readings.move_to_end(reading)
        good = found.good
        for shard, events in pages:
            for event in events:
                if event.status in GOOD and 0 <= event.index < len(good) and not good[event.index]:
                    good[event.index] = 1
                    found.open[shard] -= 1

    def asker(self, reading: str) -> Callable[[int], bool]:
        """Tells of a shard whether a reading is done with it."""
        found = self._readings.get(reading)
        return lambda shard: found is not None and not found.open[shard]

    def _new(self, reading: str, header: JobHeader) -> _Found:
        """Remember one more reading, and forget as many as make room for it."""
        found = self._readings[reading] = _Found(header.count)
        self._runs += header.count + _READING_RUNS
        while self._runs > _RUNS and len(self._readings) > 1:
            _, oldest = self._readings.popitem(last=False)
            self._runs -= len(oldest.good) + _READING_RUNS
        return found
