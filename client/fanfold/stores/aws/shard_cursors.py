"""Where a reader of a job's shards is, and where its next round begins.

What is written sorts by its writer's clock, and clocks differ. So no position is ahead of the reader's own time, each
round begins a moment before the last one's end, every few seconds what lies behind is looked at again, and a shard that
has been quiet for a while is looked at from minutes back.

Looking again costs a reader as much as what is new, and almost always nothing came late. So where there are many items
to look at again, they are counted, which costs a reader nothing, and read only where there are more than it has read.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from operator import attrgetter
from secrets import token_hex

from fanfold.contract.cloud import shards
from fanfold.contract.records import NamedTuple
from fanfold.core.models import GOOD, Event, JobHeader

#: Before any key; DynamoDB compares with no empty text.
BEGINNING = "0"
#: Covers writes that were under way side by side.
_OVERLAP_S = 0.3
#: Covers eventually consistent reads and a write that was tried again; and how often that is looked for.
_LOOK_BACK_S, _LOOK_BACK_EVERY_S = 2.0, 3.0
#: So many items are read again rather than counted: the round asks for what follows them anyway.
_FEW = 300
#: Covers clocks that are wrong by minutes, and a throttle that held a write up.
_LOOK_FAR_BACK_S = 240.0
#: After this long without news a shard is looked at from far back, and again after as long as it has been quiet.
_QUIET_S = 3.0


def iso(at: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC, with milliseconds: what event sort keys begin with."""
    whole, thousandths = divmod(int(at * 1000), 1000)
    return f"{datetime.fromtimestamp(whole, timezone.utc).isoformat()[:19]}.{thousandths:03d}Z"


class Window(NamedTuple):
    """Part of a shard, from behind one key to another, and how many items a reader has read of it."""

    after: str
    until: str
    items: int


@dataclass(slots=True)
class ShardCursor:
    """A reader's place in one shard.

    `key` is the last it has seen, and all up to `begins` is read; the next round begins behind that. It remembers how
    many items it has read between the last two looks back, behind `far`, and since, behind `near`. So each is looked at
    twice, and once at least when a write that took seconds is over.
    """

    key: str = ""
    begins: str = BEGINNING
    far: str = BEGINNING
    near: str = BEGINNING
    behind_far: int = 0
    behind_near: int = 0
    looked_back_at: float = 0.0
    #: When it first found no news after some, 0 while there are; and when it last looked far back.
    quiet_since: float = 0.0
    swept_at: float = 0.0
    #: Nothing more will come.
    done: bool = False

    def start(self, now: float) -> tuple[str, Window | None]:
        """The key behind which the next round begins; and what is to be counted first, if anything is."""
        if not self.key:
            self.looked_back_at = now
            return BEGINNING, None
        quiet = self.quiet_since and now - self.quiet_since > _QUIET_S
        if quiet and now - self.swept_at > max(_QUIET_S, self.swept_at - self.quiet_since):
            self.swept_at = now
            return iso(min(seconds(self.key), now) - _LOOK_FAR_BACK_S), None
        if now - self.looked_back_at < _LOOK_BACK_EVERY_S:
            return self.begins, None
        window = Window(self.far, self.begins, self.behind_far + self.behind_near)
        self.looked_back_at = now
        self.far, self.near = self.near, self.begins
        self.behind_far, self.behind_near = self.behind_near, 0
        return (self.begins, window) if window.items > _FEW else (self.read_again(window), None)

    def read_again(self, window: Window) -> str:
        """Have the next round begin where a window does; returns that key."""
        self.far = self.near = self.begins = window.after
        self.behind_far = self.behind_near = 0
        return window.after

    def note(self, keys: Sequence[str], *, more: bool, now: float) -> bool:
        """Note the keys of a page, and whether more follows. True where the last was news."""
        last = keys[-1] if keys else ""
        if keys:
            self._count(keys, last if more else iso(min(seconds(last), now) - _OVERLAP_S), now)
        news = last > self.key
        if news:
            self.key, self.quiet_since = last, 0.0
        elif not more and not self.quiet_since:
            self.quiet_since = now
        return news

    def _count(self, keys: Sequence[str], read_to: str, now: float) -> None:
        """Note that all up to `read_to` has been read, by now."""
        if self.far == self.begins:  # all is read for the first time, or again: what is as old as this is all there
            self.far = self.near = self.begins = max(self.begins, min(iso(now - _LOOK_BACK_S), keys[-1]))
        if read_to > self.begins:
            self.behind_near += bisect_right(keys, read_to) - bisect_right(keys, self.begins)
            self.begins = read_to


