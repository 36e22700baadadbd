"""The results of all runs: one table, and where they have shapes one map. The browser asks for what it shows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from threading import Lock
from typing import Any

from fastapi import HTTPException, Response
from nicegui import app, ui

from fanfold.errors import FanfoldError
from fanfold.job.unread import UnreadResult
from fanfold.workbench.following import FollowedJob, FollowedJobs
from fanfold.workbench.job.collected import CELLS_IN_SHORT, TableColumn, check_ended
from fanfold.workbench.job.gallery import Gallery
from fanfold.workbench.layout import choice, element, field, grid, link, script, set_text, show, sorted_by, text

_MOST_ROWS = 500
_SHOWN_COLUMNS = 60
_FILTER = "words, or a comparison such as delay > 3 and day = 2013-01-02"


def add_result_routes(followed_jobs: FollowedJobs) -> None:
    """Tell the application the addresses of a job's collected results: rows, one row, shapes and their colours."""

    async def asked(job_id: str, what: str, *arguments: Any) -> Any:
        def answer() -> Any:
            return _ask(followed_jobs.followed(job_id), what, *arguments)

        try:
            return await asyncio.to_thread(answer)
        except FanfoldError as error:
            raise HTTPException(409, str(error)) from error

    @app.get("/job/{job_id}/table.json")
    async def table(
        job_id: str,
        start: int = 0,
        stop: int = 100,
        sort: str = "",
        order: str = "asc",
        words: str = "",
        first: int = 0,
    ) -> Any:
        part = (max(0, start), min(stop, start + _MOST_ROWS))
        columns = (max(0, first), max(0, first) + _SHOWN_COLUMNS)
        kept = {"sort": sort, "descending": order == "desc", "words": words, "columns": columns}
        return Response(await asked(job_id, "read_page", part, kept), media_type="application/json")

    @app.get("/job/{job_id}/table/{row}.json")
    async def one(job_id: str, row: int) -> Any:
        return Response(json.dumps(await asked(job_id, "read_row", row)), media_type="application/json")

    @app.get("/job/{job_id}/shapes")
    async def shapes(job_id: str) -> Any:
        return Response(await asked(job_id, "read_shapes"), media_type="application/octet-stream")

    @app.get("/job/{job_id}/shapes/{column}")
    async def colours(job_id: str, column: int) -> Any:
        return Response(await asked(job_id, "read_colours", column), media_type="application/octet-stream")


def _ask(followed: FollowedJob, what: str, *arguments: Any) -> Any:
    """Have the table of a job's results asked. Raises `FanfoldError` where there is none."""
    state = followed.job.state
    check_ended(state)
    return followed.results.ask(what, followed.job.id, state.header.engine, state.version, *arguments)


