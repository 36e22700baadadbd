"""Charts as ECharts options. Texts of users never become keys here: NiceGUI runs what stands under a `:key`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fanfold.contract.limits import ADVISED_RUN_S, REALTIME_TIMEOUT_S
from fanfold.workbench.picture import Timeline

Options = dict[str, Any]

_GRID = {"left": 52, "right": 18, "top": 30, "bottom": 34}
_STATUSES = ("succeeded", "running", "failed", "timed_out", "out_of_memory", "lost", "cancelled")
_COLOURS = {"succeeded": "good", "running": "running", "cancelled": "cancelled"}


def timeline_options(drawn: Timeline, zoom: tuple[float, float]) -> Options:
    """Runs over time; `zoom` is what is in sight, in percent."""
    options = _base("seconds since the submit", "side by side" if drawn.slices else "")
    end = max(drawn.end_s, 0.001)
    options["xAxis"].update({"type": "value", "min": 0, "max": end})
    options["dataZoom"] = [
        {"type": "inside", "start": zoom[0], "end": zoom[1], "filterMode": "none", "zoomOnMouseWheel": "ctrl"},
        {
            "type": "slider",
            "start": zoom[0],
            "end": zoom[1],
            "height": 16,
            "bottom": 4,
            "filterMode": "none",
            "showDetail": False,
            "brushSelect": False,
        },
    ]
    options["grid"] = {**_GRID, "bottom": 58}
    options["series"] = _sliced(drawn) if drawn.slices else [_bars(drawn)]
    if not drawn.slices:
        options["yAxis"].update(
            {"min": 0, "max": max(drawn.lines, 1), "minInterval": 1, "inverse": True, "splitLine": {"show": False}}
        )
    options["tooltip"] = {"confine": True, ":formatter": "window.ff.tip"}
    return options


def _bars(drawn: Timeline) -> Options:
    return {
        "type": "custom",
        ":renderItem": "window.ff.bar",
        "data": [
            [line, round(a, 4), round(b, 4), status, run, round(w, 4)] for line, a, b, status, run, w in drawn.bars
        ],
        "encode": {"x": [1, 2], "y": 0},
        "clip": True,
    }


def _sliced(drawn: Timeline) -> list[Options]:
    present = {status for _, busy in drawn.slices for status in busy}
    return [
        {
            "type": "bar",
            "stack": "runs",
            "name": status.replace("_", " "),
            "barWidth": "101%",
            "data": [[round(at + drawn.slice_s / 2, 4), round(busy.get(status, 0.0), 2)] for at, busy in drawn.slices],
            "itemStyle": {":color": _colour(_COLOURS.get(status, "bad"))},
        }
        for status in _STATUSES
        if status in present
    ]


def histogram_options(bins: list[tuple[float, float, int]]) -> Options:
    """How long runs took, with the advised range and the limit of the realtime path."""
    options = _base("time of a run", "runs")
    longest = max((high for _, high, _ in bins), default=1.0)
    shortest = min((low for low, _, _ in bins), default=0.01)
    options["xAxis"].update(
        {"type": "log", "logBase": 10, "min": min(shortest, 1.0), "max": max(longest, 200.0),
         "axisLabel": {":formatter": "window.ff.duration", ":color": _colour("muted"), "hideOverlap": True}}
    )  # fmt: skip
    options["yAxis"]["minInterval"] = 1
    low, high = ADVISED_RUN_S
    label = {":color": _colour("text"), "fontSize": 11}
    options["series"] = [
        {
            "type": "custom",
            ":renderItem": "window.ff.bin",
            "data": [list(one) for one in bins],
            "encode": {"x": [0, 1], "y": 2},
            "itemStyle": {":color": _colour("running")},
            "markArea": {
                "silent": True,
                "itemStyle": {":color": _colour("good"), "opacity": 0.16},
                "label": {**label, "position": "top"},
                "data": [[{"name": f"best {low:.0f}–{high:.0f} s", "xAxis": low}, {"xAxis": high}]],
            },
            "markLine": {
                "silent": True,
                "symbol": "none",
                "lineStyle": {":color": _colour("bad"), "type": "dashed"},
                "label": {
                    **label,
                    "formatter": f"limit {REALTIME_TIMEOUT_S:.0f} s",
                    "position": "end",
                    "distance": [-2, 14],
                },
                "data": [{"xAxis": REALTIME_TIMEOUT_S}],
            },
        }
    ]
    options["tooltip"] = {"confine": True, ":formatter": "window.ff.binTip"}
    options["grid"] = {**_GRID, "right": 36, "top": 44}
    return options


def load_options(points: Iterable[tuple[float, float, float]], *, lines: bool) -> Options:
    """CPU and memory over time: lines of a machine's samples, or one point a run."""
    options = _base("seconds since the submit", "CPU %")
    points = list(points)
    memory_axis = {**options["yAxis"], "name": "MiB", "splitLine": {"show": False}}
    options["yAxis"] = [options["yAxis"], memory_axis]
    kind: Options = {"type": "line", "showSymbol": False} if lines else {"type": "scatter", "symbolSize": 5}
    options["series"] = [
        {**kind, "name": "CPU %", "data": [[at, cpu] for at, cpu, _ in points],
         "itemStyle": {":color": _colour("running")}},
        {**kind, "name": "memory, MiB", "yAxisIndex": 1, "data": [[at, mib] for at, _, mib in points],
         "itemStyle": {":color": _colour("warn")}},
    ]  # fmt: skip
    options["legend"] = {"top": 0, "textStyle": {":color": _colour("text")}}
    options["grid"] = {**_GRID, "right": 56, "top": 44}
    options["tooltip"] = {"trigger": "item", "confine": True}
    return options


