"""One run from the Workbench as it goes: status, what it prints, and its result or its traceback."""

from __future__ import annotations

import asyncio

from nicegui import ui
from nicegui.element import Element

from fanfold.errors import FanfoldError
from fanfold.workbench.preview import Preview, preview
from fanfold.workbench.preview_view import show_preview
from fanfold.workbench.shell import element, link, set_text, text
from fanfold.workbench.watch import Watch, Watches

_LOOK_S = 0.3


class BenchRun:
    """The place for a run's output on the page; each run takes the place of the one before."""

    def __init__(self, watches: Watches, box: Element) -> None:
        self._watches = watches
        self._box = box
        self._timer: ui.timer | None = None

    def follow(self, job_id: str) -> None:
        """Show how this job of one run goes."""
        if self._timer is not None:
            self._timer.cancel()
        self._box.clear()
        with self._box:
            with element("div", "ff-row"):
                self._status = text("Queued", "ff-status ff-Queued", "span").props("role=status")
                link(f"job {job_id}", f"/job/{job_id}", "ff-link ff-mono")
            self._printed = text("", "ff-pre ff-hidden", "pre").props('tabindex=0 aria-label="Output"')
            self._result = element("div").props('aria-live=polite aria-label="Result" role=region')
            self._timer = ui.timer(_LOOK_S, lambda: self._look(job_id), immediate=True)

    async def _look(self, job_id: str) -> None:
        watch = await asyncio.to_thread(self._watches.watch, job_id)
        await asyncio.to_thread(watch.look)
        status, done = watch.job.state.status.value, watch.job.state.done
        set_text(self._status, status)
        self._status.classes(replace=f"ff-status ff-{status}")
        if done:
            await asyncio.to_thread(watch.look_now)  # what was printed last may have come after the end
        lines, _ = watch.lines_since(0)
        if lines:
            self._printed.classes(remove="ff-hidden")
            set_text(self._printed, "\n".join(line for _, line in lines[-2000:]))
        if done and self._timer is not None:
            self._timer.cancel()
            seen = await asyncio.to_thread(_seen, watch)
            with self._result:
                show_preview(seen)


def _seen(watch: Watch) -> Preview:
    with watch.lock:
        error = watch.job.error(0)
        if error is not None:
            return Preview(error.remote_traceback or error.message)
        try:
            return preview(watch.job.result(0))
        except FanfoldError as failure:
            return Preview(str(failure))
