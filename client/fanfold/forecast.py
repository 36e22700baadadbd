"""A plan: what a submit would take, as a table for people and as numbers for programs."""

from __future__ import annotations

from dataclasses import dataclass

from fanfold.amounts import Seconds
from fanfold.estimate import Observed, Span, Way


@dataclass(frozen=True)
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
        return way.name, f"{way.cached:,}", f"{way.to_run:,}", str(way.time_s), str(way.usd), note

    def __str__(self) -> str:
        rows = self.rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [f"{self.udf} over {self.count:,} inputs"]
        for name, cached, to_run, time, usd, note in rows:
            cells = (name.ljust(widths[0]), cached.rjust(widths[1]), to_run.rjust(widths[2]))
            lines.append("  ".join((" ", *cells, time.ljust(widths[3]), usd.ljust(widths[4]), note)).rstrip())
        return "\n".join([*lines, f"  {self._per_run()}", f"  {self.recommended}: {self.reason}"])

    def _repr_html_(self) -> str:
        from html import escape

        cell = "<{0} style='text-align:left'>{1}</{0}>".format
        rows = (
            "<tr>" + "".join(cell("td" if number else "th", escape(text)) for text in row) + "</tr>"
            for number, row in enumerate(self.rows())
        )
        title, end = f"{escape(self.udf)}</b> over {self.count:,} inputs", f"{self.recommended}: {self.reason}"
        below = f"<div>{escape(self._per_run())}</div><div>{escape(end)}</div>"
        return f"<div><b>{title}<table>{''.join(rows)}</table>{below}</div>"

    def _per_run(self) -> str:
        if self.observed is None:
            return "what a run takes is not known"
        mean = self.observed.mean_s().each(Seconds)
        peak = f"{self.observed.peak_memory_mib:,.0f} MiB at the highest"
        return f"a run takes {mean}, {peak}: from {self.observed.basis}"
