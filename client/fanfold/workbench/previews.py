"""What a result looks like: a table's head, a number, an image, a map's outlines. Plain data, and never HTML.

`shown_previews` puts it onto a page.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Iterator
from contextlib import suppress
from itertools import count, islice
from typing import Any

from fanfold.contract.records import NamedTuple
from fanfold.core import EXACT_IN_FLOATS
from fanfold.core.formatting import counted
from fanfold.core.models import Output
from fanfold.core.plain_json import plain
from fanfold.core.shown import on_one_line
from fanfold.errors import FanfoldError
from fanfold.job.map import picture_of
from fanfold.job.results import Contents
from fanfold.job.shapes import Drawing, drawing_of, is_shape, located, shapes_of
from fanfold.job.unread import why_not_read
from fanfold.workbench.job.charts import Plot

_ROWS, _COLUMNS = 50, 40
_CELL_CHARACTERS, _TEXT_CHARACTERS, _LINE_CHARACTERS = 200, 20_000, 80
_ARGUMENT_CHARACTERS = 2_000
#: Entries of a list or dict that are written at most: each takes three characters, or more.
_ENTRIES = _TEXT_CHARACTERS // 3
#: Characters of a geometry's text that stand beside its map.
_WKT_CHARACTERS = 400
#: Results beyond this are not read for a look at them.
MOST_BYTES = 64 << 20
_IMAGE_PIXELS = 900
#: Characters of a figure's JSON that the browser is given.
_FIGURE_CHARACTERS = 4_000_000
#: Characters of JSON that are sent to be opened level by level.
_TREE_CHARACTERS = 500_000
#: Levels that are written of a value that is too deep for Python to write it.
_LEVELS = 30
#: Levels of a value that can be opened, one in the other.
_TREE_LEVELS = 100
#: Python refuses to write an int of more than 4,300 digits.
_MOST_BITS = 14_000
#: Stretches of a long column, of which the highest and the lowest value are drawn.
_STRETCHES = 500


class Preview(NamedTuple):
    """Text, and where there is more to see: a table's cells, an image as a data URL, a map, numbers to plot."""

    text: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    image: str = ""
    #: For each column its numbers to sort by, one a row; None where it is text.
    numbers: tuple[tuple[float | None, ...] | None, ...] = ()
    drawing: Drawing | None = None
    plot: Plot | None = None
    #: A value that holds others, to be opened level by level (see `_branch`); None where it is none.
    tree: Any = None
    #: A figure of plotly, as JSON for the browser; empty where it is none.
    figure: str = ""
    #: What else has to be said of it: that it is not the value itself, and why.
    note: str = ""


def seen_of(contents: Contents, index: int, output: Output) -> Preview:
    """A look at what a run has given; where there is none to be had, why."""
    if output.size > MOST_BYTES:
        size = f"{output.size:,} bytes: too large for a preview."
        return Preview(f"{size} Download the results, or call job[{index}].result().")
    from fanfold.codec.data_notes import noted_plain_data

    try:
        with noted_plain_data() as noted:
            value = contents.value(index, output)
    except FanfoldError as error:
        return Preview(str(error))
    except (Exception, SystemExit) as error:  # noqa: BLE001  reading may run the user's own code
        return Preview(f"It cannot be read: {why_not_read(error)}")
    try:
        return preview(value)._replace(note="\n".join(noted))
    except Exception as error:  # noqa: BLE001  the user's own types, and what they do when they are looked at
        return Preview(f"{type(value).__name__}: it cannot be shown here ({type(error).__name__}: {error}).")


def look_at(contents: Contents, index: int, output: Output | None) -> tuple[str, Preview | None]:
    """A run's arguments in words, and a look at its result where it has one."""
    try:
        arguments = ", ".join(f"{name}={on_one_line(value)}" for name, value in contents.arguments(index).items())
    except Exception as error:  # noqa: BLE001  as above; what it has given is shown all the same
        arguments = f"(they cannot be read: {why_not_read(error)})"
    return arguments[:_ARGUMENT_CHARACTERS], None if output is None else seen_of(contents, index, output)


def is_plain(written: str | bytes) -> bool:
    """Whether JSON holds nothing but its own kinds, which take no library to be read."""
    return '"$' not in written if isinstance(written, str) else b'"$' not in written


def is_plain_result(output: Output) -> bool:
    """Whether a result is of JSON's own kinds, and at hand."""
    return output.codec == "json/1" and output.inline is not None and is_plain(output.inline)


