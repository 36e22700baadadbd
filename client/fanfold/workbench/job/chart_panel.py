"""The overview: runs over time, how long they took, CPU and memory.

What a chart shows is JSON that a thread makes and the browser fetches: of thousands of bars, NiceGUI would make
thousands of objects that it watches, in the loop that serves all pages.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode

from fastapi import HTTPException, Response
from nicegui import app, ui
from nicegui.element import Element
from nicegui.json import dumps

from fanfold.contract.layout import REALTIME_TIMEOUT_S
from fanfold.contract.records import NamedTuple
from fanfold.core.formatting import counted
from fanfold.errors import FanfoldError
from fanfold.job import chart_data
from fanfold.job.chart_data import machine_load
from fanfold.workbench.following import FollowedJob, FollowedJobs
from fanfold.workbench.job import charts
from fanfold.workbench.layout import choice, element, script, set_text, show, text

#: Between two drawings of a job that runs: each goes through all runs.
_DRAW_S = 2.0
#: As many machines can be chosen one by one.
_MOST_MACHINES = 500
_FEW = "one bar a run, which a click on it opens; the thin line before it is its wait"
_SOME = "one bar a run, which a click on it opens, in as many lines as ran side by side; dotted: how many waited"
_MANY = f"more than {chart_data.MOST_BARS:,} runs: how many were running and (dotted) waiting; zoom in for single runs"


class _Chart(NamedTuple):
    """The card of a chart, the place for it there, the words below it, and the chart itself once it is there."""

    box: Element
    place: Element
    caption: Element
    chart: list[ui.echart]

    @classmethod
    def card(cls, title: str) -> _Chart:
        """A card without its chart, of the height that it will have."""
        with element("section", "ff-card").props(f'aria-label="{title}"') as box:
            text(title, "", "h2")
            return cls(box, element("div", "ff-chart-place"), text("", "ff-muted ff-small"), [])


class _Picture(NamedTuple):
    """What a chart is to show, as JSON: None where it has nothing to show."""

    options: str | None
    caption: str = ""

    @classmethod
    def of(cls, options: charts.Options, caption: str) -> _Picture:
        return cls(dumps(options), caption)


class ChartSight(NamedTuple):
    """What a viewer has in sight: a part of the timeline, in percent, and the load of one machine, or of all."""

    low: float = 0.0
    high: float = 100.0
    machine: str = ""


def add_chart_routes(followed_jobs: FollowedJobs) -> None:
    """Tell the application the address of a job's charts: for each its ECharts options."""

    @app.get("/job/{job_id}/charts.json")
    async def pictures(job_id: str, low: float = 0.0, high: float = 100.0, machine: str = "") -> Any:
        def drawn() -> str:
            followed, sight = followed_jobs.followed(job_id), ChartSight(low, high, machine)
            with followed.lock:
                found = pictures_of(followed, sight)
            shown = (f"{dumps(name)}:{one.options}" for name, one in found.items() if one.options is not None)
            return "{" + ",".join(shown) + "}"

        try:
            return Response(await asyncio.to_thread(drawn), media_type="application/json")
        except FanfoldError as error:
            raise HTTPException(404, str(error)) from error


def pictures_of(followed: FollowedJob, sight: ChartSight) -> dict[str, _Picture]:
    """The charts of a job as one viewer sees them, by name; called with the job's lock held, for it reads all runs."""
    timeline = followed.once(("timeline", *sight[:2]), lambda: _timeline(followed, sight), _DRAW_S)
    rest = followed.once(("load", sight.machine), lambda: {**_histogram(followed), **_load(followed, sight)}, _DRAW_S)
    return {"timeline": timeline, **rest}


def _timeline(followed: FollowedJob, sight: ChartSight) -> _Picture:
    state = followed.job.state
    every = chart_data.spans(state, state.now())
    if not len(every.runs):
        return _Picture(None)
    submitted = state.header.created_at
    earlier = [
        chart_data.RunSpan(one.run, max(0.0, one.began - submitted), max(0.0, one.ended - submitted), one.status)
        for one in followed.earlier
    ]
    drawn = chart_data.timeline(state, every.joined(earlier), (sight.low / 100, sight.high / 100))
    own_lines = state.header.count <= chart_data.OWN_LINES
    runs = None if own_lines else chart_data.waiting(state, every)
    waits = charts.Waits(chart_data.starting_up(state, followed.up_at), runs)
    caption = _MANY if drawn.slices else _FEW if own_lines else _SOME
    return _Picture.of(charts.timeline_options(drawn, (sight.low, sight.high), waits), caption)


def _histogram(followed: FollowedJob) -> dict[str, _Picture]:
    state = followed.job.state
    durations = chart_data.durations(state)
    if not durations:
        return {"histogram": _Picture(None)}
    realtime, limit_s = state.header.instance_type is None, state.header.timeout_s
    limit_s = min(limit_s or REALTIME_TIMEOUT_S, REALTIME_TIMEOUT_S) if realtime else limit_s
    options = charts.histogram_options(chart_data.histogram(durations), realtime=realtime, limit_s=limit_s)
    return {"histogram": _Picture.of(options, f"{counted(len(durations), 'run')}, on a logarithmic scale")}


