"""Where a reader of a job's shards is, and where its next round begins.

What is written sorts by its writer's clock, and clocks differ. So no position is ahead of the reader's own time, each
round looks back a moment, one every few seconds further, and one that has been quiet for a while for minutes. What is
read again costs as much as what is new: a round four times a second that looked back 2 s would read all nine times.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from datetime import datetime, timezone

from fanfold.stores.aws.items import iso

#: Before any key; DynamoDB compares with no empty text.
BEGINNING = "0"
#: Covers writes that were under way side by side.
_OVERLAP_S = 0.3
#: Covers eventually consistent reads and a write that was tried again; and how often that is looked for.
_LOOK_BACK_S, _LOOK_BACK_EVERY_S = 2.0, 3.0
#: Covers clocks that are wrong by minutes, and a throttle that held a write up.
_LOOK_FAR_BACK_S = 240.0
#: After this long without news a shard is looked at from far back, and again after as long as it has been quiet.
_QUIET_S = 3.0


@dataclass(slots=True)
class Position:
    """A reader's place in one shard: the last key it has seen, and when it last looked far back.

    `quiet_since` is when it first found no news after some; 0 while there are. `done`: nothing more will come.
    `looked_back_at` is when it last looked back, and `from_then_on` how far it had seen when it had; 0 until then.
    """

    key: str = ""
    quiet_since: float = 0.0
    swept_at: float = 0.0
    done: bool = False
    looked_back_at: float = 0.0
    from_then_on: float = 0.0

    def start(self, now: float) -> str:
        """The key behind which the next round begins."""
        if not self.key:
            return BEGINNING
        seen = min(seconds(self.key), now)
        quiet = self.quiet_since and now - self.quiet_since > _QUIET_S
        if quiet and now - self.swept_at > max(_QUIET_S, self.swept_at - self.quiet_since):
            self.swept_at = now
            return iso(seen - _LOOK_FAR_BACK_S)
        if now - self.looked_back_at >= _LOOK_BACK_EVERY_S:
            since, self.looked_back_at, self.from_then_on = self.from_then_on or seen, now, 0.0
            return iso(min(since, seen) - _LOOK_BACK_S)
        self.from_then_on = self.from_then_on or seen
        return iso(seen - _OVERLAP_S)


@dataclass(slots=True)
class Reading:
    """All of a reader's positions. `todo` are the shards that this round has not come to the end of, and from where."""

    positions: list[Position]
    todo: dict[int, str] = field(default_factory=dict)
    #: Set between a round that brought something and the next: what had been appended here by then.
    rested: str | None = None

    @classmethod
    def of(cls, cursor: str | None, shards: int) -> Reading:
        """The reading that a cursor tells of; from the beginning without one."""
        if cursor is None:
            return cls([Position() for _ in range(shards)])
        told = json.loads(cursor)
        todo = {int(shard): start for shard, start in told["todo"].items()}
        return cls([Position(*one) for one in told["at"]], todo, told["rested"])

    def to_cursor(self) -> str:
        """Where to go on, as text."""
        at = [astuple(one) for one in self.positions]
        return json.dumps({"at": at, "todo": self.todo, "rested": self.rested}, separators=(",", ":"))

    def begin(self, now: float) -> None:
        """Begin a round over every shard that is not known to be done."""
        for shard, position in enumerate(self.positions):
            if not position.done:
                self.todo[shard] = position.start(now)

    def settle(self, finished: Callable[[int, str], bool]) -> None:
        """Note for good which shards are done: who told of it may forget."""
        for shard, position in enumerate(self.positions):
            position.done = position.done or finished(shard, position.key)

    def note(self, shard: int, last: str, *, more: bool, now: float) -> bool:
        """Note the last key of a page of a shard, and whether more follows. True where that was news."""
        position = self.positions[shard]
        news = last > position.key
        if news:
            position.key, position.quiet_since = last, 0.0
        elif not more and not position.quiet_since:
            position.quiet_since = now
        if more:
            self.todo[shard] = last
        else:
            del self.todo[shard]
        return news


def seconds(key: str) -> float:
    """When a sort key says it was written, in seconds since 1970."""
    stamp = key.partition("#")[0].removesuffix("Z")
    form = "%Y-%m-%dT%H:%M:%S.%f" if "." in stamp else "%Y-%m-%dT%H:%M:%S"
    return datetime.strptime(stamp, form).replace(tzinfo=timezone.utc).timestamp()
