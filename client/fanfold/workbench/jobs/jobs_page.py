"""The Jobs page: mine and the team's, live."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from nicegui.element import Element

from fanfold.core.formatting import counted
from fanfold.settings import current
from fanfold.workbench.jobs.jobs_reader import UNREADABLE
from fanfold.workbench.jobs.table import JobsTable
from fanfold.workbench.layout import (
    choice,
    element,
    every,
    field,
    grid,
    script,
    set_text,
    show,
    show_silence,
    sorted_by,
    text,
)

_STATUSES = {
    "": "any",
    **{name: name for name in ("Queued", "Running", "Completed", "Failed", "Cancelled", UNREADABLE)},
}
_AGES = {"": "any time", "3600": "the last hour", "86400": "the last day", "604800": "the last week"}
_LOOK_S = 1.0
#: What the address keeps: the words that are searched for, and the filters.
_FILTERS = ("q", "status", "owner", "age")

_WIDE = {":hide": "window.ff.narrow()"}
_COLUMNS: list[dict[str, Any]] = [
    {
        "field": "name",
        "headerName": "UDF",
        "flex": 1,
        ":minWidth": "window.ff.narrow() ? 72 : 120",
        ":cellRenderer": "window.ff.link",
    },
    {
        "field": "status",
        "headerName": "Status",
        ":width": "window.ff.narrow() ? 118 : 126",
        ":cellRenderer": "window.ff.status",
    },
    {
        "field": "ended",
        "headerName": "Progress",
        "flex": 2,
        "minWidth": 120,
        ":cellRenderer": "window.ff.progress",
        ":equals": "() => false",  # the bar shows more than the one number
        ":comparator": "(a, b, x, y) => (x.data.ended / x.data.runs || 0) - (y.data.ended / y.data.runs || 0)",
        **_WIDE,
    },
    {
        "field": "failed",
        ":headerName": "window.ff.narrow() ? 'Failed' : 'Failures'",
        ":width": "window.ff.narrow() ? 70 : 92",
        "type": "rightAligned",
        ":cellRenderer": "window.ff.failures",
    },
    {
        "field": "took",
        "headerName": "Runtime",
        ":width": "window.ff.narrow() ? 100 : 105",
        "type": "rightAligned",
        ":valueFormatter": "p => window.ff.duration(p.value)",
    },
    {
        "field": "machine",
        "headerName": "Runs on",
        "flex": 1,
        "minWidth": 130,
        ":valueFormatter": "p => p.data.engine + ' · ' + p.value",
        **_WIDE,
    },
    {
        "field": "cost",
        "headerName": "Cost",
        "width": 75,
        "type": "rightAligned",
        ":valueFormatter": "p => window.ff.dollars(p.value)",
        **_WIDE,
    },
    {"field": "owner", "headerName": "Owner", "width": 90, **_WIDE},
    {
        "field": "created",
        "headerName": "Started",
        "width": 115,
        "sort": "desc",
        ":valueFormatter": "p => window.ff.ago(p.value)",
        **_WIDE,
    },
    {"field": "id", "headerName": "Job", "width": 262, "cellClass": "ff-mono", **_WIDE},
]
_OPTIONS: dict[str, Any] = {
    "columnDefs": _COLUMNS,
    "rowData": [],
    "defaultColDef": {"sortable": True, "resizable": True, "suppressMovable": True, "suppressHeaderMenuButton": True},
    ":getRowId": "p => p.data.id",
    ":isExternalFilterPresent": "() => true",
    ":doesExternalFilterPass": "window.ff.passes",
    ":onCellKeyDown": "e => { if (e.event.key === 'Enter' && e.data) location.href = '/job/' + e.data.id; }",
    "rowHeight": 40,
    "animateRows": False,
    "suppressScrollOnNewData": True,
}


def show_jobs(table: JobsTable, query: Mapping[str, str]) -> None:
    """Build the page for one viewer. `query` is the address's: what is searched for, filtered and sorted by."""
    _JobsPage(table, query)


