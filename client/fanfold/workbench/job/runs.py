"""The table of runs, fetched as far as it is scrolled to, and one run in full."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from nicegui import ui

from fanfold.workbench.following import FollowedJob
from fanfold.workbench.job.run_detail import read_run, show_run
from fanfold.workbench.layout import choice, element, grid, sorted_by, text

_REFRESH_S = 2.0
_WIDE = {":hide": "window.ff.narrow()"}
_STATUSES = {
    "": "any",
    "bad": "all that failed",
    **{one: one.replace("_", " ") for one in "queued running succeeded cached failed timed_out out_of_memory".split()},
}
_COLUMNS: list[dict[str, Any]] = [
    {"field": "run", "headerName": "Run", "width": 80, "type": "rightAligned"},
    {"field": "input", "headerName": "Input", "flex": 3, "minWidth": 120, "sortable": False, "tooltipField": "input"},
    {"field": "status", "headerName": "Status", "width": 140, ":cellRenderer": "window.ff.status"},
    {
        "field": "took",
        "headerName": "Time",
        "width": 100,
        "type": "rightAligned",
        ":valueFormatter": "p => window.ff.duration(p.value)",
    },
    {
        "field": "memory",
        "headerName": "Memory",
        "width": 110,
        "type": "rightAligned",
        ":valueFormatter": "p => window.ff.mib(p.value)",
        **_WIDE,
    },
    {"field": "attempt", "headerName": "Attempt", "width": 110, "type": "rightAligned", **_WIDE},
    {"field": "result", "headerName": "Result", "flex": 1, "minWidth": 170, "sortable": False, **_WIDE},
]


class RunsPanel:
    """One viewer's table of runs, and the run that was chosen in it."""

    def __init__(self, followed: FollowedJob, query: Mapping[str, str]) -> None:
        self._followed = followed
        self._status = query.get("status", "") if query.get("status", "") in _STATUSES else ""
        self._sort = query.get("sort", "")
        self._version = followed.version
        #: How many runs have been chosen so far.
        self._asked = 0
        self._refreshed = time.monotonic()
        with element("div", "ff-card"):
            with element("div", "ff-row"):
                choice("Status", _STATUSES, value=self._status, kept="status", on_change=self._filter)
                text("Choose a run to see its result, or why it failed.", "ff-muted ff-small ff-spread")
            self._grid = grid(self._options()).style("height: 420px")
            self._grid.on("rowSelected", self._chosen, js_handler=_SELECTED % self._grid.id)
            self._grid.on("sortChanged", js_handler=f"() => window.ff.keepSort(getElement({self._grid.id}).api)")
        self._detail = (
            element("section").props('aria-live=polite aria-label="The chosen run"').style("margin-top: 14px")
        )
        if query.get("chosen", "").isdigit():
            chosen = int(query["chosen"])
            ui.timer(0.05, lambda: self._show(chosen), once=True)

    def refresh(self) -> None:
        """Fetch what is in sight anew, where it may have changed."""
        if self._version != self._followed.version and time.monotonic() - self._refreshed > _REFRESH_S:
            self._version, self._refreshed = self._followed.version, time.monotonic()
            self._grid.run_grid_method("refreshInfiniteCache")

    def _options(self) -> dict[str, Any]:
        return {
            "columnDefs": sorted_by(_COLUMNS, self._sort),
            "defaultColDef": {"resizable": True, "suppressMovable": True, "suppressHeaderMenuButton": True},
            "rowModelType": "infinite",
            "cacheBlockSize": 100,
            "maxBlocksInCache": 20,
            ":getRowId": "p => String(p.data.run)",
            ":datasource": f"window.ff.runsSource('/job/{self._followed.job.id}/runs.json', '{self._status}')",
            "rowSelection": {"mode": "singleRow", "checkboxes": False, "enableClickSelection": True},
            ":onCellKeyDown": "e => { if (e.event.key === 'Enter') e.node.setSelected(true); }",
            "rowHeight": 36,
            "animateRows": False,
        }

    def _filter(self, status: str) -> None:
        if status in _STATUSES:
            source = f"window.ff.runsSource('/job/{self._followed.job.id}/runs.json', '{status}')"
            ui.run_javascript(f"getElement({self._grid.id}).api.setGridOption('datasource', {source})")

    async def _chosen(self, event: Any) -> None:
        await self._show(int(event.args))

    async def _show(self, index: int) -> None:
        if not 0 <= index < len(self._followed.job):
            return
        self._asked += 1
        asked = self._asked
        self._detail.clear()
        with self._detail:
            text("Reading …", "ff-card ff-muted")
        detail = await asyncio.to_thread(read_run, self._followed, index)
        if asked != self._asked:
            return  # another was chosen meanwhile, which may have been read sooner
        self._detail.clear()
        with self._detail, element("div", "ff-card"):
            show_run(detail, f"/job/{self._followed.job.id}/run/{index}")


_SELECTED = """() => { const chosen = getElement(%d).api.getSelectedNodes()[0];
  if (chosen) { window.ff.keepInAddress({ chosen: chosen.id }); emit(chosen.id); } }"""