def _load(followed: FollowedJob, sight: ChartSight) -> dict[str, _Picture]:
    """CPU and memory, and of machines their disk and network: as sampled, else what each run took."""
    state, samples = followed.job.state, list(followed.samples)
    end_s = chart_data.spans(state, state.now()).end_s
    nothing = {"load": _Picture(None), "machines": _Picture(None)}
    if not samples:
        points = chart_data.run_load(state)
        step = chart_data.load_step(state)
        which = "each run" if step == 1 else f"one run of every {step:,}"
        words = f"{which}: its mean CPU and its peak memory"
        return {**nothing, "load": _Picture.of(charts.run_load_options(points, end_s), words)} if points else nothing
    since = "" if len(samples) == followed.sampled else ", the latest part"
    runs, number = "all runs together", followed.machines.get(sight.machine)
    if number is not None:
        runs, samples = f"all runs on machine {number}", [one for one in samples if one.machine == sight.machine]
    width_s, moments = machine_load(samples, state.header.created_at)
    words = f"{runs}, means of {width_s:g} s{since}"
    network = any(one.in_mib_s is not None for one in moments)
    missing = "" if network else "; the network is measured on AWS alone"
    return {
        "load": _Picture.of(charts.machine_load_options(moments, end_s), f"{words}; 100% is one core"),
        "machines": _Picture.of(
            charts.disk_and_network_options(moments, end_s), f"{words}; the machine with least free{missing}"
        ),
    }


class ChartsPanel:
    """The charts of one job, drawn anew when it has changed: computed in a thread, for each goes through all runs."""

    def __init__(self, followed: FollowedJob) -> None:
        self._followed = followed
        self._sight = ChartSight()
        #: By the chart's name, what it is to show next; empty when that is on the page.
        self._new: dict[str, _Picture] = {}
        self._shown: dict[str, _Picture] = {}
        self._nothing = text("Nothing has run yet: charts appear with the first run.", "ff-card ff-empty ff-hidden")
        with element("div", "ff-columns").style("margin-bottom: 14px; grid-template-columns: minmax(0, 1fr)") as one:
            timeline = _Chart.card("Runs over time")
        self._choice = element("div", "ff-row ff-filters ff-hidden").style("margin-bottom: 10px")
        self._offered = 0
        with element("div", "ff-columns") as two:
            self._charts = {
                "timeline": timeline,
                "histogram": _Chart.card("Time of a run"),
                "load": _Chart.card("CPU and memory"),
                "machines": _Chart.card("Disk and network"),
            }
        self._boxes = (one, two)
        client = ui.context.client
        if client.has_socket_connection:
            self._add_charts()
        else:
            client.on_connect(self._add_charts)

    def _add_charts(self) -> None:
        """Put the charts onto their cards, once there is a page.

        What draws them is most of all that a page consists of: it is fetched when the numbers are there already.
        """
        if self._charts["timeline"].chart:
            return
        for name, one in self._charts.items():
            with one.place:
                label = one.box._props["aria-label"]
                drawn = ui.echart({}).classes("ff-chart").props(f'role=img aria-label="{label}" data-chart={name}')
            one.chart.append(drawn)
        [timeline] = self._charts["timeline"].chart
        timeline.on("chart:datazoom", self._zoomed, js_handler=_ZOOM, throttle=0.25)
        timeline.on("chart:click", js_handler=f"(e) => window.ff.openBar('{self._followed.job.id}', e)")
        self._put(self._shown)

    def prepare(self) -> None:
        """Compute what is new to see; called in a thread that holds the job's lock."""
        pictures = pictures_of(self._followed, self._sight)
        self._new = {name: one for name, one in pictures.items() if one is not self._shown.get(name)}

    def refresh(self) -> None:
        """Put what was computed onto the page."""
        self._offer_machines()
        new, self._new = self._new, {}
        self._put(new)
        if new:
            nothing = self._shown["timeline"].options is None
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
            choice("Load of", {"": "all machines", **names}, value=self._sight.machine, on_change=self._choose_machine)
        show(self._choice, shown=True)

    def _choose_machine(self, name: str) -> None:
        self._sight = self._sight._replace(machine=name if name in self._followed.machines else "")

    def _put(self, pictures: dict[str, _Picture]) -> None:
        """Show the boxes of these charts, and have the browser fetch what stands in them."""
        self._shown.update(pictures)
        for name, picture in pictures.items():
            show(self._charts[name].box, shown=picture.options is not None)
            set_text(self._charts[name].caption, picture.caption)
        drawn = {
            name: chart.id
            for name, one in pictures.items()
            if one.options is not None
            for chart in self._charts[name].chart
        }
        if drawn:
            address = f"/job/{self._followed.job.id}/charts.json?{urlencode(self._sight._asdict())}"
            script("drawCharts", address, drawn)

    async def _zoomed(self, event: Any) -> None:
        low, high = (float(value) for value in event.args)
        if (low, high) == self._sight[:2]:
            return
        self._sight = sight = self._sight._replace(low=low, high=high)

        def compute() -> _Picture | None:
            with self._followed.at_hand() as mine:
                return pictures_of(self._followed, sight)["timeline"] if mine else None

        picture = await asyncio.to_thread(compute)
        if picture is not None and self._sight == sight:  # else somebody reads just now; the next look draws it
            self._put({"timeline": picture})


_ZOOM = "(e) => { const z = (e.batch && e.batch[0]) || e; emit([z.start ?? 0, z.end ?? 100]); }"
