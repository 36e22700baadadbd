"""How many runs of a job may begin in a time: `rate="20/s"`. Loaded for jobs that have a rate, and no others."""

from __future__ import annotations

import math
import re

from fanfold.errors import InputError

_RATE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*/\s*([smh])\s*", re.ASCII)
_PERIODS_S = {"s": 1, "m": 60, "h": 3600}

#: Each beginning in AWS is a write to one item, of which a table takes 1,000 a second.
MOST_PER_S = 500.0
#: A function waits for its turn, which is paid for: by default so many run side by side as begin in this time, ...
_SHORT_S = 2.0
#: ... and a turn is never further away than this.
_LONGEST_WAIT_S = 60.0


def parse_rate(given: str | float | None) -> float:
    """Runs a second in "20/s", "100/m", "500/h" or a number; 0 for None. Raises `InputError` for anything else."""
    if given is None:
        return 0.0
    rate = math.nan
    if isinstance(given, str) and (match := _RATE.fullmatch(given)):
        rate = float(match[1]) / _PERIODS_S[match[2]]
    elif isinstance(given, (int, float)) and not isinstance(given, bool):
        rate = float(given)
    if not 0 < rate <= MOST_PER_S:
        raise InputError(
            f"rate={given!r} is not a rate.",
            next_step=f'write "20/s", "100/m", "500/h", or a number of runs a second, {MOST_PER_S:g} at most.',
        )
    return rate


def written(rate: float) -> str:
    """A rate as one would write it."""
    per, seconds = next(((p, s) for p, s in _PERIODS_S.items() if rate * s >= 1), ("h", 3600))
    return f"{rate * seconds:g}/{per}"


def functions_at_once(rate: float) -> int:
    """How many runs there are side by side where the call does not say: each waits for its turn for some seconds."""
    return max(1, math.ceil(rate * _SHORT_S))


def check_waits(rate: float, max_workers: int | None) -> None:
    """Raises `InputError` where a function would wait so long for its turn that too little of its time is left."""
    at_once = max_workers or functions_at_once(rate)
    if at_once / rate <= _LONGEST_WAIT_S:
        return
    if rate * _LONGEST_WAIT_S < 1:
        raise InputError(
            f"rate={written(rate)!r} is too slow for functions, which would wait for their turn, and have 120 s.",
            next_step='use a machine (instance_type="small"), or engine="local".',
        )
    raise InputError(
        f"With rate={written(rate)!r} and max_workers={at_once}, a function would wait {at_once / rate:.0f} s.",
        next_step=f"max_workers={math.floor(rate * _LONGEST_WAIT_S)} or fewer, or leave it out.",
    )


class Evenly:
    """When the next run may begin, of a job that one process runs: one after the other, at even distances."""

    def __init__(self, rate: float) -> None:
        self._gap_s = 1 / rate
        self._next_at = -math.inf

    def begins(self, now: float) -> bool:
        """Whether a run may begin now (time.monotonic seconds); it counts as begun then."""
        if now < self._next_at:
            return False
        # Who comes a little late for one turn is not late for all that follow; who comes for none gathers no turns.
        self._next_at = (self._next_at if now - self._next_at < self._gap_s else now) + self._gap_s
        return True

    def wait_s(self, now: float) -> float:
        """Seconds until the next run may begin."""
        return max(0.0, self._next_at - now)
