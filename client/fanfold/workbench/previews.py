"""What a result looks like: a table's head, a number, an image, a map's outlines. Plain data, and never HTML."""

from __future__ import annotations

import base64
import io
import math
from typing import Any, NamedTuple

from nicegui import ui

from fanfold.core.models import Output
from fanfold.errors import FanfoldError
from fanfold.job.results import Contents
from fanfold.workbench.job.charts import plot_options
from fanfold.workbench.layout import element, text

_ROWS, _COLUMNS = 50, 40
_CELL_CHARACTERS, _TEXT_CHARACTERS, _LINE_CHARACTERS = 200, 20_000, 80
#: Results beyond this are not read for a look at them.
MOST_BYTES = 64 << 20
_IMAGE_PIXELS = 900
_POINTS = 20_000

Outline = list[tuple[float, float]]


class Preview(NamedTuple):
    """Text, and where there is more to see: a table's cells, an image as a data URL, outlines, numbers to plot."""

    text: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    image: str = ""
    outlines: tuple[Outline, ...] = ()
    #: Whether outlines are in degrees of longitude and latitude.
    geographic: bool = False
    series: tuple[tuple[str, tuple[float | None, ...]], ...] = ()


def seen_of(contents: Contents, index: int, output: Output) -> Preview:
    """A look at what a run has given; where there is none to be had, why."""
    if output.size > MOST_BYTES:
        size = f"{output.size:,} bytes: too large for a preview."
        return Preview(f"{size} Download the results, or call job[{index}].result().")
    try:
        value = contents.value(index, output)
    except FanfoldError as error:
        return Preview(str(error))
    try:
        return preview(value)
    except Exception as error:  # noqa: BLE001  the user's own types, and what they do when they are looked at
        return Preview(f"{type(value).__name__}: it cannot be shown here ({type(error).__name__}: {error}).")


def in_short(contents: Contents, index: int, output: Output) -> str:
    """What a run has given, on one line of a table; of what is not at hand, how it is kept."""
    kept = f"{output.codec}, {output.size:,} bytes"
    if output.inline is None or output.codec.startswith("pickle"):  # unpickling runs code, and nobody has asked for it
        return kept
    seen = seen_of(contents, index, output)
    words = " ".join(seen.text.split())
    return words if len(words) <= _LINE_CHARACTERS else f"{words[: _LINE_CHARACTERS - 1]}…"


def preview(value: Any) -> Preview:
    """A look at any value."""
    root = type(value).__module__.partition(".")[0]
    if root in ("pandas", "geopandas", "polars", "pyarrow") and hasattr(value, "shape"):
        return _table_of(_as_pandas(value))
    if root == "PIL":
        return _image(value)
    if root == "numpy" and getattr(value, "ndim", None):
        return Preview(f"array of shape {value.shape}, {value.dtype}\n{_shortened(str(value))}")
    return Preview(_shortened(value if isinstance(value, str) else repr(value)))


def _as_pandas(value: Any) -> Any:
    if type(value).__module__.startswith(("pandas", "geopandas")):
        return value.to_frame() if hasattr(value, "to_frame") and getattr(value, "ndim", 2) == 1 else value
    return value.to_pandas()


def _table_of(frame: Any) -> Preview:
    head = frame.iloc[:_ROWS, :_COLUMNS]
    geometry = getattr(frame, "_geometry_column_name", None)
    outlines = _outlines(frame[geometry]) if geometry in frame.columns else ()
    size = f"{len(frame):,} rows × {len(frame.columns):,} columns"
    shown = f", the first {len(head):,} shown" if len(frame) > len(head) else ""
    return Preview(
        size + shown,
        ("", *(str(name) for name in head.columns)),
        tuple(
            (_cell(label), *map(_cell, row))
            for label, row in zip(head.index, head.itertuples(index=False), strict=True)
        ),
        outlines=outlines,
        geographic=bool(outlines) and bool(getattr(frame.crs, "is_geographic", False)),
        series=() if outlines else _series(frame),
    )


