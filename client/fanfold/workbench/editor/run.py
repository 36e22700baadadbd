"""One run from the Workbench as it goes: status, what it prints, and its result or its traceback."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from nicegui import ui
from nicegui.element import Element

from fanfold.core.models import RunStatus
from fanfold.errors import FanfoldError
from fanfold.workbench.following import FollowedJob, FollowedJobs
from fanfold.workbench.layout import button, element, link, set_text, show, text
from fanfold.workbench.previews import Preview, seen_of, show_preview

_LOOK_S = 0.3
_LINES = 2_000


class EditorRun:
    """The place for a run's output on the page; each run takes the place of the one before.

    `again` runs what was answered from the cache once more, without it.
    """

    def __init__(self, followed_jobs: FollowedJobs, box: Element, again: Callable[[], Awaitable[None]]) -> None:
        self._followed_jobs, self._box, self._again = followed_jobs, box, again
        self._run: _FollowedRun | None = None

    def follow(self, job_id: str) -> None:
        """Show how this job of one run goes."""
        self.clear()
        with self._box:
            self._run = _FollowedRun(self._followed_jobs, job_id, self._again)

    def clear(self) -> None:
        """Show nothing; a run that goes on is found among the jobs."""
        if self._run is not None:
            self._run.leave()
            self._run = None
        self._box.clear()


class _FollowedRun:
    """One run, until it has ended or another takes its place. What it has begun to read then is not shown any more."""

    def __init__(self, followed_jobs: FollowedJobs, job_id: str, again: Callable[[], Awaitable[None]]) -> None:
        self._followed_jobs, self._job_id = followed_jobs, job_id
        self._left = False
        with element("div", "ff-row"):
            self._status = text("Queued", "ff-status ff-Queued", "span").props("role=status")
            link(f"job {job_id}", f"/job/{job_id}", "ff-link ff-mono")
            self._cancel = button("Cancel", self._cancelled, "ff-danger")
            self._again = button("Run without the cache", again, "ff-hidden")
        self._note = text("", "ff-muted ff-hidden")
        self._printed = text("", "ff-pre ff-hidden", "pre").props('tabindex=0 aria-label="Output"')
        self._result = element("div", "ff-stack").props('aria-live=polite aria-label="Result" role=region')
        self._timer = ui.timer(_LOOK_S, self._look, immediate=True)

    def leave(self) -> None:
        """Read and show nothing more."""
        self._left = True
        self._timer.cancel()

    async def _look(self) -> None:
        try:
            followed = await asyncio.to_thread(self._followed_jobs.followed, self._job_id)
        except FanfoldError as error:  # the store is silent; the next look may find it back
            self._say(error.message)
            return
        await asyncio.to_thread(followed.look)
        done = followed.job.state.done
        if done:
            await asyncio.to_thread(followed.look_now)  # what was printed last may have come after the end
        seen = await asyncio.to_thread(_seen, followed) if done else None
        if self._left:
            return
        self._say(followed.silence())
        self._show(followed, seen)

    def _show(self, followed: FollowedJob, seen: Preview | None) -> None:
        status = followed.job.state.status.value
        cached = bool(followed.job.state.counts()[RunStatus.CACHED])
        set_text(self._status, f"{status}, from the cache" if cached else status)
        self._status.classes(replace=f"ff-status ff-{status}")
        lines, _ = followed.lines_since(0)
        if lines:
            show(self._printed, shown=True)
            set_text(self._printed, "\n".join(line for _, line in lines[-_LINES:]))
        if seen is None:
            return
        self.leave()
        show(self._cancel, shown=False)
        show(self._again, shown=cached)
        if cached:
            self._say("These inputs have been computed before: nothing was run, and so nothing was printed.")
        with self._result:
            show_preview(seen)

    async def _cancelled(self) -> None:
        def cancel() -> None:
            followed = self._followed_jobs.followed(self._job_id)
            with followed.lock:
                followed.job.cancel(wait=False)
            followed.look_now()

        try:
            await asyncio.to_thread(cancel)
        except FanfoldError as error:
            self._say(str(error))

    def _say(self, words: str) -> None:
        set_text(self._note, words)
        show(self._note, shown=bool(words))


def _seen(followed: FollowedJob) -> Preview:
    with followed.lock:
        error, output = followed.job.error(0), followed.job.state.output(0)
        if error is not None:
            return Preview(error.remote_traceback or error.message)
        return Preview("No result.") if output is None else seen_of(followed.job.contents, 0, output)
