"""The overview: runs over time, how long they took, CPU and memory."""

from __future__ import annotations

import time
from typing import Any

from nicegui import ui

from fanfold.workbench import charts, picture
from fanfold.workbench.shell import element, set_text, show, text
from fanfold.workbench.watch import Watch

#: Between two drawings of a job that runs: each goes through all runs.
_DRAW_S = 2.0
_FEW = "one bar a run; the thin line before it is its wait"
_SOME = "one bar a run, in as many lines as ran side by side"
_MANY = f"more than {picture.MOST_BARS:,} runs: how many were under way at once; zoom in for single runs"


class ChartsPanel:
    """Three charts of one job, drawn anew when it has changed."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._zoom = (0.0, 100.0)
        self._drawn = (-2, 0.0)
        self._nothing = text("Nothing has run yet: charts appear with the first run.", "ff-card ff-empty")
        self._charts: list[ui.echart] = []
        with element("div", "ff-columns").style("margin-bottom: 14px; grid-template-columns: minmax(0, 1fr)") as one:
            self._timeline = self._chart("Runs over time", "timeline")
            self._timeline.on("chart:datazoom", self._zoomed, js_handler=_ZOOM, throttle=0.25)
        with element("div", "ff-columns") as two:
            self._histogram = self._chart("Time of a run", "histogram")
            self._load = self._chart("CPU and memory", "load")
        self._boxes = (one, two)

    def refresh(self) -> None:
        """Draw what is new."""
        version, at = self._drawn
        done = self._watch.job.state.done
        if version == self._watch.version or (not done and time.monotonic() - at < _DRAW_S):
            return
        self._drawn = (self._watch.version, time.monotonic())
        self._draw()

    def _chart(self, title: str, name: str) -> ui.echart:
        with element("section", "ff-card").props(f'aria-label="{title}"'):
            text(title, "", "h2")
            chart = ui.echart({}).classes("ff-chart").props(f'role=img aria-label="{title}" data-chart={name}')
            caption = text("", "ff-muted ff-small")
        chart.caption = caption  # type: ignore[attr-defined]
        return chart

    def _draw(self) -> None:
        state = self._watch.job.state
        durations = picture.durations(state)
        nothing = not durations and next(picture.spans(state, time.time()), None) is None
        show(self._nothing, shown=nothing)
        for box in self._boxes:
            show(box, shown=not nothing)
        if nothing:
            return
        self._draw_timeline()
        bins = picture.histogram(durations)
        self._put(self._histogram, charts.histogram_options(bins), f"{len(durations):,} runs, on a logarithmic scale")
        self._draw_load()

    def _draw_timeline(self) -> None:
        state, now = self._watch.job.state, time.time()
        low, high = self._zoom
        whole = picture.timeline(state, now)
        window = None if self._zoom == (0.0, 100.0) else (whole.end_s * low / 100, whole.end_s * high / 100)
        drawn = picture.timeline(state, now, window) if window else whole
        few = _FEW if state.header.count <= picture.OWN_LINES else _SOME
        self._put(self._timeline, charts.timeline_options(drawn, self._zoom), _MANY if drawn.slices else few)

    def _draw_load(self) -> None:
        state = self._watch.job.state
        if self._watch.samples:
            began = state.header.created_at
            points = [
                (round(e.at - began, 2), float(e.data.get("cpu_percent") or 0), float(e.data.get("memory_mib") or 0))
                for e in list(self._watch.samples)
            ]
            self._put(self._load, charts.load_options(sorted(points), lines=True), "samples of the machine")
        else:
            points = picture.run_load(state)
            self._put(
                self._load, charts.load_options(points, lines=False), "each run: its mean CPU and its peak memory"
            )

    def _put(self, chart: ui.echart, options: dict[str, Any], caption: str) -> None:
        chart.options.clear()
        chart.options.update(options)
        chart.update()
        set_text(chart.caption, caption)  # type: ignore[attr-defined]

    def _zoomed(self, event: Any) -> None:
        low, high = (float(value) for value in event.args)
        if (low, high) != self._zoom:
            self._zoom = (low, high)
            with self._watch.at_hand() as mine:
                if mine:
                    self._draw_timeline()


_ZOOM = "(e) => { const z = (e.batch && e.batch[0]) || e; emit([z.start ?? 0, z.end ?? 100]); }"