def is_read_in_short(output: Output) -> bool:
    """Whether a result is read for its line in a table: it is at hand, and not one that runs code when it is read."""
    return output.inline is not None and not output.codec.startswith("pickle")


def in_short(contents: Contents, index: int, output: Output) -> str:
    """What a run has given, on one line of a table; of what is not at hand, how it is kept."""
    if not is_read_in_short(output):
        return f"{output.codec}, {counted(output.size, 'byte')}"
    seen = seen_of(contents, index, output)
    words = " ".join(seen.text.split())
    return words if len(words) <= _LINE_CHARACTERS else f"{words[: _LINE_CHARACTERS - 1]}…"


#: What numpy has for no time, in milliseconds.
_NOT_A_TIME = -(2**63)


def preview(value: Any) -> Preview:
    """A look at any value."""
    root = type(value).__module__.partition(".")[0]
    if root in ("pandas", "geopandas", "polars", "pyarrow") and (
        hasattr(value, "shape") or hasattr(value, "to_pandas")
    ):
        return _table_of(_as_pandas(value))
    if root == "PIL":
        return _image(value)
    picture = _picture(value, root) or _map_of(value)
    if picture is not None:
        return picture
    if (drawn := picture_of(value)) is not None:
        return Preview(drawn[0], image=_url(drawn[1], "png"))
    if root == "numpy" and getattr(value, "ndim", None):
        return Preview(f"array of shape {value.shape}, {value.dtype}\n{_shortened(str(value))}")
    table = _records(value) if isinstance(value, list) else None
    return table or Preview(_written(value), tree=_tree_of(value))


def _written(value: Any) -> str:
    """A value's text, as much as is shown of it: of many entries no more are written than there is room for."""
    if isinstance(value, str):
        return _shortened(value)
    if not isinstance(value, (dict, list)) or len(value) <= _ENTRIES:
        return _shortened(_readable(value))
    head = dict(islice(value.items(), _ENTRIES)) if isinstance(value, dict) else value[:_ENTRIES]
    return f"{_readable(head)[:_TEXT_CHARACTERS]}… ({len(value):,} entries)"


def picture_in(seen: Preview | None) -> tuple[str, bytes] | None:
    """The picture or figure in a look: what kind of file it is, and its bytes; None where there is none."""
    if seen is not None and seen.figure:
        return FIGURE, seen.figure.encode()
    if seen is None or not seen.image:
        return None
    kind, _, data = seen.image.removeprefix("data:").partition(";base64,")
    return kind, base64.b64decode(data)


#: The kind of file that a figure of plotly is.
FIGURE = "application/json"
#: How the files of pictures begin that every browser shows.
_PICTURES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif"}


def _picture(value: Any, root: str) -> Preview | None:
    """A figure drawn, or a picture's bytes as the picture that they are; None where it is neither."""
    if root == "matplotlib" and (figure := _figure_of(value)) is not None:
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=110, bbox_inches="tight")
        return Preview("figure of matplotlib", image=_url(file.getvalue(), "png"))
    if root == "plotly" and hasattr(value, "to_json"):
        return _plotly_figure(value.to_json())
    if isinstance(value, dict) and _is_figure(value):  # as a reader has it that does not call plotly
        return _plotly_figure(json.dumps(value, default=plain))
    if isinstance(value, (bytes, bytearray)):
        kind = next((kind for begin, kind in _PICTURES.items() if value.startswith(begin)), None)
        if kind is not None:
            return Preview(f"picture, {kind.upper()}, {len(value):,} bytes", image=_url(bytes(value), kind))
    return None


def _figure_of(value: Any) -> Any:
    """A figure of matplotlib, or the one that axes are of, as `frame.plot()` gives them."""
    figure = value if hasattr(value, "savefig") else getattr(value, "figure", None)
    return figure if hasattr(figure, "savefig") else None


#: The traces of plotly that fetch a map, or the borders of countries, from another host.
_FETCHING = frozenset(
    [f"{what}{where}" for what in ("scatter", "density", "choropleth") for where in ("map", "mapbox")]
    + ["scattergeo", "choropleth"]
)
#: What else a trace of plotly may be.
_TRACES = _FETCHING | set(
    "bar barpolar box candlestick carpet cone contour contourcarpet funnel funnelarea heatmap histogram histogram2d "
    "histogram2dcontour icicle image indicator isosurface mesh3d ohlc parcats parcoords pie sankey scatter scatter3d "
    "scattercarpet scattergl scatterpolar scatterpolargl scattersmith scatterternary splom streamtube sunburst surface "
    "table treemap violin volume waterfall".split()
)


