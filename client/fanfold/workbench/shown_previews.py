"""A preview on the page: text, a table, an image, outlines, a chart."""

from __future__ import annotations

from typing import Any

from nicegui import ui
from nicegui.elements.plotly import Plotly  # noqa: F401  a page can load what this registers, and `page.js` draws by it

from fanfold.workbench.job.charts import plot_options
from fanfold.workbench.layout import element, grid, script, script_of_json, text
from fanfold.workbench.maps import show_map
from fanfold.workbench.previews import Preview


def show_preview(seen: Preview) -> None:
    """Add what a preview holds to the page. Cells have keys of ours: a column's own name could be taken for code."""
    if seen.note:
        text(seen.note, "ff-note ff-small ff-lines").props("role=note")
    if seen.tree is not None:
        tree = element("div", "ff-tree").props('role=region aria-label="Value" tabindex=0')
        script("tree", f"c{tree.id}", seen.tree)
        return
    if seen.figure:
        text(seen.text, "ff-muted ff-small")
        figure = element("div", "ff-figure").props("role=img aria-label=Figure")
        script_of_json("drawFigure", f"c{figure.id}", seen.figure)
        return
    if not seen.columns and not seen.image:
        text(seen.text, "ff-pre", "pre").props("tabindex=0")
        if seen.drawing is not None:
            show_map(seen.drawing)
        return
    text(seen.text, "ff-muted ff-small")
    if seen.image:
        image = element("img", "ff-image")
        image._props.update({"src": seen.image, "alt": seen.text})
    if seen.columns:
        _table(seen)
    if seen.drawing is not None:
        show_map(seen.drawing)
    elif seen.plot is not None:
        chart = ui.echart({}).classes("ff-chart").props('role=img aria-label="Chart of the result"')
        script("drawChart", chart.id, plot_options(seen.plot))
        text(seen.plot.cut, "ff-muted ff-small")


#: The rows' labels: narrow, and without a name.
_INDEX = {"field": "c0", "headerName": "", "width": 96, "sortable": True}


def _table(seen: Preview) -> None:
    columns = [_column(n, name, seen) for n, name in enumerate(seen.columns)]
    rows: list[dict[str, Any]] = []
    for place, row in enumerate(seen.rows):
        cells: dict[str, Any] = {f"c{n}": cell for n, cell in enumerate(row)}
        keys = {f"n{n}": numbers[place] for n, numbers in enumerate(seen.numbers) if numbers is not None}
        rows.append({**cells, **keys})
    options = {"columnDefs": columns, "rowData": rows, "rowHeight": 32, "animateRows": False}
    height = min(360, 60 + 32 * max(1, len(rows)))
    grid(options).style(f"height: {height}px; min-height: 0")


def _column(number: int, name: str, seen: Preview) -> dict[str, Any]:
    """A column of a table; numbers stand on the right and are sorted as numbers, which their text is not."""
    column = {"field": f"c{number}", "headerName": name, "minWidth": 90, "flex": 1, "sortable": True}
    column |= {"tooltipField": f"c{number}", "headerTooltip": name}
    if number == 0:
        column = dict(_INDEX)
    if number < len(seen.numbers) and seen.numbers[number] is not None:
        key = f"n{number}"
        column[":comparator"] = f"(a, b, x, y) => window.ff.byNumber(x.data.{key}, y.data.{key})"
        column["type"] = "rightAligned"
    return column