#: A cursor as values, in their order. `astuple` copies each, which took half of a round without news.
_values_of = attrgetter(*(one.name for one in fields(ShardCursor)))


@dataclass(slots=True)
class Reading:
    """All of a reader's cursors. `todo` are the shards that this round has not come to the end of, and from where."""

    #: Of this reader alone, from its first round to its last.
    id: str
    cursors: list[ShardCursor]
    todo: dict[int, str] = field(default_factory=dict)
    #: Set between a round that brought something and the next: what had been appended here by then.
    rested: str | None = None
    #: How often the job had been reopened when this round began.
    reopened: int = 0

    @classmethod
    def of(cls, cursor: str | None, shards: int) -> Reading:
        """The reading that a cursor tells of; from the beginning without one."""
        if cursor is None:
            return cls(token_hex(8), [ShardCursor() for _ in range(shards)])
        told = json.loads(cursor)
        todo = {int(shard): start for shard, start in told["todo"].items()}
        cursors = [ShardCursor(*one) for one in told["at"]]
        return cls(told["id"], cursors, todo, told["rested"], told["reopened"])

    def to_cursor(self) -> str:
        """Where to go on, as text."""
        at = [_values_of(one) for one in self.cursors]
        told = {"id": self.id, "at": at, "todo": self.todo, "rested": self.rested, "reopened": self.reopened}
        return json.dumps(told, separators=(",", ":"))

    def begin(self, now: float, count: Callable[[dict[int, Window]], dict[int, int]]) -> None:
        """Begin a round over every shard that is not known to be done. `count` counts the items of windows."""
        windows: dict[int, Window] = {}
        for shard, position in enumerate(self.cursors):
            if not position.done:
                self.todo[shard], window = position.start(now)
                if window is not None:
                    windows[shard] = window
        for shard, found in (count(windows) if windows else {}).items():
            if found > windows[shard].items:
                self.todo[shard] = self.cursors[shard].read_again(windows[shard])

    def settle(self, finished: Callable[[int], bool]) -> None:
        """Note for good which shards are done: who told of it may forget."""
        for shard, position in enumerate(self.cursors):
            position.done = position.done or finished(shard)

    def note(self, shard: int, keys: Sequence[str], *, more: bool, now: float) -> bool:
        """Note the keys of a page of a shard, and whether more follows. True where the last was news."""
        if not more:
            del self.todo[shard]
        elif keys:
            self.todo[shard] = keys[-1]
        return self.cursors[shard].note(keys, more=more, now=now)


def reopened_as_of(cursor: str) -> int:
    """How often a job had been reopened when the round of this cursor began."""
    reopened: int = json.loads(cursor)["reopened"]
    return reopened


def seconds(key: str) -> float:
    """When a sort key says it was written, in seconds since 1970."""
    whole, _, fraction = key.partition("#")[0].removesuffix("Z").partition(".")
    # Python 3.10 reads three digits of a second or six, and no others.
    return datetime.fromisoformat(f"{whole}.{fraction or '0':0<6.6}+00:00").timestamp()


# Which shards a reader is done with: those in which every run has a good result, which nothing can take away.

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


class CompletedShards:
    """What each reading of a job has found in it.

    What another reading has found tells nothing: an event that came late, behind what this one had read, it has to find
    by itself.
    """

    def __init__(self) -> None:
        #: The one that went on longest ago comes first.
        self.readings: OrderedDict[str, _Found] = OrderedDict()
        self._runs = 0

    def note(self, reading: str, header: JobHeader, pages: Iterable[tuple[int, list[Event]]]) -> None:
        """Take into account what a reading has read: events by shard."""
        found = self.readings.get(reading) or self._new(reading, header)
        self.readings.move_to_end(reading)
        good = found.good
        for shard, events in pages:
            for event in events:
                if event.status in GOOD and 0 <= event.index < len(good) and not good[event.index]:
                    good[event.index] = 1
                    found.open[shard] -= 1

    def asker(self, reading: str) -> Callable[[int], bool]:
        """Tells of a shard whether a reading is done with it."""
        found = self.readings.get(reading)
        return lambda shard: found is not None and not found.open[shard]

    def _new(self, reading: str, header: JobHeader) -> _Found:
        """Remember one more reading, and forget as many as make room for it."""
        found = self.readings[reading] = _Found(header.count)
        self._runs += header.count + _READING_RUNS
        while self._runs > _RUNS and len(self.readings) > 1:
            _, oldest = self.readings.popitem(last=False)
            self._runs -= len(oldest.good) + _READING_RUNS
        return found
