"""A job's page: how it stands, what to do about it, and the panels behind its tabs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from nicegui import ui
from nicegui.element import Element

from fanfold.errors import FanfoldError, JobNotFound
from fanfold.workbench.following import FollowedJob, FollowedJobs
from fanfold.workbench.job.chart_panel import ChartsPanel
from fanfold.workbench.job.head import JobHead
from fanfold.workbench.job.panels import CodePanel, ErrorsPanel, HistoryPanel, LogsPanel
from fanfold.workbench.job.runs import RunsPanel
from fanfold.workbench.layout import element, link, show, show_silence, text

_LOOK_S = 0.7
_PANELS: dict[str, Callable[[FollowedJob], Any]] = {
    "Overview": ChartsPanel,
    "Runs": RunsPanel,
    "Logs": LogsPanel,
    "Errors": ErrorsPanel,
    "Code": CodePanel,
    "History": HistoryPanel,
}


async def show_job(followed_jobs: FollowedJobs, job_id: str) -> None:
    """Build the page of one job for one viewer, or say that there is none."""
    try:
        followed = await asyncio.to_thread(followed_jobs.followed, job_id)
        await followed.look_soon()
    except FanfoldError as error:
        _say_why_not(error)
        return
    _JobPage(followed)


def _say_why_not(error: FanfoldError) -> None:
    with element("div", "ff-card ff-empty"):
        text("There is no such job." if isinstance(error, JobNotFound) else "The job cannot be read now.", "", "h1")
        text(error.message)
        text(error.next_step)
        link("All jobs", "/")
        if not isinstance(error, JobNotFound):
            text("Trying again every few seconds.")
            ui.timer(3.0, ui.navigate.reload)


class _JobPage:
    """One viewer's page: the head, which is always in sight, and the panel that was chosen."""

    def __init__(self, followed: FollowedJob) -> None:
        self._followed = followed
        self._version = -2
        self._panels: dict[str, Any] = {}
        self._chosen = "Overview"
        self._trouble = text("", "ff-note ff-hidden").props("role=status")
        self._head = JobHead(followed, self._look)
        self._tabs()
        self._choose("Overview")
        self._head.refresh()
        ui.timer(_LOOK_S, self._look)

    def _tabs(self) -> None:
        self._tab_buttons: dict[str, Element] = {}
        with element("div", "ff-tabs").props('role=tablist aria-label="About the job"') as tabs:
            tabs.on("keydown", js_handler="(e) => window.ff.moveTab(e)")
            for name in _PANELS:
                tab = text(name, "", "button").props(f"type=button role=tab id=ff-tab-{name}")
                self._tab_buttons[name] = tab.on("click", lambda _, name=name: self._choose(name))
        self._boxes: dict[str, Element] = {}
        for name in _PANELS:
            box = element("section").props(f"role=tabpanel aria-labelledby=ff-tab-{name}")
            self._boxes[name] = box.classes("ff-hidden")

    def _choose(self, name: str) -> None:
        self._chosen = name
        for other, tab in self._tab_buttons.items():
            tab._props["aria-selected"] = "true" if other == name else "false"
            tab._props["tabindex"] = "0" if other == name else "-1"  # the others are reached by the arrow keys
            tab.update()
            show(self._boxes[other], shown=other == name)
        if name not in self._panels:
            with self._boxes[name]:
                self._panels[name] = _PANELS[name](self._followed)
        with self._followed.at_hand() as mine:
            if mine:  # else the next look brings it
                self._panels[name].refresh()

    async def _look(self) -> None:
        followed = self._followed
        await followed.look_soon()
        show_silence(self._trouble, followed)
        with followed.at_hand() as mine:
            if not mine:
                return
            changed, self._version = followed.version != self._version, followed.version
            if changed or not followed.job.state.done:
                self._head.refresh()
            self._panels[self._chosen].refresh()