class _JobsPage:
    """One viewer's table: which rows it has, and which are in sight."""

    def __init__(self, table: JobsTable, query: Mapping[str, str]) -> None:
        self._table = table
        self._chosen = {name: query.get(name, "") for name in _FILTERS}
        for name, options in (("status", _STATUSES), ("age", _AGES)):
            if self._chosen[name] not in options:  # what no choice shows must not filter
                self._chosen[name] = ""
        self._in_table = 0
        self._version = 0
        self._in_sight: list[str] = []
        self._sent: set[str] = set()
        with element("div", "ff-row"):
            text("Jobs", "", "h1")
            self._count = text("reading…", "ff-muted ff-small")
        self._trouble = text("", "ff-note ff-hidden").props("role=status")
        self._filters()
        self._empty = _nothing_yet()
        self._no_match = text("", "ff-card ff-empty ff-hidden").props("role=status")
        with element("div") as self._box:  # hidden in its stead: what changes of a grid itself has it made anew, empty
            self._grid = grid(self._options(query)).classes("ff-jobs")
        seen = f"() => emit(window.ff.inSight(getElement({self._grid.id}).api))"
        for name in _FILTERS[1:]:
            script("choose", name, self._value(name))
        self._grid.on("sortChanged", js_handler=f"() => window.ff.keepSort(getElement({self._grid.id}).api)")
        for event in ("viewportChanged", "modelUpdated"):  # scrolled, or sorted and filtered
            self._grid.on(event, self._seen, js_handler=seen, throttle=0.25)
        every(_LOOK_S, self._look, immediate=True)

    def _filters(self) -> None:
        me = current().owner
        with element("div", "ff-row ff-filters").props('role=search aria-label="Jobs"'):
            field(
                "Search",
                value=self._chosen["q"],
                kept="q",
                on_change=self._search,
                placeholder="UDF, id, owner, machine",
                type="search",
            )
            owners = {"": "the team's", me: "mine", **self._named_owner(me)}
            for label, name, options in (
                ("Status", "status", _STATUSES),
                ("Whose", "owner", owners),
                ("Started", "age", _AGES),
            ):
                choice(label, options, value=self._chosen[name], kept=name, on_change=partial(self._filter, name))

    def _named_owner(self, me: str) -> dict[str, str]:
        """Whose jobs a link names that a colleague has sent."""
        owner = self._chosen["owner"]
        return {owner: f"{owner}'s"} if owner not in ("", me) else {}

    def _options(self, query: Mapping[str, str]) -> dict[str, Any]:
        """The table's options, sorted as the address says."""
        columns = sorted_by(_COLUMNS, query.get("sort", ""))
        return {**_OPTIONS, "columnDefs": columns, "quickFilterText": self._chosen["q"]}

    def _value(self, name: str) -> str | int:
        """A filter's value as the browser's part compares it."""
        chosen = self._chosen[name]
        return (int(chosen) if chosen.isdigit() else 0) if name == "age" else chosen

    def _search(self, words: str) -> None:
        self._chosen["q"] = words
        self._grid.run_grid_method("setGridOption", "quickFilterText", words)

    def _filter(self, name: str, value: str) -> None:
        self._chosen[name] = value
        script("choose", name, self._value(name))
        self._grid.run_grid_method("onFilterChanged")

    async def _seen(self, event: Any) -> None:
        shown = event.args or {}
        seen = [str(one) for one in shown.get("ids") or []]
        self._in_table = int(shown.get("count") or 0)
        self._show_counts()
        if seen != self._in_sight:
            self._in_sight = seen
            await self._look()

    async def _look(self) -> None:
        self._table.see(self._in_sight)
        await self._table.look_soon()
        rows, self._version = self._table.since(self._version)
        if rows:
            added = [row for row in rows if row["id"] not in self._sent]
            changed = [row for row in rows if row["id"] in self._sent]
            self._sent.update(row["id"] for row in added)
            self._grid.run_grid_method("applyTransaction", {"add": added, "update": changed})
        self._show_counts()

    def _show_counts(self) -> None:
        table = self._table
        total, is_filtered = len(table.rows), any(self._chosen.values())
        found = f"{self._in_table:,} of {total:,}" if is_filtered else f"{total:,}"
        set_text(self._count, f"{found}{self._unread()}" if table.read_at else "reading…")
        nothing = bool(table.read_at) and not table.rows
        no_match = is_filtered and not nothing and bool(self._sent) and not self._in_table
        set_text(self._no_match, f"No job is like that{self._unread() or '.'}")
        show(self._empty, shown=nothing)
        show(self._no_match, shown=no_match)
        show(self._box, shown=not nothing)
        show_silence(self._trouble, table)

    def _unread(self) -> str:
        """What a filter cannot know yet, in words; empty where all is read."""
        table = self._table
        if not table.whole and table.rows:
            return ", reading older ones…"
        if self._chosen["status"] and table.unread:
            return f", {counted(table.unread, 'job')} not read yet…"
        return ""


def _nothing_yet() -> Element:
    with element("div", "ff-card ff-empty ff-hidden") as empty:
        text("No jobs yet.", "", "h2")
        with element("div"):
            text("Start one with ", "", "span")
            text("fanfold submit flights.py 2013-01-01 2013-01-02", "", "code")
            text(", or on the Workbench page.", "", "span")
    return empty
