"""Runs that may have two tries at once (`submit(hedge=True)`): which are open, and when a duplicate is worth it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from math import inf

#: A duplicate starts when a run has taken so many times what three of four runs take, and this many seconds at least.
TIMES_P75, LEAST_S = 2.0, 0.5
#: So many runs have ended before anything is known.
_LEAST_ENDED = 3


def patience_s(durations_s: Collection[float], running: int) -> float | None:
    """How long a run may take before it gets a duplicate; None where that is not known yet.

    The p75 is that of all runs that have begun: a run that still runs counts as longer than those that have ended. So
    no more than a quarter of what has begun is ever duplicated.
    """
    if not enough_have_ended(len(durations_s), running):
        return None
    return max(LEAST_S, TIMES_P75 * sorted(durations_s)[_place(len(durations_s) + running) - 1])


def enough_have_ended(ended: int, running: int) -> bool:
    """Whether it is known what three of four runs take."""
    return ended >= max(_LEAST_ENDED, _place(ended + running))


def _place(begun: int) -> int:
    return math.ceil(0.75 * begun)


class OpenTries:
    """The tries of each run that have started and not ended, whatever the order in which that is told."""

    def __init__(self) -> None:
        self._started: dict[int, dict[int, float]] = {}
        self._ended: dict[int, dict[int, float]] = {}

    def start(self, index: int, attempt: int, at: float) -> None:
        """A try has started (seconds since 1970)."""
        started = self._started.setdefault(index, {})
        started[attempt] = min(at, started.get(attempt, at))

    def end(self, index: int, attempt: int, at: float) -> None:
        """A try has ended (seconds since 1970)."""
        ended = self._ended.setdefault(index, {})
        ended[attempt] = min(at, ended.get(attempt, at))

    def forget(self, index: int) -> None:
        """The run has its result."""
        self._started.pop(index, None)
        self._ended.pop(index, None)

    def open(self, index: int) -> dict[int, float]:
        """The open tries of a run, each with when it started."""
        ended = self._ended.get(index, ())
        return {attempt: at for attempt, at in self._started.get(index, {}).items() if attempt not in ended}

    def had_duplicate(self, index: int, first_attempt: int) -> bool:
        """Whether two of a run's tries have gone on at once, of those from `first_attempt` on."""
        started, ended = self._started.get(index, {}), self._ended.get(index, {})
        return any(
            attempt >= first_attempt and at < ended.get(attempt - 1, inf)
            for attempt, at in started.items()
            if attempt - 1 in started
        )

    def latest(self, index: int) -> tuple[int, float] | None:
        """The open try with the highest number, and when it started."""
        return max(self.open(index).items(), default=None)

    def highest(self, index: int) -> int:
        """The highest number of any try that has started or ended; -1 for none."""
        return max([*self._started.get(index, ()), *self._ended.get(index, ())], default=-1)

    def alone(self) -> Iterator[tuple[int, int, float]]:
        """Runs with one open try: the run, the try, and when it started."""
        for index in self._started:
            tries = self.open(index)
            if len(tries) == 1:
                yield index, *next(iter(tries.items()))