def _is_figure(value: dict[Any, Any]) -> bool:
    """Whether a dict is a figure of plotly, as that is written as JSON."""
    traces, has_layout = value.get("data"), isinstance(value.get("layout"), dict)
    return has_layout and isinstance(traces, (list, tuple)) and bool(traces) and all(map(_is_trace, traces))


def _is_trace(one: Any) -> bool:
    return isinstance(one, dict) and one.get("type") in _TRACES


def _map_of(value: Any) -> Preview | None:
    """A geometry, or several, on a map; None for anything else. What CRS they are of nobody knows."""
    several = isinstance(value, (list, tuple)) and bool(value) and all(map(is_shape, value))
    shapes = list(value) if several else [value] if is_shape(value) else []
    drawing = drawing_of(shapes_of(shapes), geographic=False) if shapes else None
    words = "\n".join(_shortened(str(one), _WKT_CHARACTERS) for one in shapes[:_ROWS])
    cut = f"\n… {len(shapes) - _ROWS:,} more" if len(shapes) > _ROWS else ""
    return Preview(words + cut, drawing=drawing) if shapes else None


def _plotly_figure(written: str) -> Preview | None:
    """A figure of plotly, for the browser to draw: the server needs no browser of its own for it.

    A trace by itself is drawn as well; None for anything else that plotly writes as JSON.
    """
    if len(written) > _FIGURE_CHARACTERS:
        return Preview(f"figure of plotly, {len(written):,} characters of JSON: too large to be drawn here.")
    figure = json.loads(written, parse_constant=lambda _: None)  # a browser's JSON has no NaN
    if "data" not in figure:
        figure = {"data": [figure]} if "type" in figure else None
    if figure is None:
        return None
    kinds = {str(trace.get("type", "scatter")) for trace in figure["data"]}
    if away := sorted(kinds & _FETCHING):
        return Preview(
            f"figure of plotly ({', '.join(away)}): its map comes from another host, and this page asks none."
        )
    layout = figure.get("layout", {})
    pictures = [one for holds in (figure["data"], layout.get("images", ())) for one in holds if _is_away(one)]
    for one in pictures:
        one["source"] = ""
    left_out = "; a picture from another host is left out, for this page asks none" if pictures else ""
    return Preview(f"figure of plotly{left_out}", figure=json.dumps({"data": figure["data"], "layout": layout}))


def _is_away(picture: dict[str, Any]) -> bool:
    """Whether a browser would have to fetch this picture."""
    source = picture.get("source")
    return isinstance(source, str) and bool(source) and not source.startswith("data:")


