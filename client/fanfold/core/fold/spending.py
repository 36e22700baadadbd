"""What attempts took that do not count (any more): AWS bills them like those that do.

Like the fold, it depends on which events there are, and neither on their order nor on how often they come.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan
from typing import NamedTuple

from fanfold.core.fold.columns import Columns


class Ended(NamedTuple):
    """A terminal event that does not count: what its attempt took (NaN where that was not told) and when it ended."""

    attempt: int
    duration_s: float
    at: float


class Unmeasured(NamedTuple):
    """An attempt that began and of which nobody has told what it took; `ended_at` is when its end was noticed."""

    index: int  # type: ignore[assignment]  # tuple.index is of no use here
    attempt: int
    began_at: float
    ended_at: float | None


class Spending:
    """The attempts of a job's runs beside the one of each run that counts, which is in `columns`."""

    __slots__ = ("_begun", "_columns", "_machines", "_others")

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._others: dict[int, dict[str, Ended]] = {}
        self._begun: dict[int, dict[int, float]] = {}
        self._machines: dict[str, float] = {}

    def begin(self, index: int, attempt: int, at: float) -> None:
        """An attempt has begun."""
        columns = self._columns
        if columns.attempts[index] == attempt and not isnan(columns.duration_s[index]):
            return  # it has ended and told what it took, as nearly all do
        begun = self._begun.setdefault(index, {})
        begun[attempt] = min(at, begun.get(attempt, at))

    def end(self, index: int, event_id: str, ended: Ended) -> None:
        """A terminal event does not count, or does not any more."""
        if ended.attempt >= 0 and self._columns.event_id(index) != event_id:
            self._others.setdefault(index, {})[event_id] = ended

    def replace(self, index: int) -> None:
        """The terminal event that has counted so far is about to be replaced."""
        columns, attempt = self._columns, self._columns.attempts[index]
        if attempt >= 0:
            ended = Ended(attempt, columns.duration_s[index], columns.finished_at[index])
            self._others.setdefault(index, {})[columns.event_id(index)] = ended

    def settle(self, index: int, event_id: str) -> None:
        """The terminal event that counts is another now: an attempt that it measures needs no start any more."""
        others = self._others.get(index)
        if others is not None:
            others.pop(event_id, None)
        begun = self._begun.get(index)
        if begun is not None and not isnan(self._columns.duration_s[index]):
            begun.pop(self._columns.attempts[index], None)
            if not begun:
                del self._begun[index]

    def see_machine(self, name: str, at: float) -> None:
        """A machine has told something of itself at a moment."""
        self._machines[name] = min(at, self._machines.get(name, at))

    def first_seen(self, machine: str) -> float:
        """When a machine told of itself for the first time (seconds since 1970)."""
        return self._machines[machine]

    def superseded_s(self) -> list[float]:
        """The seconds of each attempt that was measured and does not count."""
        ends = (ended for others in self._others.values() for ended in others.values())
        return [ended.duration_s for ended in ends if not isnan(ended.duration_s)]

    def unmeasured(self) -> Iterator[Unmeasured]:
        """The attempts that began and of which no terminal event tells what they took."""
        for index, begun in self._begun.items():
            ends = self._ends_of(index)
            measured = {ended.attempt for ended in ends if not isnan(ended.duration_s)}
            for attempt, began_at in begun.items():
                if attempt not in measured:
                    noticed = [ended.at for ended in ends if ended.attempt == attempt]
                    yield Unmeasured(index, attempt, began_at, max(noticed, default=None))

    def _ends_of(self, index: int) -> list[Ended]:
        columns = self._columns
        counts = Ended(columns.attempts[index], columns.duration_s[index], columns.finished_at[index])
        return [*self._others.get(index, {}).values(), counts]