def _base(x_name: str, y_name: str) -> Options:
    axis: Options = {
        "nameTextStyle": {":color": _colour("muted")},
        "axisLabel": {":color": _colour("muted"), "hideOverlap": True},
        "axisLine": {"lineStyle": {":color": _colour("line")}},
        "splitLine": {"lineStyle": {":color": _colour("line")}},
    }
    x_axis = {**axis, "name": x_name, "nameLocation": "middle", "nameGap": 22, "splitLine": {"show": False}}
    return {"animation": False, "grid": dict(_GRID), "xAxis": x_axis, "yAxis": {**axis, "name": y_name}, "series": []}


def _colour(name: str) -> str:
    """A colour of the style sheet, looked up where it is drawn: light and dark have their own."""
    return f"window.ff.colour('{name}')"


def plot_options(series: tuple[tuple[str, tuple[float | None, ...]], ...]) -> Options:
    """Columns of a result as lines, by row."""
    options = _base("row", "")
    options["xAxis"]["type"] = "value"
    options["legend"] = {"top": 0, "textStyle": {":color": _colour("text")}}
    options["series"] = [
        {"type": "line", "name": name, "showSymbol": False, "data": [[row, value] for row, value in enumerate(values)]}
        for name, values in series
    ]
    options["tooltip"] = {"trigger": "axis", "confine": True, "renderMode": "richText"}
    return options


def shape_options(outlines: tuple[list[tuple[float, float]], ...]) -> Options:
    """Outlines of shapes; a point is a dot."""
    options = _base("", "")
    for axis in ("xAxis", "yAxis"):
        options[axis].update({"type": "value", "scale": True})
    lines = [list(map(list, outline)) for outline in outlines if len(outline) > 1]
    points = [list(outline[0]) for outline in outlines if len(outline) == 1]
    options["series"] = [
        {"type": "line", "showSymbol": False, "lineStyle": {":color": _colour("running"), "width": 1}, "data": line}
        for line in lines[:500]
    ]
    dots = {"type": "scatter", "symbolSize": 5, "itemStyle": {":color": _colour("running")}, "data": points}
    options["series"] += [dots] if points else []
    return options
