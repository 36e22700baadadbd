"""The services that runs queue for, in a simulation: functions' environments, and whatever serves so many a second."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Generator
from typing import Any

import simpy

from fanfold.submission.limits import Limits

Steps = Generator[simpy.Event, Any, Any]


#: What runs wait for where the account's quota is used up.
AT_ONCE = "functions at once in the account"


class Waits(Counter[str]):
    """Seconds that runs have waited, by what for."""

    @property
    def longest(self) -> str:
        """What they have waited for longest, or nothing where that is under a second in all."""
        name, seconds = max(self.items(), key=lambda item: item[1], default=("", 0.0))
        return name if seconds >= 1 else "nothing"


class Rate:
    """Serves one request after another, so many a second."""

    def __init__(self, env: simpy.Environment, name: str, per_s: float, waits: Waits) -> None:
        self._env, self._name, self._each_s, self._waits = env, name, 1 / per_s, waits
        self._free_at = 0.0

    def turn(self, count: int = 1) -> simpy.Timeout:
        """Until this request has been served."""
        began = max(self._env.now, self._free_at)
        self._free_at = began + count * self._each_s
        wait_s = began - self._env.now
        self._waits[self._name] += wait_s * count  # type: ignore[assignment]
        return self._env.timeout(wait_s)


class Functions:
    """The environments of a function and its clones: some warm, and new ones as fast as AWS makes them."""

    def __init__(self, env: simpy.Environment, limits: Limits, waits: Waits, *, clones: int, warm: int) -> None:
        self._env, self._limits, self._waits = env, limits, waits
        self._idle, self._all = warm, warm
        self._new = limits.new_environments * clones
        self._queue: deque[simpy.Event] = deque()
        env.process(self._refill(limits.new_environments * clones))

    def take(self) -> simpy.Event:
        """An environment, as soon as there is one; the event's value says whether it is a new one."""
        event = self._env.event()
        self._queue.append(event)
        self._hand_out()
        return event

    def take_at_once(self) -> bool | None:
        """An environment, whether it is a new one; None where the call is throttled."""
        if self._idle:
            self._idle -= 1
            return False
        if self._new and self._all < self._limits.concurrency:
            self._new -= 1
            self._all += 1
            return True
        return None

    def give_back(self) -> None:
        """The run in an environment has ended."""
        self._idle += 1
        self._hand_out()

    def note(self, asked_at: float) -> None:
        """Something asked for an environment at that time has it now."""
        full = self._all >= self._limits.concurrency
        name = AT_ONCE if full else "new environments"
        self._waits[name] += self._env.now - asked_at  # type: ignore[assignment]

    def _hand_out(self) -> None:
        while self._queue and self._idle:
            self._idle -= 1
            self._queue.popleft().succeed(False)
        while self._queue and self._new and self._all < self._limits.concurrency:
            self._new -= 1
            self._all += 1
            self._queue.popleft().succeed(True)

    def _refill(self, most: int) -> Steps:
        pieces = 20
        while True:
            yield self._env.timeout(self._limits.refill_s / pieces)
            self._new = min(most, self._new + most // pieces)
            self._hand_out()
