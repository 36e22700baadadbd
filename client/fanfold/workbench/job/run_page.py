"""A page for one run: its input, times, memory, what it printed, and its result or why it failed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from nicegui import ui

from fanfold.api.submit import get_job
from fanfold.core.formatting import duration
from fanfold.core.models import RunStatus
from fanfold.errors import FanfoldError
from fanfold.job.causes import raising_line
from fanfold.job.history import clock
from fanfold.workbench.following import FollowedJob, FollowedJobs
from fanfold.workbench.job.errors_panel import editor_address
from fanfold.workbench.job.opening import open_job
from fanfold.workbench.job.run_detail import RunDetail, read_run, show_run
from fanfold.workbench.layout import button, element, link, script, set_text, show, text

_LINES = 500
_LOOK_S = 1.0


async def show_run_page(followed_jobs: FollowedJobs, job_id: str, index: int) -> None:
    """Build the page of one run for one viewer, or say that there is none."""
    followed = await open_job(followed_jobs, job_id)
    if followed is None:
        return
    ui.page_title(f"run {index} · {followed.job.name} · Fanfold")
    with element("div", "ff-row"):
        link(f"{followed.job.name} · {job_id}", f"/job/{job_id}")
    if not 0 <= index < len(followed.job):
        text(f"This job has no run {index}: its runs are 0 to {len(followed.job) - 1}.", "ff-card ff-empty")
        return
    await _RunPage(followed, index).begin()


class _RunPage:
    """One viewer's page of one run, drawn anew when the run has changed."""

    def __init__(self, followed: FollowedJob, index: int) -> None:
        self._followed, self._index = followed, index
        self._drawn: tuple[object, ...] = ()
        self._box = element("div", "ff-stack")

    async def begin(self) -> None:
        """Draw the run, and go on looking while it may change."""
        await self._look()
        ui.timer(_LOOK_S, self._look)

    async def _look(self) -> None:
        followed, index = self._followed, self._index
        await followed.look_soon()
        state = followed.job.state
        now = (state.status_of(index), state.attempt_of(index), followed.log.count(index))
        if now == self._drawn:
            return
        detail = await asyncio.to_thread(read_run, followed, index)
        self._drawn = now
        self._box.clear()
        with self._box:
            self._build(detail)

    def _build(self, detail: RunDetail) -> None:
        job_id, index = self._followed.job.id, self._index
        with element("div", "ff-row"):
            text(f"Run {index}", "", "h1")
            text(detail.status.replace("_", " "), f"ff-status ff-{detail.status}", "span").props("role=status")
            snippet = f'fanfold.get_job("{job_id}")[{index}]'
            button("Copy Python", self._copying(snippet))
            line = raising_line(detail.failure)
            if line is not None:
                address = editor_address(self._followed.job.header, index, line)
                link("Open in the editor", address, "ff-button ff-first")
            if detail.status == RunStatus.RUNNING.value:
                button("Where is it now?", self._ask_where)
            for label, other in (("Run before", index - 1), ("Run after", index + 1)):
                if 0 <= other < len(self._followed.job):
                    link(label, f"/job/{job_id}/run/{other}")
        self._where = text("", "ff-pre ff-hidden", "pre").props('tabindex=0 role=region aria-label="Where it is now"')
        with element("section", "ff-card").props('aria-label="Facts"'), element("div", "ff-facts"):
            for name, value in self._facts(detail).items():
                with element("div"):
                    text(name, "", "span")
                    text(value, "", "b")
        with element("section", "ff-card").props('aria-label="What it gave"'):
            show_run(detail)
        self._build_log()

    def _copying(self, snippet: str) -> Callable[[], Awaitable[None]]:
        async def copy() -> None:
            script("copy", snippet)
            ui.notify(f"Copied: {snippet}", position="bottom-left")

        return copy

    async def _ask_where(self) -> None:
        """Show the stack of the worker; a job of its own is asked, so that no other viewer has to wait."""
        job_id, engine = self._followed.job.id, self._followed.job.header.engine

        def ask() -> str:
            return get_job(job_id, engine=engine)[self._index].stack()

        try:
            words = await asyncio.to_thread(ask)
        except FanfoldError as error:
            words = str(error)
        set_text(self._where, words or "It stands in code that is not the UDF's.")
        show(self._where, shown=True)

    def _facts(self, detail: RunDetail) -> dict[str, str]:
        state, index = self._followed.job.state, self._index
        started, usage = state.started_at(index), state.usage(index)
        facts = {
            "attempt": f"{state.attempt_of(index) + 1}",
            "waited": "" if started is None else duration(max(0.0, started - state.header.created_at)),
            "started": "" if started is None else clock(started),
            "run time": "" if detail.took_s is None else duration(detail.took_s),
            "CPU time": "" if usage is None else duration(usage.cpu_s),
            "peak memory": "" if usage is None else f"{usage.peak_memory_mib:,.0f} MiB",
            "runs on": f"{state.header.engine} · {state.header.instance_type or 'realtime'}",
        }
        return {name: value for name, value in facts.items() if value}

    def _build_log(self) -> None:
        log, index = self._followed.log, self._index
        count = log.count(index)
        with element("section", "ff-card").props('aria-label="What it printed"'):
            text("Logs", "", "h2")
            if not count:
                text("It has printed nothing.", "ff-muted")
                return
            cut = f", the last {_LINES:,} here" if count > _LINES else ""
            text(f"{count:,} {'line' if count == 1 else 'lines'}{cut}", "ff-muted ff-small")
            lines = log.lines(count - _LINES, count, index)
            words = [f"{time.strftime('%H:%M:%S', time.localtime(line.at))}  {line.text}" for line in lines]
            text("\n".join(words), "ff-pre", "pre").props("tabindex=0")
            link("Download", f"/job/{self._followed.job.id}/logs.txt?run={index}")
