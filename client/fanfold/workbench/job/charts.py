"""Charts as ECharts options. Texts of users never become keys here: NiceGUI runs what stands under a `:key`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fanfold.contract.layout import ADVISED_RUN_S
from fanfold.contract.records import NamedTuple
from fanfold.job.chart_data import LoadPoint, Timeline

Options = dict[str, Any]

_GRID = {"left": 52, "right": 18, "top": 30, "bottom": 34}
_STATUSES = ("succeeded", "running", "failed", "timed_out", "out_of_memory", "lost", "cancelled")
_TICKS = 8
#: A logarithmic axis with fewer ticks than this has more of them.
_FEW_TICKS = 5
#: More points than this are drawn smaller and let each other be seen.
_MANY_POINTS = 1_000
_IN_SECONDS: Options = {":formatter": "window.ff.tick"}
_COLOURS = {"succeeded": "good", "running": "running", "cancelled": "cancelled"}


class Waits(NamedTuple):
    """What runs waited for: seconds until machines were up, and (seconds, how many waited) over time."""

    machines_s: float | None = None
    runs: list[tuple[float, int]] | None = None


def timeline_options(drawn: Timeline, zoom: tuple[float, float], waits: Waits) -> Options:
    """Runs over time, how many wait, and when the machines came up; `zoom` is what is in sight, in percent."""
    options = _base("since the submit", "side by side" if drawn.slices else "")
    options["xAxis"].update(_seconds_axis(drawn.end_s, (zoom[1] - zoom[0]) / 100))
    options["dataZoom"] = _zooms(zoom)
    options["grid"] = {**_GRID, "bottom": 58}
    options["series"] = _sliced(drawn) if drawn.slices else [_bars(drawn)]
    if not drawn.slices:
        options["yAxis"].update(
            {"min": 0, "max": max(drawn.lines, 1), "minInterval": 1, "inverse": True, "splitLine": {"show": False}}
        )
    if waits.runs:
        _add_waiting(options, waits.runs)
    if waits.machines_s:
        options["series"][0]["markArea"] = _band("machines start", 0, waits.machines_s, "warn")
    options["tooltip"] = {"confine": True, ":formatter": "window.ff.tip"}
    return options


def _step_s(span_s: float) -> float:
    """Seconds between two ticks: as people count time, not in tens of seconds beyond a minute."""
    longest = (60 * minutes for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 360, 720, 1440, 1440 * 7))
    short = [digit * 10.0**power for power in range(-4, 2) for digit in (1, 2, 5) if digit * 10**power <= 20]
    return next((step for step in [*short, 30.0, *longest] if span_s / step <= _TICKS), span_s / _TICKS)


#: Round times, as people say them.
_ROUND_S = (*(10.0**power for power in range(-5, 1)), 10, 60, 600, 3_600, 6 * 3_600, 86_400, 7 * 86_400)
_BETWEEN_S = (*(3 * 10.0**power for power in range(-5, 1)), 30, 180, 1_800, 2 * 3_600)


def _log_ticks(low_s: float, high_s: float) -> list[float]:
    """Ticks of a logarithmic axis of seconds: round times, and where these are few some between them."""
    ticks = [at for at in _ROUND_S if low_s <= at <= high_s]
    if len(ticks) < _FEW_TICKS:
        ticks = sorted([*ticks, *(at for at in _BETWEEN_S if low_s <= at <= high_s)])
    return ticks or [low_s, high_s]


def _zooms(zoom: tuple[float, float]) -> list[Options]:
    both = {"start": zoom[0], "end": zoom[1], "filterMode": "none", "xAxisIndex": 0}
    slider = {"type": "slider", "height": 16, "bottom": 4, "showDetail": False, "brushSelect": False}
    return [{"type": "inside", "zoomOnMouseWheel": "ctrl", **both}, {**slider, **both}]


def _add_waiting(options: Options, runs: list[tuple[float, int]]) -> None:
    """A line on an axis of its own: thousands wait where some hundred run."""
    axis = {**options["yAxis"], "name": "waiting", "inverse": False, "max": None, "min": 0, "minInterval": 1}
    options["yAxis"] = [options["yAxis"], {**axis, "splitLine": {"show": False}}]
    options["grid"] = {**options["grid"], "right": 56}
    line = {"type": "line", "step": "end", "name": "waiting", "yAxisIndex": 1, "showSymbol": False, "z": 3}
    style = {"width": 1.5, "type": "dotted", ":color": _colour("text")}
    data = [[round(at, 4), count] for at, count in runs]
    options["series"].append({**line, "lineStyle": style, "data": data, "silent": True})


def _band(name: str, start: float, end: float, colour: str) -> Options:
    """A stretch of the x axis in a faint colour, with its name on top."""
    return {
        "silent": True,
        "itemStyle": {":color": _colour(colour), "opacity": 0.16},
        "label": {":color": _colour("text"), "fontSize": 11, "position": "top"},
        "data": [[{"name": name, "xAxis": start}, {"xAxis": end}]],
    }


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


def histogram_options(bins: list[tuple[float, float, int]], *, realtime: bool, limit_s: float | None) -> Options:
    """How long runs took, with their limit where they have one, and on the realtime path the range that is best."""
    options = _base("time of a run", "runs")
    longest = max((high for _, high, _ in bins), default=1.0)
    shortest = min((low for low, _, _ in bins), default=0.01)
    low, high = (min(shortest, 1.0), max(longest, 200.0)) if realtime else (shortest / 2, longest * 2)
    high = max(high, 1.6 * (limit_s or 0.0))
    ticks = _log_ticks(low, high)
    label = {**options["xAxis"]["axisLabel"], **_IN_SECONDS, "customValues": ticks}
    axis = {"type": "log", "logBase": 10, "min": low, "max": high, "axisTick": {"customValues": ticks}}
    options["xAxis"].update({**axis, "axisLabel": label})
    options["yAxis"]["minInterval"] = 1
    bars: Options = {
        "type": "custom",
        ":renderItem": "window.ff.bin",
        "data": [list(one) for one in bins],
        "encode": {"x": [0, 1], "y": 2},
        "itemStyle": {":color": _colour("running")},
    }
    if realtime:
        least, most = ADVISED_RUN_S
        bars["markArea"] = _band(f"best {least:.0f}–{most:.0f} s", least, most, "good")
    if limit_s is not None:
        bars["markLine"] = {
            "silent": True,
            "symbol": "none",
            "lineStyle": {":color": _colour("bad"), "type": "dashed"},
            "label": {
                ":color": _colour("text"), "fontSize": 11, "formatter": f"limit {limit_s:g} s",
                "position": "end", "distance": [-2, 17],
            },
            "data": [{"xAxis": limit_s}],
        }  # fmt: skip
    options["series"] = [bars]
    options["tooltip"] = {"confine": True, ":formatter": "window.ff.binTip"}
    options["grid"] = {**_GRID, "right": 36, "top": 44}
    return options


Points = list[tuple[float, float | None]]


class Panel(NamedTuple):
    """One of the pictures that stand above each other over the same time: what is measured, and its series.

    A series is a name, a colour and its points (None: not measured).
    """

    name: str
    series: list[tuple[str, str, Points]]


def run_load_options(points: Iterable[tuple[float, float, float]], end_s: float) -> Options:
    """CPU and memory of realtime runs: one point each, where it ended. `end_s`: when the job's last run did."""
    points = list(points)
    cpu: Points = [(at, cpu) for at, cpu, _ in points]
    memory: Points = [(at, mib) for at, _, mib in points]
    return _above_each_other(_load_panels(cpu, memory), end_s, lines=False)