def _url(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _tree_of(value: Any) -> Any:
    """A dict or list that holds others, as `_branch` writes it; None for what is read at a glance, or too large."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if not any(isinstance(one, (dict, list, tuple)) and one for one in inner):
        return None
    try:
        branch = _branch(value, count())
        return branch if len(json.dumps(branch)) <= _TREE_CHARACTERS else None
    except (_TooLarge, RecursionError):  # its text says what there is room for
        return None


class _TooLarge(Exception):
    """A value has more parts than are sent to a browser."""


def _branch(value: Any, parts: Iterator[int], level: int = 0) -> Any:
    """A value for the browser: lists as lists, a dict as its entries in their order, all else as text or as it is.

    An object of JSON would lose what a dict may have as a key, and a number what JavaScript has no digits for.
    """
    if next(parts) > _TREE_CHARACTERS // 2:  # each takes two characters at least
        raise _TooLarge
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, float)):
        reads_alike = isinstance(value, int) or (value % 1 != 0 and "e" not in repr(value))
        is_same = reads_alike and abs(value) < EXACT_IN_FLOATS
        return value if is_same else {"of": "number", "text": _shortened(_readable(value), _CELL_CHARACTERS)}
    if isinstance(value, (dict, list, tuple)) and level >= _TREE_LEVELS:
        return {"of": "cut", "text": f"{type(value).__name__} of {len(value):,}, too deep to be opened here"}
    if isinstance(value, dict):
        names = (name if isinstance(name, str) else _cell(name) for name in value)
        entries = [[name, _branch(one, parts, level + 1)] for name, one in zip(names, value.values(), strict=True)]
        return {"of": "dict", "entries": entries}
    if isinstance(value, (list, tuple)):
        return [_branch(one, parts, level + 1) for one in value]
    return _branch(plain(value), parts, level + 1)


def _readable(value: Any) -> str:
    """A value's text; nested dicts and lists one entry a line."""
    import pprint

    if type(value) is int and value.bit_length() > _MOST_BITS:  # Python writes no more digits of it, but any in base 16
        return f"a number of {value.bit_length():,} bits: {value:#x}"
    try:
        return pprint.pformat(value, width=100, sort_dicts=False) if isinstance(value, (dict, list)) else repr(value)
    except (ValueError, RecursionError) as error:  # a number of too many digits within it, or too deep for Python
        if not _is_python_at_its_limit(error):
            raise
        return _in_parts(value)


def _is_python_at_its_limit(error: Exception) -> bool:
    """Whether Python does not write a value, rather than the value's own type."""
    return isinstance(error, RecursionError) or "integer string conversion" in str(error)


def _in_parts(value: Any) -> str:
    """A value as far as it can be written: of each part some entries, and what is too deep not at all."""
    import reprlib

    parts = reprlib.Repr()
    parts.maxlevel, parts.maxstring, parts.maxother, parts.maxlong = _LEVELS, _CELL_CHARACTERS, _CELL_CHARACTERS, 80
    parts.maxlist = parts.maxtuple = parts.maxdict = parts.maxset = parts.maxfrozenset = _ROWS
    parts.repr_int = lambda x, level: _readable(x)[:_CELL_CHARACTERS]  # type: ignore[method-assign]  # noqa: ARG005
    return parts.repr(value)


def _as_pandas(value: Any) -> Any:
    """A frame; of polars and Arrow with the types that they have there: pandas' own made floats of whole numbers."""
    root = type(value).__module__.partition(".")[0]
    if root == "polars":
        value = value.to_pandas(use_pyarrow_extension_array=True)
    elif root == "pyarrow":
        from pandas import ArrowDtype

        value = value.to_pandas(types_mapper=ArrowDtype)
    return value.to_frame() if hasattr(value, "to_frame") and getattr(value, "ndim", 2) == 1 else value


def _table_of(frame: Any) -> Preview:
    head = frame.iloc[:_ROWS, :_COLUMNS]
    placed, drawing = located(frame), None
    if getattr(placed, "_geometry_column_name", None) in placed.columns:
        geographic = bool(getattr(placed.crs, "is_geographic", False))
        drawing = drawing_of(shapes_of(placed.geometry), geographic=geographic)
    rows, columns = len(frame), len(frame.columns)
    size = f"{rows:,} {'row' if rows == 1 else 'rows'} × {columns:,} {'column' if columns == 1 else 'columns'}"
    cut = [f"{_ROWS} rows"] * (rows > len(head)) + [f"{_COLUMNS} columns"] * (columns > len(head.columns))
    shown = f", the first {' and '.join(cut)} shown" if cut else ""
    cells = zip(head.index, head.itertuples(index=False), strict=True)
    return Preview(
        size + shown,
        ("", *(str(name) for name in head.columns)),
        tuple((_cell(label), *map(_cell, row)) for label, row in cells),
        numbers=(_numbers(head.index), *(_numbers(head.iloc[:, place]) for place in range(len(head.columns)))),
        drawing=drawing,
        plot=None if drawing is not None else _plot(frame),
    )


def _cell(value: Any) -> str:
    """A value in full: numbers with all their digits."""
    text = as_text(value)
    return text if len(text) <= _CELL_CHARACTERS else f"{text[: _CELL_CHARACTERS - 1]}…"


def as_text(value: Any) -> str:
    """A value as a cell has it, also where Python itself would not write it."""
    try:
        return repr(value) if type(value) is float else str(value)
    except (ValueError, RecursionError) as error:
        if not _is_python_at_its_limit(error):
            raise
        return _readable(value)


def _numbers(column: Any) -> tuple[float | None, ...] | None:
    """What a column is sorted by where that is not its text: its numbers, or the places of its values in order."""
    from pandas import isna
    from pandas.api import types

    if _is_drawn(column.dtype) and types.is_float_dtype(column.dtype):
        return tuple(map(_height, column))
    cells = [None if isna(cell) is True else cell for cell in column]
    known = [cell for cell in cells if cell is not None]
    if not (known or _is_drawn(column.dtype)) or not all(map(_has_order, known)):
        return None
    try:
        places = {cell: float(place) for place, cell in enumerate(sorted(set(known)))}
    except TypeError:  # of several kinds, which have no order
        return None
    return tuple(None if cell is None else places[cell] for cell in cells)


def _has_order(cell: Any) -> bool:
    """Whether values like this one are sorted by what they are, which their text would not be."""
    import datetime as dt
    from decimal import Decimal

    is_number = hasattr(type(cell), "__index__") or isinstance(cell, (float, Decimal))
    return (is_number and type(cell).__name__ != "bool") or isinstance(cell, (dt.timedelta, dt.datetime))


def _records(value: list[Any]) -> Preview | None:
    """A list of dicts as a table; None where it is another list."""
    if not value or not all(isinstance(one, dict) for one in value):
        return None
    head = value[:_ROWS]
    every = list(dict.fromkeys(str(name) for one in head for name in one))
    names = every[:_COLUMNS]
    rows = [{str(name): cell for name, cell in one.items()} for one in head]
    columns = [[row.get(name) for row in rows] for name in names]
    numbers = [
        tuple(map(_as_number, column)) if all(_as_number(one) is not None or one is None for one in column) else None
        for column in columns
    ]
    shown = f", the first {len(head):,} shown" if len(value) > len(head) else ""
    shown += f", of each the first {len(names):,} of {len(every):,} names" if len(every) > len(names) else ""
    return Preview(
        f"list of {len(value):,} dicts{shown}",
        ("", *names),
        tuple((str(n), *(_cell(row[name]) if name in row else "" for name in names)) for n, row in enumerate(rows)),
        numbers=(tuple(float(n) for n in range(len(rows))), *numbers),
    )


def _as_number(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    with suppress(OverflowError):  # an int beyond all floats
        return float(value) if is_number and math.isfinite(value) else None
    return None


def _plot(frame: Any) -> Plot | None:
    """Up to four columns of numbers over time, where the frame has one, or over its rows."""
    places = [place for place, kind in enumerate(frame.dtypes) if _is_drawn(kind)][:4]
    if len(frame) < 3 or not places:
        return None
    times, name = _times(frame)
    series = tuple((str(frame.columns[place]), _curve(frame.iloc[:, place], times)) for place in places)
    cut = f"the highest and lowest of each {math.ceil(len(frame) / _STRETCHES):,} rows are drawn"
    return Plot(series, name, times is not None, cut if len(frame) > 2 * _STRETCHES else "")


def _times(frame: Any) -> tuple[Any, str]:
    """Milliseconds since 1970 of each row, and what that column is called; None where no column tells a time."""
    from pandas.api import types

    columns = [(frame.index, str(frame.index.name or "time"))]
    columns += [(frame.iloc[:, place], str(name)) for place, name in enumerate(frame.columns)]
    for column, name in columns:
        if types.is_datetime64_any_dtype(column.dtype):
            values = _milliseconds(column)
            return (None, "row") if (values == _NOT_A_TIME).any() else (values, name)
    return None, "row"


def _milliseconds(moments: Any) -> Any:
    """Milliseconds since 1970, in UTC; of an index, a column, or one of Arrow's, which may be of days."""
    from pandas import ArrowDtype, Index

    if isinstance(moments.dtype, ArrowDtype):
        import pyarrow as pa

        known = pa.array(moments).cast(pa.timestamp("ms", getattr(moments.dtype.pyarrow_dtype, "tz", None)), safe=False)
        return known.cast(pa.int64()).fill_null(_NOT_A_TIME).to_numpy()
    index = Index(moments)
    return (index if index.tz is None else index.tz_convert(None)).to_numpy().astype("datetime64[ms]").astype("int64")


def _curve(column: Any, times: Any) -> tuple[tuple[float, float | None], ...]:
    """A column's points. Of a long one the lowest and the highest of each stretch, so that no spike is missed."""
    heights = list(map(_height, column))
    width = max(1, math.ceil(len(heights) / _STRETCHES)) if len(heights) > 2 * _STRETCHES else 1
    kept: list[int] = []
    for start in range(0, len(heights), width):
        stretch = range(start, min(start + width, len(heights)))
        known = [(height, place) for place in stretch if (height := heights[place]) is not None]
        kept += sorted({min(known)[1], max(known)[1]}) if known else [start]
    return tuple((float(place if times is None else times[place]), heights[place]) for place in kept)


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
    words = f"image, {image.width:,} × {image.height:,} pixels, {image.mode}"
    return Preview(words, image=_url(data.getvalue(), "png"))


def _shortened(text: str, most: int = _TEXT_CHARACTERS) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"
