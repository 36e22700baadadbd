"""Totals over all jobs: by day, by owner or by UDF, of the last week, month or ever."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from nicegui import ui

from fanfold.core.formatting import duration
from fanfold.workbench.jobs.table import JobsTable
from fanfold.workbench.layout import choice, element, script, set_text, show_silence, text

_BY = {"day": "day", "owner": "owner", "name": "UDF"}
_AGES = {"604800": "the last week", "2592000": "the last month", "0": "any time"}
_LOOK_S = 2.0
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
            choice("By", _BY, value=self._by, on_change=lambda value: self._choose("by", value))
            choice("Started", _AGES, value=self._age, on_change=lambda value: self._choose("age", value))
        self._box = element("section", "ff-card").props('aria-label="Totals"')
        ui.timer(_LOOK_S, self._look, immediate=True)

    async def _choose(self, what: str, value: str) -> None:
        if value in (_BY if what == "by" else _AGES):
            setattr(self, f"_{what}", value)
            script("keepInAddress", {what: value})
            await self._look()

    async def _look(self) -> None:
        await self._table.look_soon()
        since = time.time() - int(self._age) if self._age != "0" else 0.0
        rows = list(self._table.rows.values())
        found = await asyncio.to_thread(totals, rows, self._by, since)
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
        with element("table", "ff-plain"):
            with element("thead"), element("tr"):
                for title in (_BY[self._by], *_TITLES):
                    text(title, "" if title == _BY[self._by] else "ff-number", "th").props("scope=col")
            with element("tbody"):
                for one in found[:500]:
                    _row(one)
            if len(found) > 1:
                with element("tfoot"):
                    _row(_sum(found))


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