def machine_load_options(moments: list[LoadPoint], end_s: float) -> Options:
    """CPU and memory of machines over time."""
    cpu: Points = [(one.at_s, one.cpu_percent) for one in moments]
    memory: Points = [(one.at_s, one.memory_mib) for one in moments]
    return _above_each_other(_load_panels(cpu, memory), end_s)


def _load_panels(cpu: Points, memory: Points) -> list[Panel]:
    return [Panel("CPU %", [("CPU %", "running", cpu)]), Panel("memory, MiB", [("memory, MiB", "warn", memory)])]


def disk_and_network_options(moments: list[LoadPoint], end_s: float) -> Options:
    """Free disk of machines over time, and what they send and receive."""
    free = [(m.at_s, None if m.disk_free_mib is None else m.disk_free_mib / 1024) for m in moments]
    network = [
        ("received, MiB/s", "good", [(m.at_s, m.in_mib_s) for m in moments]),
        ("sent, MiB/s", "warn", [(m.at_s, m.out_mib_s) for m in moments]),
    ]
    panels = [Panel("disk free, GiB", [("disk free, GiB", "running", free)]), Panel("network, MiB/s", network)]
    return _above_each_other(panels, end_s)


def _above_each_other(panels: list[Panel], end_s: float, *, lines: bool = True) -> Options:
    """Panels over the same time, one above the other: each has a scale of its own, and none hides another."""
    base = _base("since the submit", "")
    shown = [panel for panel in panels if any(v is not None for _, _, points in panel.series for _, v in points)]
    options: Options = {**base, "grid": [], "xAxis": [], "yAxis": []}
    kind: Options = {"type": "line", "showSymbol": False} if lines else {"type": "scatter"}
    for place, panel in enumerate(shown):
        options["grid"].append(_shelf(place, len(shown)))
        is_last = place == len(shown) - 1
        options["xAxis"].append({**base["xAxis"], **_seconds_axis(end_s, 1.0), "gridIndex": place})
        if not is_last:
            options["xAxis"][-1].update({"name": "", "axisLabel": {"show": False}})
        name_style = {**base["yAxis"]["nameTextStyle"], "align": "left"}
        options["yAxis"].append(
            {**base["yAxis"], "name": panel.name, "nameTextStyle": name_style, "nameGap": 8, "gridIndex": place,
             "min": 0, "splitNumber": 3}
        )  # fmt: skip
        for name, colour, points in panel.series:
            known = [[round(at, 2), round(value, 2)] for at, value in points if value is not None]
            style = {"itemStyle": {":color": _colour(colour)}, "xAxisIndex": place, "yAxisIndex": place}
            if not lines:
                many = len(known) > _MANY_POINTS
                style = {**style, "symbolSize": 3 if many else 5}
                style["itemStyle"] = {":color": _colour(colour), "opacity": 0.35 if many else 0.8}
            options["series"].append({**kind, **style, "name": name, "data": known})
    if any(len(panel.series) > 1 for panel in shown):
        named = [name for panel in shown if len(panel.series) > 1 for name, *_ in panel.series]
        options["legend"] = {"top": 0, "right": 10, "data": named, "textStyle": {":color": _colour("text")}}
    options["tooltip"] = {"trigger": "item", "confine": True, ":formatter": "window.ff.tip"}
    return options


