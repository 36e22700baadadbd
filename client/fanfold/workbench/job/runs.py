"""The table of runs, fetched as far as it is scrolled to, and one run in full."""

from __future__ import annotations

import asyncio
import time
from typing import Any, NamedTuple

from nicegui import ui

from fanfold.core.formatting import duration
from fanfold.workbench.following import FollowedJob
from fanfold.workbench.layout import choice, element, text
from fanfold.workbench.previews import Preview, seen_of, show_preview

_REFRESH_S = 2.0
_WIDE = {":hide": "window.ff.narrow()"}
_STATUSES = {
    "": "any",
    "bad": "all that failed",
    **{one: one.replace("_", " ") for one in "queued running succeeded cached failed timed_out out_of_memory".split()},
}
_COLUMNS: list[dict[str, Any]] = [
    {"field": "run", "headerName": "Run", "width": 80},
    {"field": "input", "headerName": "Input", "flex": 3, "minWidth": 120, "sortable": False, "tooltipField": "input"},
    {"field": "status", "headerName": "Status", "width": 140, ":cellRenderer": "window.ff.status"},
    {"field": "took", "headerName": "Time", "width": 100, ":valueFormatter": "p => window.ff.duration(p.value)"},
    {
        "field": "memory",
        "headerName": "Memory",
        "width": 110,
        ":valueFormatter": "p => window.ff.mib(p.value)",
        **_WIDE,
    },
    {"field": "attempt", "headerName": "Attempt", "width": 95, **_WIDE},
    {"field": "result", "headerName": "Result", "flex": 1, "minWidth": 170, "sortable": False, **_WIDE},
]


class _RunDetail(NamedTuple):
    """What there is to say of one run."""

    title: str
    arguments: str
    failure: str
    seen: Preview | None


class RunsPanel:
    """One viewer's table of runs, and the run that was chosen in it."""

    def __init__(self, followed: FollowedJob) -> None:
        self._followed = followed
        self._status = ""
        self._version = followed.version
        self._refreshed = time.monotonic()
        with element("div", "ff-card"):
            with element("div", "ff-row"):
                choice("Status", _STATUSES, on_change=self._filter)
                text("Choose a run to see its result, or why it failed.", "ff-muted ff-small ff-spread")
            self._grid = ui.aggrid(self._options(), auto_size_columns=False).classes("ff-grid").style("height: 420px")
            self._grid.on("rowSelected", self._chosen, js_handler=_SELECTED % self._grid.id)
        self._detail = (
            element("section").props('aria-live=polite aria-label="The chosen run"').style("margin-top: 14px")
        )

    def refresh(self) -> None:
        """Fetch what is in sight anew, where it may have changed."""
        if self._version != self._followed.version and time.monotonic() - self._refreshed > _REFRESH_S:
            self._version, self._refreshed = self._followed.version, time.monotonic()
            self._grid.run_grid_method("refreshInfiniteCache")

    def _options(self) -> dict[str, Any]:
        return {
            "columnDefs": _COLUMNS,
            "defaultColDef": {"resizable": True, "suppressMovable": True, "suppressHeaderMenuButton": True},
            "rowModelType": "infinite",
            "cacheBlockSize": 100,
            "maxBlocksInCache": 20,
            ":getRowId": "p => String(p.data.run)",
            ":datasource": f"window.ff.runsSource('/job/{self._followed.job.id}/runs.json', '')",
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
        index = int(event.args)
        if not 0 <= index < len(self._followed.job):
            return
        self._detail.clear()
        with self._detail:
            text("Reading …", "ff-card ff-muted")
        detail = await asyncio.to_thread(self._read, index)
        self._detail.clear()
        with self._detail, element("div", "ff-card"):
            _show(detail)

    def _read(self, index: int) -> _RunDetail:
        with self._followed.lock:
            job = self._followed.job
            one = job[index]
            took = one.duration_s
            title = f"run {index} · {one.status.value.replace('_', ' ')}"
            arguments = ", ".join(f"{name}={value!r}" for name, value in one.input.items())[:2000]
            error = one.error
            failure = "" if error is None else error.remote_traceback or error.message
            output = job.state.output(index)
        seen = None if output is None else seen_of(job.contents, index, output)
        return _RunDetail(title if took is None else f"{title} · {duration(took)}", arguments, failure, seen)


def _show(detail: _RunDetail) -> None:
    text(detail.title, "", "h2")
    text(detail.arguments, "ff-mono ff-muted")
    if detail.failure:
        text(detail.failure, "ff-pre", "pre").props("tabindex=0")
    elif detail.seen is None:
        text("No result yet.", "ff-muted")
    else:
        show_preview(detail.seen)


_SELECTED = "() => { const chosen = getElement(%d).api.getSelectedNodes()[0]; if (chosen) emit(chosen.id); }"
