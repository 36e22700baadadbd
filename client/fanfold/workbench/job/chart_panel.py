"""The overview: runs over time, how long they took, CPU and memory."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from nicegui import ui
from nicegui.element import Element

from fanfold.contract.layout import REALTIME_TIMEOUT_S
from fanfold.core.formatting import counted
from fanfold.job import chart_data
from fanfold.job.chart_data import machine_load
from fanfold.workbench.following import FollowedJob
from fanfold.workbench.job import charts
from fanfold.workbench.layout import choice, element, set_text, show, text

#: Between two drawings of a job that runs: each goes through all runs.
_DRAW_S = 2.0
#: As many machines can be chosen one by one.
_MOST_MACHINES = 500
_FEW = "one bar a run, which a click on it opens; the thin line before it is its wait"
_SOME = "one bar a run, which a click on it opens, in as many lines as ran side by side; dotted: how many waited"
_MANY = f"more than {chart_data.MOST_BARS:,} runs: how many were running and (dotted) waiting; zoom in for single runs"


class _Chart(NamedTuple):
    """A chart, the card it stands on, and the words below it."""

    box: Element
    chart: ui.echart
    caption: Element


class _Picture(NamedTuple):
    """What a chart is to show, computed and not yet on the page: None where it has nothing to show."""

    options: dict[str, Any] | None
    caption: str = ""


class ChartsPanel:
    """The charts of one job, drawn anew when it has changed: computed in a thread, for each goes through all runs."""

    def __init__(self, followed: FollowedJob) -> None:
        self._followed = followed
        self._zoom = (0.0, 100.0)
        #: The machine whose load is shown; empty for all together.
        self._machine = ""
        #: By the chart's name, what it is to show next; emptied when that is on the page.
        self._pictures: dict[str, _Picture] = {}
        self._prepared: dict[str, _Picture] | None = None
        self._nothing = text("Nothing has run yet: charts appear with the first run.", "ff-card ff-empty ff-hidden")
        with element("div", "ff-columns").style("margin-bottom: 14px; grid-template-columns: minmax(0, 1fr)") as one:
            timeline = self._chart("Runs over time", "timeline")
            timeline.chart.on("chart:datazoom", self._zoomed, js_handler=_ZOOM, throttle=0.25)
            timeline.chart.on("chart:click", js_handler=f"(e) => window.ff.openBar('{followed.job.id}', e)")
        self._choice = element("div", "ff-row ff-filters ff-hidden").style("margin-bottom: 10px")
        self._offered = 0
        with element("div", "ff-columns") as two:
            self._charts = {
                "timeline": timeline,
                "histogram": self._chart("Time of a run", "histogram"),
                "load": self._chart("CPU and memory", "load"),
                "machines": self._chart("Disk and network", "machines"),
            }
        self._boxes = (one, two)

    def prepare(self) -> None:
        """Compute what is new to see; called in a thread that holds the job's lock."""
        pictures = self._followed.once(("charts", self._zoom, self._machine), self._all, _DRAW_S)
        if pictures is not self._prepared:
            self._prepared = self._pictures = pictures

    def _all(self) -> dict[str, _Picture]:
        state = self._followed.job.state
        durations = chart_data.durations(state)
        if not durations and not len(chart_data.spans(state, state.now()).runs):
            return dict.fromkeys(self._charts, _Picture(None))
        return {"timeline": self._timeline(), "histogram": self._histogram(durations), **self._load()}

    def refresh(self) -> None:
        """Put what was computed onto the page."""
        self._offer_machines()
        pictures, self._pictures = self._pictures, {}
        for name, picture in pictures.items():
            self._put(self._charts[name], picture)
        if "histogram" in pictures:
            nothing = pictures["timeline"].options is None
            if nothing and self._followed.job.state.done:
                set_text(self._nothing, "No run was performed here, so there is nothing to draw.")
            show(self._nothing, shown=nothing)
            for box in self._boxes:
                show(box, shown=not nothing)

    def _offer_machines(self) -> None:
        """Where there are several machines, the load of each can be seen by itself."""
        machines = self._followed.machines
        if len(machines) == self._offered or len(machines) < 2:
            return
        self._offered = len(machines)
        names = {name: f"machine {number} · {name}" for name, number in list(machines.items())[:_MOST_MACHINES]}
        self._choice.clear()
        with self._choice:
            choice("Load of", {"": "all machines", **names}, value=self._machine, on_change=self._choose_machine)
        show(self._choice, shown=True)

    def _choose_machine(self, name: str) -> None:
        self._machine = name if name in self._followed.machines else ""
        self._prepared = None  # the next look draws it

    def _chart(self, title: str, name: str) -> _Chart:
        with element("section", "ff-card").props(f'aria-label="{title}"') as box:
            text(title, "", "h2")
            chart = ui.echart({}).classes("ff-chart").props(f'role=img aria-label="{title}" data-chart={name}')
            return _Chart(box, chart, text("", "ff-muted ff-small"))

    def _histogram(self, durations: list[float]) -> _Picture:
        state = self._followed.job.state
        realtime, limit_s = state.header.instance_type is None, state.header.timeout_s
        limit_s = min(limit_s or REALTIME_TIMEOUT_S, REALTIME_TIMEOUT_S) if realtime else limit_s
        options = charts.histogram_options(chart_data.histogram(durations), realtime=realtime, limit_s=limit_s)
        return _Picture(options, f"{counted(len(durations), 'run')}, on a logarithmic scale")

    def _timeline(self) -> _Picture:
        state = self._followed.job.state
        every = chart_data.spans(state, state.now())
        low, high = self._zoom
        submitted = state.header.created_at
        earlier = [
            chart_data.RunSpan(one.run, max(0.0, one.began - submitted), max(0.0, one.ended - submitted), one.status)
            for one in self._followed.earlier
        ]
        drawn = chart_data.timeline(state, every.joined(earlier), (low / 100, high / 100))
        own_lines = state.header.count <= chart_data.OWN_LINES
        runs = None if own_lines else chart_data.waiting(state, every)
        waits = charts.Waits(chart_data.starting_up(state, self._followed.up_at), runs)
        caption = _MANY if drawn.slices else _FEW if own_lines else _SOME
        return _Picture(charts.timeline_options(drawn, self._zoom, waits), caption)

    def _load(self) -> dict[str, _Picture]:
        """CPU and memory, and of machines their disk and network: as sampled, else what each run took."""
        state, samples = self._followed.job.state, list(self._followed.samples)
        end_s = chart_data.spans(state, state.now()).end_s
        if not samples:
            options = charts.run_load_options(chart_data.run_load(state), end_s)
            step = chart_data.load_step(state)
            which = "each run" if step == 1 else f"one run of every {step:,}"
            return {
                "load": _Picture(options, f"{which}: its mean CPU and its peak memory"),
                "machines": _Picture(None),
            }
        since = "" if len(samples) == self._followed.sampled else ", the latest part"
        runs, number = "all runs together", self._followed.machines.get(self._machine)
        if number is not None:
            runs, samples = f"all runs on machine {number}", [one for one in samples if one.machine == self._machine]
        width_s, moments = machine_load(samples, state.header.created_at)
        words = f"{runs}, means of {width_s:g} s{since}"
        network = any(one.in_mib_s is not None for one in moments)
        missing = "" if network else "; the network is measured on AWS alone"
        return {
            "load": _Picture(charts.machine_load_options(moments, end_s), f"{words}; 100% is one core"),
            "machines": _Picture(
                charts.disk_and_network_options(moments, end_s), f"{words}; the machine with least free{missing}"
            ),
        }

    def _put(self, target: _Chart, picture: _Picture) -> None:
        show(target.box, shown=picture.options is not None)
        if picture.options is not None:
            target.chart.options.clear()
            target.chart.options.update(picture.options)
            target.chart.update()
            set_text(target.caption, picture.caption)

    async def _zoomed(self, event: Any) -> None:
        low, high = (float(value) for value in event.args)
        if (low, high) == self._zoom:
            return
        self._zoom = (low, high)

        def compute() -> _Picture | None:
            with self._followed.at_hand() as mine:
                return self._timeline() if mine else None

        picture = await asyncio.to_thread(compute)
        if picture is None:
            self._prepared = None  # somebody reads just now; the next look draws it
        elif self._zoom == (low, high):
            self._put(self._charts["timeline"], picture)


_ZOOM = "(e) => { const z = (e.batch && e.batch[0]) || e; emit([z.start ?? 0, z.end ?? 100]); }"