def _cell(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _CELL_CHARACTERS else f"{text[: _CELL_CHARACTERS - 1]}…"


def _series(frame: Any) -> tuple[tuple[str, tuple[float | None, ...]], ...]:
    """Up to four columns of numbers, some hundred values of each; what a line cannot show is left out."""
    shown = frame.iloc[:: max(1, len(frame) // 500)]
    places = [place for place, kind in enumerate(frame.dtypes) if _is_drawn(kind)][:4]
    if len(shown) < 3:
        return ()
    return tuple((str(frame.columns[place]), tuple(map(_height, shown.iloc[:, place]))) for place in places)


def _is_drawn(kind: Any) -> bool:
    from pandas.api import types

    return bool(types.is_numeric_dtype(kind)) and not (types.is_bool_dtype(kind) or types.is_complex_dtype(kind))


def _height(value: Any) -> float | None:
    """A number of a column; None where there is none (NaN, NA) or none that can be drawn (infinity)."""
    from pandas import isna

    number = math.nan if isna(value) else float(value)
    return number if math.isfinite(number) else None


def _image(image: Any) -> Preview:
    small = image.copy()
    small.thumbnail((_IMAGE_PIXELS, _IMAGE_PIXELS))
    if small.mode not in ("RGB", "RGBA", "L"):
        small = small.convert("RGBA")
    data = io.BytesIO()
    small.save(data, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"
    return Preview(f"image, {image.width:,} × {image.height:,} pixels, {image.mode}", image=url)


def _outlines(geometries: Any) -> tuple[Outline, ...]:
    """The outlines of shapes as points, as many as a browser draws at ease."""
    found: list[Outline] = []
    points = 0
    waiting = [one for one in geometries if one is not None and not one.is_empty][::-1]
    while waiting and points < _POINTS:
        shape = waiting.pop()
        if hasattr(shape, "geoms"):
            waiting.extend(reversed(shape.geoms))
            continue
        line = [(float(x), float(y)) for x, y, *_ in getattr(shape, "exterior", shape).coords]
        found.append(line)
        points += len(line)
    return tuple(found)


def _shortened(text: str) -> str:
    if len(text) <= _TEXT_CHARACTERS:
        return text
    return f"{text[:_TEXT_CHARACTERS]}… ({len(text):,} characters)"


# A preview on the page: text, a table, an image, outlines, a chart.


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


# Outlines of shapes as a map: a drawing that keeps their proportions, and says where it lies.

#: The drawing's own units across; lines keep their width on the screen however it is scaled.
_ACROSS = 1000.0


def show_map(outlines: tuple[Outline, ...], *, geographic: bool) -> None:
    """Add the map to the page. Degrees are drawn as wide as they are in the middle of it."""
    xs, ys = zip(*(point for outline in outlines for point in outline), strict=True)
    low_x, high_x, low_y, high_y = min(xs), max(xs), min(ys), max(ys)
    narrow = max(0.05, math.cos(math.radians((low_y + high_y) / 2))) if geographic else 1.0
    width, height = (high_x - low_x) * narrow, high_y - low_y
    scale = _ACROSS / (max(width, height) or 1.0)

    def placed(x: float, y: float) -> str:
        return f"{(x - low_x) * narrow * scale:.1f} {(high_y - y) * scale:.1f}"

    margin = _ACROSS / 50
    box = (-margin, -margin, width * scale + 2 * margin, height * scale + 2 * margin)
    drawing = element("svg", "ff-map").props('role=img aria-label="Map of the result"')
    drawing._props["viewBox"] = " ".join(f"{value:.1f}" for value in box)
    with drawing:
        for kind, shapes in (("ff-line", lines(outlines)), ("ff-dot", points(outlines))):
            if shapes:
                drawn = "".join("M" + "L".join(placed(x, y) for x, y in shape) for shape in shapes)
                element("path", kind)._props.update({"d": drawn, "vector-effect": "non-scaling-stroke"})
    unit = "°" if geographic else ""
    extent = f"x {low_x:.6g}{unit} to {high_x:.6g}{unit}, y {low_y:.6g}{unit} to {high_y:.6g}{unit}"
    text(f"{len(outlines):,} outlines; {extent}", "ff-muted ff-small")


def lines(outlines: tuple[Outline, ...]) -> list[Outline]:
    """Outlines that are more than a point."""
    return [outline for outline in outlines if len(outline) > 1]


def points(outlines: tuple[Outline, ...]) -> list[Outline]:
    """Points, each as a line to itself, which is drawn as a dot."""
    return [outline * 2 for outline in outlines if len(outline) == 1]
