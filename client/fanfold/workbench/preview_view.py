"""A preview on the page: text, a table, an image, outlines, a chart."""

from __future__ import annotations

from nicegui import ui

from fanfold.workbench.charts import plot_options
from fanfold.workbench.map_view import show_map
from fanfold.workbench.preview import Preview
from fanfold.workbench.shell import element, text


def show_preview(seen: Preview) -> None:
    """Add what a preview holds to the page. Cells have keys of ours: a column's own name could be taken for code."""
    if not seen.columns and not seen.image:
        text(seen.text, "ff-pre", "pre").props("tabindex=0")
        return
    text(seen.text, "ff-muted ff-small")
    if seen.image:
        image = element("img", "ff-image")
        image._props.update({"src": seen.image, "alt": seen.text})
    if seen.columns:
        _table(seen)
    if seen.outlines:
        show_map(seen.outlines, geographic=seen.geographic)
    elif seen.series:
        ui.echart(plot_options(seen.series)).classes("ff-chart").props('role=img aria-label="Chart of the result"')


#: The rows' labels: narrow, and without a name.
_INDEX = {"field": "c0", "headerName": "", "width": 96, "sortable": True}


def _table(seen: Preview) -> None:
    columns = [
        {"field": f"c{n}", "headerName": name, "minWidth": 90, "flex": 1, "sortable": True} if n else _INDEX
        for n, name in enumerate(seen.columns)
    ]
    rows = [{f"c{n}": cell for n, cell in enumerate(row)} for row in seen.rows]
    options = {"columnDefs": columns, "rowData": rows, "rowHeight": 32, "animateRows": False}
    height = min(360, 60 + 32 * max(1, len(rows)))
    ui.aggrid(options, auto_size_columns=False).classes("ff-grid").style(f"height: {height}px; min-height: 0")
