"""Totals over all jobs: by day, by owner or by UDF, of the last week, month or ever."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from nicegui import ui

from fanfold.contract.records import NamedTuple
from fanfold.core.formatting import duration
from fanfold.workbench.job.charts import totals_options
from fanfold.workbench.jobs.table import JobsTable
from fanfold.workbench.layout import choice, element, every, set_text, show_silence, text

_BY = {"day": "day", "owner": "owner", "name": "UDF"}
_AGES = {"604800": "the last week", "2592000": "the last month", "0": "any time"}
_LOOK_S = 2.0
#: As many days, owners or UDFs are drawn.
_DRAWN = 60
_TITLES = ("jobs", "runs", "failed", "compute time", "cost")


class Total(NamedTuple):
    """What the jobs of one day, owner or UDF come to: compute time in seconds, cost in dollars."""

    name: str
    jobs: int
    runs: int
    failed: int
    busy_s: float
    usd: float


def totals(rows: Iterable[Mapping[str, Any]], by: str, since: float) -> list[Total]:
    """The totals of the jobs that were started after `since` (seconds since 1970); days newest first, else by time."""
    groups: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["created"] >= since:
            day = time.strftime("%Y-%m-%d", time.localtime(row["created"]))
            groups[day if by == "day" else str(row[by])].append(row)
    found = [
        Total(
            name, len(jobs), *(sum(job.get(fact) or 0 for job in jobs) for fact in ("runs", "failed", "busy", "cost"))
        )
        for name, jobs in groups.items()
    ]
    return sorted(found, key=lambda one: one.name if by == "day" else (one.busy_s, one.name), reverse=True)


def show_totals(table: JobsTable, query: Mapping[str, str]) -> None:
    """Build the page for one viewer. `query` is the address's: `by` and `age`."""
    _TotalsPage(table, query)


class _TotalsPage:
    """One viewer's totals, drawn anew when they have changed."""

    def __init__(self, table: JobsTable, query: Mapping[str, str]) -> None:
        self._table, self._drawn = table, [Total("", -1, 0, 0, 0.0, 0.0)]
        self._by = query.get("by", "") if query.get("by", "") in _BY else "day"
        self._age = query.get("age", "") if query.get("age", "") in _AGES else "2592000"
        with element("div", "ff-row"):
            text("Totals", "", "h1")
            self._unread = text("", "ff-muted ff-small").props("role=status")
        self._trouble = text("", "ff-note ff-hidden").props("role=status")
        with element("div", "ff-row ff-filters"):
            choice("By", _BY, value=self._by, kept="by", on_change=lambda value: self._choose("by", value))
            choice("Started", _AGES, value=self._age, kept="age", on_change=lambda value: self._choose("age", value))
        self._box = element("section", "ff-card").props('aria-label="Totals"')
        every(_LOOK_S, self._look, immediate=True)

    async def _choose(self, what: str, value: str) -> None:
        if value in (_BY if what == "by" else _AGES):
            setattr(self, f"_{what}", value)
            await self._look()

    async def _look(self) -> None:
        await self._table.look_soon()
        since = time.time() - int(self._age) if self._age != "0" else 0.0
        rows, chosen = list(self._table.rows.values()), (self._by, self._age)
        found = await asyncio.to_thread(totals, rows, self._by, since)
        if chosen != (self._by, self._age):
            return  # something else was chosen meanwhile, and has a look of its own
        show_silence(self._trouble, self._table)
        left = self._table.unread
        set_text(self._unread, f"{left:,} jobs not read yet …" if self._table.is_behind or left else "")
        if found != self._drawn:
            self._drawn = found
            self._box.clear()
            with self._box:
                self._build(found)

    def _build(self, found: list[Total]) -> None:
        if not found:
            text("No job was started in that time.", "ff-empty")
            return
        self._draw(found)
        with element("div", "ff-scroll").props("tabindex=0"), element("table", "ff-plain"):
            with element("thead"), element("tr"):
                for title in (_BY[self._by], *_TITLES):
                    text(title, "" if title == _BY[self._by] else "ff-number", "th").props("scope=col")
            with element("tbody"):
                for one in found[:500]:
                    _row(one)
            if len(found) > 1:
                with element("tfoot"):
                    _row(_sum(found))

    def _draw(self, found: list[Total]) -> None:
        """Days stand in their order, also those without a job; of owners and UDFs those that took most time."""
        shown = _each_day(found) if self._by == "day" else found[:_DRAWN]
        if len(shown) < 2:
            return
        names, busy_s = [one.name for one in shown], [round(one.busy_s, 3) for one in shown]
        failed = [one.failed for one in shown]
        succeeded = [one.runs - one.failed for one in shown]
        title = f"Compute time and runs by {_BY[self._by]}"
        chart = ui.echart(totals_options(names, busy_s, succeeded, failed)).classes("ff-chart")
        chart.props(f'role=img aria-label="{title}" data-chart=totals')
        if self._by == "day" and found[-1].name < shown[0].name:
            text(f"drawn: the latest {_DRAWN} days", "ff-muted ff-small")
        elif self._by != "day" and len(found) > len(shown):
            text(f"drawn: the {_DRAWN} that took most time", "ff-muted ff-small")


def _each_day(found: list[Total]) -> list[Total]:
    """The days from the first to the last, the latest `_DRAWN` of them."""
    by_day = {one.name: one for one in found}
    first, last = (date.fromisoformat(name) for name in (min(by_day), max(by_day)))
    days = [(last - timedelta(days=n)).isoformat() for n in range(min(_DRAWN, (last - first).days + 1))]
    return [by_day.get(day, Total(day, 0, 0, 0, 0.0, 0.0)) for day in reversed(days)]


def _sum(found: list[Total]) -> Total:
    _, *facts = zip(*found, strict=True)
    jobs, runs, failed, busy_s, usd = (sum(values) for values in facts)
    return Total("together", jobs, runs, failed, busy_s, usd)


def _row(one: Total) -> None:
    with element("tr"):
        text(one.name, "", "th").props("scope=row")
        cells = (f"{one.jobs:,}", f"{one.runs:,}", f"{one.failed:,}", duration(one.busy_s), f"${one.usd:,.2f}")
        for cell in cells:
            text(cell, "ff-number", "td")
