"""One run from the Workbench as it goes: status, what it prints, and its result or its traceback."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import PurePath

from nicegui.element import Element

from fanfold.contract.records import NamedTuple
from fanfold.core.models import RunStatus
from fanfold.core.raising import RaisingLine, raising_line
from fanfold.errors import FanfoldError, JobNotFound
from fanfold.workbench.following import FollowedJob, FollowedJobs
from fanfold.workbench.job.run_detail import look
from fanfold.workbench.job_log import last_of
from fanfold.workbench.layout import button, element, every, link, script, set_text, show, text
from fanfold.workbench.previews import Preview
from fanfold.workbench.shown_previews import show_preview

_LOOK_S = 0.3
#: Lines of output that stand under the editor; the job's page has all.
_LINES = 2_000
#: Characters of them: they are sent anew with each that comes.
_CHARACTERS = 200_000


class Actions(NamedTuple):
    """What can be done about a run: run it once more without the cache, and go to a line of the editor."""

    again: Callable[[], Awaitable[None]]
    go_to: Callable[[RaisingLine], Awaitable[None]]


class EditorRun:
    """The place for a run's output on the page; each run takes the place of the one before."""

    def __init__(self, followed_jobs: FollowedJobs, box: Element, actions: Actions) -> None:
        self._followed_jobs, self._box, self._actions = followed_jobs, box, actions
        self._run: _FollowedRun | None = None
        #: The job that is shown; "" where there is none.
        self.job_id = ""

    def follow(self, job_id: str) -> None:
        """Show how this job of one run goes."""
        self.clear()
        self.job_id = job_id
        with self._box:
            self._run = _FollowedRun(self._followed_jobs, job_id, self._actions)

    def clear(self) -> None:
        """Show nothing; a run that goes on is found among the jobs."""
        if self._run is not None:
            self._run.leave()
            self._run = None
        self.job_id = ""
        self._box.clear()


class _FollowedRun:
    """One run, until it has ended or another takes its place. What it has begun to read then is not shown any more."""

    def __init__(self, followed_jobs: FollowedJobs, job_id: str, actions: Actions) -> None:
        self._followed_jobs, self._job_id, self._actions = followed_jobs, job_id, actions
        self._left = False
        self._shown = (-1, "")
        with element("div", "ff-row"):
            self._status = text("Queued", "ff-status ff-Queued", "span").props("role=status")
            link(f"job {job_id}", f"/job/{job_id}", "ff-link ff-mono")
            self._cancel = button("Cancel", self._cancelled, "ff-danger")
            self._again = button("Run without the cache", actions.again, "ff-hidden")
        self._note = text("", "ff-muted ff-hidden")
        self._cut = text("", "ff-muted ff-small ff-hidden")
        self._printed = text("", "ff-pre ff-hidden", "pre").props('tabindex=0 aria-label="Output" data-follow')
        self._result = element("div", "ff-stack").props('aria-live=polite aria-label="Result" role=region')
        self._timer = every(_LOOK_S, self._look, immediate=True)

    def leave(self) -> None:
        """Read and show nothing more."""
        self._left = True
        self._timer.cancel()

    async def _look(self) -> None:
        try:
            followed = await asyncio.to_thread(self._followed_jobs.followed, self._job_id)
        except FanfoldError as error:  # the store is silent; the next look may find it back
            self._say(error.message)
            if isinstance(error, JobNotFound):
                self._find_no_more()
            return
        await asyncio.to_thread(followed.look)
        done = followed.job.state.done
        if done:
            await asyncio.to_thread(followed.look_now)  # what was printed last may have come after the end
        ended = await asyncio.to_thread(_ended, followed) if done else None
        output = await asyncio.to_thread(self._read_output, followed)
        if self._left:
            return
        self._say(followed.silence())
        if output is not None:
            self._show_output(output)
        self._show(followed, ended)

    def _find_no_more(self) -> None:
        """An address may name a job that is none, or of another store."""
        self.leave()
        for one in (self._status, self._cancel):
            show(one, shown=False)

    def _show(self, followed: FollowedJob, ended: _Ended | None) -> None:
        status = followed.job.state.status.value
        cached = bool(followed.job.state.counts()[RunStatus.CACHED])
        set_text(self._status, f"{status}, from the cache" if cached else status)
        self._status.classes(replace=f"ff-status ff-{status}")
        if ended is None:
            return
        self.leave()
        show(self._cancel, shown=False)
        show(self._again, shown=cached)
        if cached:
            self._say("These inputs have been computed before: nothing was run, and so nothing was printed.")
        with self._result:
            show_preview(ended.preview)
            if ended.line is not None:
                line = ended.line
                button(
                    f"Go to {PurePath(line.file).name}, line {line.number}",
                    lambda: self._actions.go_to(line),
                    "ff-to-line",
                )

    def _read_output(self, followed: FollowedJob) -> _Output | None:
        """The last lines, where there are others than are shown; called in a thread."""
        log = followed.log
        count, begun = len(log), log.begun(0)
        if (count, begun) == self._shown or not (count or begun):
            return None
        self._shown = (count, begun)
        lines = [line.text for line in last_of(log.lines(count - _LINES, count), _CHARACTERS)]
        return _Output("\n".join([*lines, *([begun] if begun else [])]), count, len(lines))

    def _show_output(self, output: _Output) -> None:
        """The last lines, and how many there are before them; the box follows them while it is scrolled to its end."""
        show(self._printed, shown=True)
        set_text(self._printed, output.text)
        script("followOutput")
        if output.count > output.shown:
            set_text(self._cut, f"The last {output.shown:,} of {output.count:,} lines; the job's Logs have all.")
            show(self._cut, shown=True)

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


class _Output(NamedTuple):
    """The last lines that a run has printed, how many there are, and how many of them these are."""

    text: str
    count: int  # type: ignore[assignment]
    shown: int


class _Ended(NamedTuple):
    """What a run came to, and for a failure the line of the user's that raised it."""

    preview: Preview
    line: RaisingLine | None = None


def _ended(followed: FollowedJob) -> _Ended:
    with followed.lock:
        error, output = followed.job.error(0), followed.job.state.output(0)
        if error is not None:
            trace = error.remote_traceback or error.message
            return _Ended(Preview(trace), raising_line(trace))
    return _Ended(look(followed, 0, output)[1] or Preview("No result."))
