"""A job's page: how it stands, what to do about it, and the panels behind its tabs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nicegui import ui
from nicegui.element import Element

from fanfold.contract.records import NamedTuple
from fanfold.errors import FanfoldError
from fanfold.workbench.following import FollowedJob, FollowedJobs
from fanfold.workbench.job.chart_panel import ChartsPanel
from fanfold.workbench.job.errors_panel import ErrorsPanel
from fanfold.workbench.job.head import JobHead
from fanfold.workbench.job.logs_panel import LogsPanel
from fanfold.workbench.job.opening import open_job
from fanfold.workbench.job.panels import CodePanel, HistoryPanel
from fanfold.workbench.job.results_panel import ResultsPanel
from fanfold.workbench.job.runs import RunsPanel
from fanfold.workbench.layout import element, every, script, set_text, show, show_silence, text

_log = logging.getLogger(__name__)

_LOOK_S = 0.7
_OPEN_TAB = "(e) => { window.ff.openTab(e.currentTarget, 'Overview'); emit(); }"
_PANELS: dict[str, Callable[..., Any]] = {
    "Overview": ChartsPanel,
    "Runs": RunsPanel,
    "Results": ResultsPanel,
    "Logs": LogsPanel,
    "Errors": ErrorsPanel,
    "Code": CodePanel,
    "History": HistoryPanel,
}


class JobViews(NamedTuple):
    """What the pages of all jobs share: the jobs, the engine, and the folder of UDF files."""

    followed_jobs: FollowedJobs
    engine: str
    folder: Path


async def show_job(views: JobViews, job_id: str, query: Mapping[str, str]) -> None:
    """Build the page of one job for one viewer, or say that there is none. `query` names the tab and its filters."""
    followed = await open_job(views.followed_jobs, job_id)
    if followed is not None:
        ui.page_title(f"{followed.job.name} · {followed.job.state.status.value} · Fanfold")
        await _JobPage(followed, query, views).begin(query.get("tab", ""))


class _JobPage:
    """One viewer's page: the head, which is always in sight, and the panel that was chosen."""

    def __init__(self, followed: FollowedJob, query: Mapping[str, str], views: JobViews) -> None:
        self._followed, self._query, self._views = followed, query, views
        self._version = -2
        self._title = ""
        self._panels: dict[str, Any] = {}
        self._chosen = "Overview"
        self._trouble = text("", "ff-note ff-hidden").props("role=status")
        #: Why a part of the page is not as new as the others.
        self._wrong: list[str] = []
        self._wrong_note = text("", "ff-note ff-hidden").props("role=status")

    async def begin(self, tab: str) -> None:
        """Show the tab that the address names, and go on looking. Between its parts other viewers have their turn."""
        self._head = JobHead(self._followed, self._look, self._views.engine, self._views.folder)
        await asyncio.sleep(0)
        self._tabs()
        await asyncio.sleep(0)
        if tab and tab not in _PANELS:
            script("keepInAddress", {"tab": ""})
        await self._choose(tab if tab in _PANELS else "Overview")
        every(_LOOK_S, self._look)

    def _tabs(self) -> None:
        self._tab_buttons: dict[str, Element] = {}
        with element("div", "ff-tabs").props('role=tablist aria-label="About the job"') as tabs:
            tabs.on("keydown", js_handler="(e) => window.ff.moveTab(e)")
            for name in _PANELS:
                tab = text(name, "", "button").props(f"type=button role=tab id=ff-tab-{name}")
                self._tab_buttons[name] = tab.on("click", lambda _, name=name: self._choose(name), js_handler=_OPEN_TAB)
        self._boxes: dict[str, Element] = {}
        for name in _PANELS:
            box = element("section").props(f"role=tabpanel aria-labelledby=ff-tab-{name}")
            self._boxes[name] = box.classes("ff-hidden")

    async def _choose(self, name: str) -> None:
        self._chosen = name
        for other, tab in self._tab_buttons.items():
            tab._props["aria-selected"] = "true" if other == name else "false"
            tab._props["tabindex"] = "0" if other == name else "-1"  # the others are reached by the arrow keys
            tab.update()
            show(self._boxes[other], shown=other == name)
        if name not in self._panels:
            with self._boxes[name]:
                self._panels[name] = self._made(name)
        await self._draw()

    def _made(self, name: str) -> Any:
        make, followed = _PANELS[name], self._followed
        return make(followed, self._query) if make in (RunsPanel, ResultsPanel) else make(followed)

    async def _look(self) -> None:
        self._followed.seen_by(ui.context.client)
        await self._followed.look_soon()
        show_silence(self._trouble, self._followed)
        await self._draw()

    async def _draw(self) -> None:
        """Compute what is new in a thread: of many runs it takes longer than others may wait for their pages."""
        followed, panel = self._followed, self._panels[self._chosen]
        changed, version = followed.version != self._version or not followed.job.state.done, followed.version
        self._wrong.clear()
        try:
            is_prepared = await asyncio.to_thread(self._prepare, panel, changed=changed)
        except FanfoldError:  # the store is silent meanwhile, or holds what cannot be read: the notice says so
            return
        if not is_prepared:  # somebody reads just now; the next look brings it
            return
        if changed:
            self._version = version
            self._attempt(self._head, "refresh")
            self._show_title()
        if panel is self._panels[self._chosen]:
            self._attempt(panel, "refresh")
        set_text(self._wrong_note, "\n".join(["A part of this page cannot be shown.", *self._wrong]))
        show(self._wrong_note, shown=bool(self._wrong))

    def _prepare(self, panel: Any, *, changed: bool) -> bool:
        """Have a panel, and the head where the job has changed, compute what is new; called in a thread."""
        with self._followed.at_hand() as mine:
            if mine:
                for part in (panel, self._head) if changed else (panel,):
                    self._attempt(part, "prepare")
        if mine and changed:
            self._attempt(self._head, "collect")
        self._attempt(panel, "collect")  # takes seconds, and reads a job of its own
        return mine

    def _attempt(self, part: Any, what: str) -> None:
        """Have a part of the page do this, where it does such a thing; the others go on where nobody has foreseen why
        it fails."""
        try:
            getattr(part, what, lambda: None)()
        except FanfoldError:
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, it is told
            _log.exception("%s of %s failed", what, type(part).__name__)
            self._wrong.append(f"{type(error).__name__}: {error}")

    def _show_title(self) -> None:
        """Progress in the tab's title, and a notice where the job has ended while nobody looked."""
        state = self._followed.job.state
        title, percent = f"{self._followed.job.name} · {state.status.value} · Fanfold", 100
        if not state.done:
            percent = 100 * state.runs_over // max(1, state.header.count)
            title = f"{percent}% {title}"
        if title != self._title:
            self._title = title
            script(
                "progressOf", self._followed.job.id, {"title": title, "percent": percent, "status": state.status.value}
            )
