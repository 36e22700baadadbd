"""A plan: what a submit would take, as a table for people and as numbers for programs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from fanfold.amounts import Seconds, about_dollars, about_seconds
from fanfold.estimate import Observed, Span, Way

#: As wide as a plan gets.
_COLUMNS = 80


@dataclass(frozen=True, repr=False)
class Plan:
    """What a submit would take, by each way to run it. Times are seconds, memory is MiB."""

    udf: str
    count: int
    ways: tuple[Way, ...]
    #: The way that `submit` takes with the same arguments, and the one that seems best, with the reason.
    asked: str
    recommended: str
    reason: str
    #: What one run takes, and where that is from; None where nothing is known, nor left to run.
    observed: Observed | None = None
    #: Of when and where the prices are, such as "2026-10 in us-east-1".
    prices: str = ""

    def way(self, name: str) -> Way:
        """One way by its name: "local", "realtime", or an instance type."""
        return next(way for way in self.ways if way.name == name)

    @property
    def cached(self) -> int:
        """How many inputs `submit` would answer from the cache."""
        return self.way(self.asked).cached

    @property
    def to_run(self) -> int:
        """How many inputs `submit` would run."""
        return self.way(self.asked).to_run

    @property
    def time_s(self) -> Span:
        """How long `submit` would take."""
        return self.way(self.asked).time_s

    @property
    def usd(self) -> Span:
        """What `submit` would cost."""
        return self.way(self.asked).usd

    def rows(self) -> list[tuple[str, ...]]:
        """The table's cells, its head first."""
        head = ("way", "cached", "to run", "time", "dollars", "")
        return [head, *(self._row(way) for way in self.ways)]

    def _row(self, way: Way) -> tuple[str, ...]:
        note = way.obstacle or ", ".join(
            note
            for note, holds in (("recommended", way.name == self.recommended), ("as asked", way.name == self.asked))
            if holds
        )
        name, to_run, time, usd = self._line(way)
        return name, f"{way.cached:,}", to_run, time, usd, note

    def __str__(self) -> str:
        rows = [("way", "to run", "time", "dollars"), *(self._line(way) for way in self.ways)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [self._title()]
        for name, to_run, time, usd in rows:
            mark = "*" if name == self.recommended else " "
            cells = (name.ljust(widths[0]), to_run.rjust(widths[1]), time.ljust(widths[2]), usd)
            lines.append(f"{mark} {'  '.join(cells)}".rstrip())
        return "\n".join([*lines, *(line for note in self._notes() for line in _wrapped(note))])

    __repr__ = __str__

    def _title(self) -> str:
        known = {way.cached for way in self.ways}
        cached = f", {known.pop():,} of them cached" if len(known) == 1 and known != {0} else ""
        return f"{self.udf} over {self.count:,} inputs{cached}"

    def _line(self, way: Way) -> tuple[str, ...]:
        return way.name, f"{way.to_run:,}", way.time_s.about(about_seconds), way.usd.about(about_dollars)

    def _notes(self) -> Iterator[str]:
        """What is said below the table."""
        yield f"* {self.recommended}: {self.reason}"
        if self.asked != self.recommended:
            yield f"  asked for: {self.asked}"
        yield from (f"  {way.name}: {way.obstacle}" for way in self.ways if way.obstacle)
        yield from (f"  {line}" for line in self._below())

    def _below(self) -> Iterator[str]:
        yield self._per_run()
        if self.prices:
            yield f"(from the least to the most); prices of {self.prices}"

    def _repr_html_(self) -> str:
        from html import escape

        cell = "<{0} style='text-align:left'>{1}</{0}>".format
        rows = (
            "<tr>" + "".join(cell("td" if number else "th", escape(text)) for text in row) + "</tr>"
            for number, row in enumerate(self.rows())
        )
        title, end = f"{escape(self.udf)}</b> over {self.count:,} inputs", f"{self.recommended}: {self.reason}"
        below = "".join(f"<div>{escape(line)}</div>" for line in (end, *self._below()))
        return f"<div><b>{title}<table>{''.join(rows)}</table>{below}</div>"

    def _per_run(self) -> str:
        if self.observed is None:
            return "what a run takes is not known"
        mean = self.observed.mean_s().each(Seconds)
        peak = f"{self.observed.peak_memory_mib:,.0f} MiB at the highest"
        return f"a run takes {mean}, {peak}: from {self.observed.basis}"


def _wrapped(note: str) -> list[str]:
    """A note in as many lines as 80 columns need, the later ones set in."""
    return textwrap.wrap(note, _COLUMNS, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