def _shelf(place: int, count: int) -> Options:
    """The part of a chart that one of `count` panels has."""
    height = (100 - 17 - 2) / max(1, count)
    return {"left": 58, "right": 18, "top": f"{17 + place * height:.1f}%", "height": f"{height - 14:.1f}%"}


def _seconds_axis(end_s: float, part: float) -> Options:
    """An axis of seconds from 0 to `end_s`, of which this part is in sight, with ticks as people count time."""
    end_s = max(end_s, 0.001)
    label = {":color": _colour("muted"), "hideOverlap": True, "showMaxLabel": False, **_IN_SECONDS}
    return {"type": "value", "min": 0, "max": end_s, "interval": _step_s(end_s * part), "axisLabel": label}


def _base(x_name: str, y_name: str) -> Options:
    axis: Options = {
        "nameTextStyle": {":color": _colour("muted")},
        "axisLabel": {":color": _colour("muted"), "hideOverlap": True},
        "axisLine": {"lineStyle": {":color": _colour("line")}},
        "splitLine": {"lineStyle": {":color": _colour("line")}},
    }
    x_axis = {**axis, "name": x_name, "nameLocation": "middle", "nameGap": 22, "splitLine": {"show": False}}
    return {
        "animation": False,
        "textStyle": {":fontFamily": "getComputedStyle(document.body).fontFamily"},
        "grid": dict(_GRID),
        "xAxis": x_axis,
        "yAxis": {**axis, "name": y_name},
        "series": [],
    }


