"""The Jobs page: mine and the team's, live."""

from __future__ import annotations

from typing import Any

from nicegui import ui
from nicegui.element import Element

from fanfold.settings import current
from fanfold.workbench.jobs.table import JobsTable
from fanfold.workbench.layout import choice, element, field, script, set_text, show, show_silence, text

_STATUSES = {"": "any", **{name: name for name in ("Queued", "Running", "Completed", "Failed", "Cancelled")}}
_AGES = {"0": "any time", "3600": "the last hour", "86400": "the last day", "604800": "the last week"}
_LOOK_S = 1.0

_WIDE = {":hide": "window.ff.narrow()"}
_COLUMNS: list[dict[str, Any]] = [
    {"field": "name", "headerName": "UDF", "flex": 1, "minWidth": 120, ":cellRenderer": "window.ff.link"},
    {"field": "status", "headerName": "Status", "width": 120, ":cellRenderer": "window.ff.status"},
    {
        "field": "ended",
        "headerName": "Progress",
        "flex": 2,
        "minWidth": 120,
        ":cellRenderer": "window.ff.progress",
        ":equals": "() => false",  # the bar shows more than the one number
        ":comparator": "(a, b, x, y) => (x.data.ended / x.data.runs || 0) - (y.data.ended / y.data.runs || 0)",
    },
    {"field": "failed", "headerName": "Failures", "width": 92, ":cellRenderer": "window.ff.failures", **_WIDE},
    {
        "field": "took",
        "headerName": "Runtime",
        "width": 115,
        ":valueFormatter": "p => window.ff.duration(p.value)",
        **_WIDE,
    },
    {
        "field": "machine",
        "headerName": "Runs on",
        "flex": 1,
        "minWidth": 120,
        ":valueFormatter": "p => p.data.engine + ' · ' + p.value",
        **_WIDE,
    },
    {"field": "cost", "headerName": "Cost", "width": 75, ":valueFormatter": "p => window.ff.dollars(p.value)", **_WIDE},
    {"field": "owner", "headerName": "Owner", "width": 90, **_WIDE},
    {
        "field": "created",
        "headerName": "Started",
        "width": 115,
        "sort": "desc",
        ":valueFormatter": "p => window.ff.ago(p.value)",
        **_WIDE,
    },
    {"field": "id", "headerName": "Job", "width": 240, "cellClass": "ff-mono", **_WIDE},
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
    "overlayNoRowsTemplate": "<span>No job is like that.</span>",
}


def show_jobs(table: JobsTable) -> None:
    """Build the page for one viewer."""
    _JobsPage(table)


class _JobsPage:
    """One viewer's table: which rows it has, and which are in sight."""

    def __init__(self, table: JobsTable) -> None:
        self._table = table
        self._version = 0
        self._in_sight: list[str] = []
        self._sent: set[str] = set()
        with element("div", "ff-row"):
            text("Jobs", "", "h1")
            self._count = text("reading…", "ff-muted ff-small")
        self._trouble = text("", "ff-note ff-hidden").props("role=status")
        self._filters()
        self._empty = _nothing_yet()
        self._grid = ui.aggrid(dict(_OPTIONS), auto_size_columns=False).classes("ff-grid ff-jobs")
        seen = f"() => emit(window.ff.inSight(getElement({self._grid.id}).api))"
        for event in ("viewportChanged", "modelUpdated"):  # scrolled, or sorted and filtered
            self._grid.on(event, self._seen, js_handler=seen, throttle=0.25)
        ui.timer(_LOOK_S, self._look, immediate=True)

    def _filters(self) -> None:
        me = current().owner
        with element("div", "ff-row ff-filters").props('role=search aria-label="Jobs"'):
            field("Search", on_change=self._search, placeholder="UDF, id, owner, machine", type="search")
            choice("Status", _STATUSES, on_change=lambda value: self._filter("status", value))
            choice("Whose", {"": "the team's", me: "mine"}, on_change=lambda value: self._filter("owner", value))
            choice("Started", _AGES, value="0", on_change=lambda value: self._filter("age", int(value)))

    def _search(self, words: str) -> None:
        self._grid.run_grid_method("setGridOption", "quickFilterText", words)

    def _filter(self, name: str, value: str | int) -> None:
        script("choose", name, value)
        self._grid.run_grid_method("onFilterChanged")

    async def _seen(self, event: Any) -> None:
        seen = [str(one) for one in event.args or []]
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
        self._tell()

    def _tell(self) -> None:
        table = self._table
        more = "" if table.whole or not table.rows else ", reading older ones…"
        set_text(self._count, f"{len(table.rows):,}{more}" if table.read_at else "reading…")
        nothing = bool(table.read_at) and not table.rows
        show(self._empty, shown=nothing)
        show(self._grid, shown=not nothing)
        show_silence(self._trouble, table)


def _nothing_yet() -> Element:
    with element("div", "ff-card ff-empty ff-hidden") as empty:
        text("No jobs yet.", "", "h2")
        with element("div"):
            text("Start one with ", "", "span")
            text("fanfold submit flights.py 2013-01-01 2013-01-02", "", "code")
            text(", or on the Workbench page.", "", "span")
    return empty