class ResultsPanel:
    """One viewer's table and map, made when the job has ended and its results have been read."""

    def __init__(self, followed: FollowedJob, query: Mapping[str, str]) -> None:
        self._followed = followed
        #: What the address says of the table and the map: `words`, `order`, `colour`.
        self._asked = query
        self._version = -1
        self._columns: list[TableColumn] = []
        self._rows, self._trouble, self._is_new = 0, "", False
        #: The first of the results that cannot be read, and how many these are.
        self._unread: tuple[list[UnreadResult], int] = ([], 0)
        #: The first column that is shown, and the words that rows are filtered by.
        self._first, self._words = 0, query.get("words", "")
        self._note = text("Reading the results …", "ff-card ff-empty").props("role=status")
        self._box = element("div", "ff-stack")
        self._gallery = Gallery(followed)
        #: A page draws when its tab is chosen and again and again, and both may be under way.
        self._collecting = Lock()

    def collect(self) -> None:
        """Have the results collected; called in a thread, without the job's lock, for that reads them all."""
        with self._collecting:
            version = self._followed.job.state.version
            if version == self._version:
                return
            try:
                self._gallery.collect()  # there may be pictures where they are too large for a table
                self._columns, self._rows, *unread = _ask(self._followed, "read_columns")
                self._unread, self._trouble = (unread[0], unread[1]), ""
            except FanfoldError as error:
                self._trouble = str(error)
            self._version, self._is_new = version, True

    def refresh(self) -> None:
        """Show the table, or why there is none."""
        if not self._is_new:
            return
        self._is_new = False
        set_text(self._note, self._trouble)
        show(self._note, shown=bool(self._trouble))
        self._box.clear()
        with self._box:
            self._gallery.build()
            if not self._trouble:
                self._build()

    def _build(self) -> None:
        if any(column.kind == "shape" for column in self._columns):
            self._build_map()
        with element("section", "ff-card").props('aria-label="Table of results"'):
            rows = f"{self._rows:,} {'row' if self._rows == 1 else 'rows'}"
            with element("div", "ff-row"):
                given = {"value": self._words, "kept": "words", "placeholder": _FILTER, "type": "search"}
                field("Filter", on_change=self._filter, **given).classes("ff-long")
                if len(self._columns) > _SHOWN_COLUMNS:
                    choice("Columns", self._stretches(), value="0", on_change=self._choose_columns)
                words = text(f"{rows} × {len(self._columns):,} columns", "ff-muted ff-small ff-spread", "span")
                words.props("id=ff-result-count role=status")
            self._say_unread()
            self._first = 0
            self._grid = grid(self._options())
            keep = f"() => window.ff.keepSort(getElement({self._grid.id}).api, 'order')"
            self._grid.on("sortChanged", js_handler=keep)
            self._grid.style("height: 460px")

    def _say_unread(self) -> None:
        """Of what cannot be read the first rows tell why; the runs themselves tell more."""
        first, count = self._unread
        if count:
            with element("div", "ff-note").props("role=status"):
                results = "1 result cannot be read:" if count == 1 else f"{count:,} results cannot be read:"
                text(f"{results} the table says why.", "", "span")
                for one in first:
                    link(f"run {one.run}", f"/job/{self._followed.job.id}/run/{one.run}")
                if count > len(first):
                    text(f"and {count - len(first):,} more", "", "span")

    def _stretches(self) -> dict[str, str]:
        """The columns that can be shown together, by the first of them: a browser has no room for thousands."""
        last = len(self._columns)
        return {
            str(first): f"{first + 1:,} to {min(first + _SHOWN_COLUMNS, last):,} of {last:,}"
            for first in range(0, last, _SHOWN_COLUMNS)
        }

    def _choose_columns(self, first: str) -> None:
        if first in self._stretches():
            self._first = int(first)
            self._grid.run_grid_method("updateGridOptions", {"columnDefs": self._shown_columns()})
            self._filter(self._words)

    def _shown_columns(self) -> list[dict[str, Any]]:
        shown = self._columns[self._first : self._first + _SHOWN_COLUMNS]
        return [_column_of(n, column) for n, column in enumerate(shown, self._first)]

    def _options(self) -> dict[str, Any]:
        return {
            "columnDefs": sorted_by(self._shown_columns(), self._asked.get("order", "")),
            "defaultColDef": {"resizable": True, "suppressMovable": True, "suppressHeaderMenuButton": True},
            "rowModelType": "infinite",
            "cacheBlockSize": 200,
            "maxBlocksInCache": 20,
            ":getRowId": "p => String(p.data.row)",
            ":datasource": self._source(self._words),
            "rowHeight": 34,
            "animateRows": False,
        }

    def _source(self, words: str) -> str:
        given = json.dumps(words).replace("</", "<\\/")
        return f"window.ff.results.source('/job/{self._followed.job.id}/table.json', {given}, {self._first})"

    def _filter(self, words: str) -> None:
        self._words = words
        ui.run_javascript(f"getElement({self._grid.id}).api.setGridOption('datasource', {self._source(words)})")

    def _build_map(self) -> None:
        colours = {"": "none", **{str(n): one.name for n, one in enumerate(self._columns) if one.kind != "shape"}}
        with element("section", "ff-card").props('aria-label="Map of results"'):
            with element("div", "ff-row"):
                asked = self._asked.get("colour", "")
                asked = asked if asked in colours else ""
                choice("Colour", colours, value=asked, kept="colour", on_change=_colour)
                text("", "ff-muted ff-small", "span").props("id=ff-map-legend role=status")
                text("Drag to move, wheel or + and − to zoom, 0 for all.", "ff-muted ff-small ff-spread", "span")
            with element("div", "ff-bigmap"):
                element("canvas").props('id=ff-map tabindex=0 role=img aria-label="Map of all results"')
                text("", "ff-tip ff-hidden").props("id=ff-map-tip")
            text("Reading the shapes …", "ff-muted ff-small").props("id=ff-map-words role=status")
        script(
            "results.open", f"/job/{self._followed.job.id}", [column.name for column in self._columns[:CELLS_IN_SHORT]]
        )
        if asked:
            script("results.colour", asked)


def _colour(column: str) -> None:
    script("results.colour", column)


#: A time is told to the second, in so many pixels.
_LEAST_WIDTH = {"time": 175}


def _column_of(number: int, column: TableColumn) -> dict[str, Any]:
    """A column of the grid. Its key is one of ours: a column's own name could be taken for code."""
    made: dict[str, Any] = {"field": f"c{number}", "headerName": column.name, "flex": 1}
    made["minWidth"] = _LEAST_WIDTH.get(column.kind, 120)
    if column.kind == "number":
        made["type"] = "rightAligned"
    return {**made, "sortable": column.kind != "shape", "tooltipField": f"c{number}"}
