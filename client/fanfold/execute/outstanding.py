"""The calls that are out: in the queue, or with a worker."""

import itertools
import math
from collections.abc import Collection
from typing import NamedTuple

from fanfold.execute.calls import Call
from fanfold.execute.serving import Serving

#: How long a call may be with nobody before it counts as lost: a worker says within milliseconds what it has taken.
_LOST_AFTER_S = 1.0


class Sent(NamedTuple):
    """A call that is out, and the book it stands in."""

    serving: Serving
    call: Call


class Outstanding:
    """Calls that are out, by number. A later call has a higher number, and the queue keeps their order."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._sent: dict[int, Sent] = {}
        self._latest_begun = -1
        self._suspects: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._sent)

    def __getitem__(self, number: int) -> Sent:
        return self._sent[number]

    def next_number(self) -> int:
        """A number for the next call to be sent."""
        return next(self._numbers)

    def add(self, number: int, serving: Serving, call: Call) -> None:
        """Note that a call is out."""
        self._sent[number] = Sent(serving, call)
        serving.out += 1

    def begin(self, number: int) -> Sent | None:
        """A worker has begun the call; None where it is no longer expected of anybody."""
        self._latest_begun = max(self._latest_begun, number)
        return self._sent.get(number)

    def close(self, number: int) -> Sent | None:
        """The call is no longer out; None where it has not been."""
        sent = self._sent.pop(number, None)
        if sent is not None:
            sent.serving.out -= 1
            sent.serving.forget_start(number)
        return sent

    def suspect(self, held: Collection[int]) -> None:
        """A worker has died: it may have taken any call that is not `held` by another, and not lived to say so."""
        for number in self._sent.keys() - held:
            self._suspects.setdefault(number, math.inf)

    def lost(self, held: Collection[int], now: float, *, queue_empty: bool) -> list[int]:
        """The calls that died with a worker before it could say that it had taken them.

        There is nothing to see of such a call but that the queue has gone past it and no worker has begun it.
        """
        if not self._suspects:
            return []
        self._suspects = {
            number: min(since, now if queue_empty or number < self._latest_begun else math.inf)
            for number, since in self._suspects.items()
            if number in self._sent and number not in held
        }
        return sorted(number for number, since in self._suspects.items() if now - since > _LOST_AFTER_S)
