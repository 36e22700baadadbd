"""The overview: runs over time, how long they took, CPU and memory."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from nicegui import ui
from nicegui.element import Element

from fanfold.contract.limits import REALTIME_TIMEOUT_S
from fanfold.core.formatting import counted
from fanfold.workbench.following import FollowedJob
from fanfold.workbench.job import chart_data, charts
from fanfold.workbench.job.chart_data import machine_load
from fanfold.workbench.layout import element, set_text, show, text

#: Between two drawings of a job that runs: each goes through all runs.
_DRAW_S = 2.0
_FEW = "one bar a run; the thin line before it is its wait"
_SOME = "one bar a run, in as many lines as ran side by side; dotted: how many waited"
_MANY = f"more than {chart_data.MOST_BARS:,} runs: how many were running and (dotted) waiting; zoom in for single runs"


class _Chart(NamedTuple):
    """A chart, the card it stands on, and the words below it."""

    box: Element
    chart: ui.echart
    caption: Element


class ChartsPanel:
    """The charts of one job, drawn anew when it has changed."""

    def __init__(self, followed: FollowedJob) -> None:
        self._followed = followed
        self._zoom = (0.0, 100.0)
        self._drawn = ((-2, 0), 0.0)
        self._nothing = text("Nothing has run yet: charts appear with the first run.", "ff-card ff-empty")
        with element("div", "ff-columns").style("margin-bottom: 14px; grid-template-columns: minmax(0, 1fr)") as one:
            self._timeline = self._chart("Runs over time", "timeline")
            self._timeline.chart.on("chart:datazoom", self._zoomed, js_handler=_ZOOM, throttle=0.25)
        with element("div", "ff-columns") as two:
            self._histogram = self._chart("Time of a run", "histogram")
            self._load = self._chart("CPU and memory", "load")
            self._machines = self._chart("Disk and network", "machines")
        self._boxes = (one, two)

    def refresh(self) -> None:
        """Draw what is new."""
        drawn, at = self._drawn
        done, news = self._followed.job.state.done, (self._followed.version, self._followed.sampled)
        if drawn == news or (not done and time.monotonic() - at < _DRAW_S):
            return
        self._drawn = (news, time.monotonic())
        self._draw()

    def _chart(self, title: str, name: str) -> _Chart:
        with element("section", "ff-card").props(f'aria-label="{title}"') as box:
            text(title, "", "h2")
            chart = ui.echart({}).classes("ff-chart").props(f'role=img aria-label="{title}" data-chart={name}')
            return _Chart(box, chart, text("", "ff-muted ff-small"))

    def _draw(self) -> None:
        state = self._followed.job.state
        durations = chart_data.durations(state)
        nothing = not durations and next(chart_data.spans(state, time.time()), None) is None
        if nothing and state.done:
            set_text(self._nothing, "No run was performed here, so there is nothing to draw.")
        show(self._nothing, shown=nothing)
        for box in self._boxes:
            show(box, shown=not nothing)
        if nothing:
            return
        self._draw_timeline()
        bins = chart_data.histogram(durations)
        realtime, limit_s = state.header.instance_type is None, state.header.timeout_s
        limit_s = min(limit_s or REALTIME_TIMEOUT_S, REALTIME_TIMEOUT_S) if realtime else limit_s
        options = charts.histogram_options(bins, realtime=realtime, limit_s=limit_s)
        self._put(self._histogram, options, f"{counted(len(durations), 'run')}, on a logarithmic scale")
        self._draw_load()

    def _draw_timeline(self) -> None:
        state = self._followed.job.state
        every = list(chart_data.spans(state, time.time()))
        low, high = self._zoom
        submitted = state.header.created_at
        earlier = [
            chart_data.RunSpan(one.run, max(0.0, one.began - submitted), max(0.0, one.ended - submitted), one.status)
            for one in self._followed.earlier
        ]
        drawn = chart_data.timeline(state, [*earlier, *every], (low / 100, high / 100))
        own_lines = state.header.count <= chart_data.OWN_LINES
        runs = None if own_lines else chart_data.waiting(state, every)
        waits = charts.Waits(chart_data.starting_up(state, self._followed.up_at), runs)
        caption = _MANY if drawn.slices else _FEW if own_lines else _SOME
        self._put(self._timeline, charts.timeline_options(drawn, self._zoom, waits), caption)

    def _draw_load(self) -> None:
        state, samples = self._followed.job.state, list(self._followed.samples)
        show(self._machines.box, shown=bool(samples))
        if not samples:
            points = chart_data.run_load(state)
            self._put(self._load, charts.run_load_options(points), "each run: its mean CPU and its peak memory")
            return
        width_s, moments = machine_load(samples, state.header.created_at)
        since = "" if len(samples) == self._followed.sampled else ", the latest part"
        words = f"all runs together, means of {width_s:g} s{since}"
        self._put(self._load, charts.machine_load_options(moments), f"{words}; 100% is one core")
        network = any(one.in_mib_s is not None for one in moments)
        missing = "" if network else "; the network is measured on AWS alone"
        self._put(
            self._machines, charts.disk_and_network_options(moments), f"{words}; the machine with least free{missing}"
        )

    def _put(self, target: _Chart, options: dict[str, Any], caption: str) -> None:
        target.chart.options.clear()
        target.chart.options.update(options)
        target.chart.update()
        set_text(target.caption, caption)

    def _zoomed(self, event: Any) -> None:
        low, high = (float(value) for value in event.args)
        if (low, high) != self._zoom:
            self._zoom = (low, high)
            with self._followed.at_hand() as mine:
                if mine:
                    self._draw_timeline()


_ZOOM = "(e) => { const z = (e.batch && e.batch[0]) || e; emit([z.start ?? 0, z.end ?? 100]); }"