def _colour(name: str) -> str:
    """A colour of the style sheet, looked up where it is drawn: light and dark have their own."""
    return f"window.ff.colour('{name}')"


class Plot(NamedTuple):
    """Columns of a result, each a name and its points (None: no value), over what, and what was left out."""

    series: tuple[tuple[str, tuple[tuple[float, float | None], ...]], ...]
    x_name: str = "row"
    is_time: bool = False
    cut: str = ""


def plot_options(plot: Plot) -> Options:
    """Columns of a result as lines, by row or over time."""
    options = _base(plot.x_name, "")
    options["xAxis"]["type"] = "time" if plot.is_time else "value"
    options["yAxis"]["scale"] = True
    options["legend"] = {"top": 0, "textStyle": {":color": _colour("text")}}
    options["series"] = [
        {"type": "line", "name": name, "showSymbol": _has_lone_points(points), "symbolSize": 4, "data": points}
        for name, points in ((name, [list(point) for point in points]) for name, points in plot.series)
        if any(height is not None for _, height in points)
    ]
    options["tooltip"] = {"trigger": "axis", "confine": True, "renderMode": "richText"}
    return options


def _has_lone_points(points: list[list[float | None]]) -> bool:
    """Whether a value stands between two gaps: a line alone would not show it."""
    heights = [None, *(height for _, height in points), None]
    pairs = zip(heights, heights[1:], heights[2:], strict=False)
    return any(before is None and here is not None and after is None for before, here, after in pairs)


def totals_options(names: list[str], busy_s: list[float], succeeded: list[int], failed: list[int]) -> Options:
    """What the jobs of each day, owner or UDF took and how their runs ended: compute time above, runs below."""
    base = _base("", "")
    shelves = [{**_shelf(place, 2), "left": 88} for place in range(2)]
    options: Options = {**base, "grid": shelves, "xAxis": [], "yAxis": []}
    label = {**base["xAxis"]["axisLabel"], "width": 110, "overflow": "truncate"}
    style = {**base["yAxis"]["nameTextStyle"], "align": "left"}
    for place, name in enumerate(("compute time", "runs")):
        hidden = {"axisLabel": {"show": False}} if place == 0 else {"axisLabel": label}
        options["xAxis"].append({**base["xAxis"], "type": "category", "data": names, "gridIndex": place, **hidden})
        axis = {**base["yAxis"], "name": name, "nameTextStyle": style, "nameGap": 8, "gridIndex": place, "min": 0}
        options["yAxis"].append({**axis, "splitNumber": 3, "minInterval": 1})
    options["yAxis"][0].update({"interval": _step_s(max([*busy_s, 0.001]) * 2.5), "minInterval": None})
    options["yAxis"][0]["axisLabel"] = {**base["yAxis"]["axisLabel"], **_IN_SECONDS, "showMaxLabel": False}
    series = (("compute time", "running", busy_s), ("succeeded", "good", succeeded), ("failed", "bad", failed))
    for place, (name, colour, values) in enumerate(series):
        panel = min(place, 1)
        bar = {"type": "bar", "name": name, "data": values, "barMaxWidth": 48, "xAxisIndex": panel, "yAxisIndex": panel}
        options["series"].append({**bar, "stack": f"{panel}", "itemStyle": {":color": _colour(colour)}})
    options["legend"] = {
        "top": 0, "right": 10, "data": ["succeeded", "failed"], "textStyle": {":color": _colour("text")}
    }  # fmt: skip
    options["tooltip"] = {"confine": True, ":formatter": "window.ff.totalTip"}
    return options
