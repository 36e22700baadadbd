"""Failures by cause: how many, the messages, the first traceback, the inputs, and the way to the line that raised."""

from __future__ import annotations

from urllib.parse import urlencode

from fanfold.core.models import JobHeader
from fanfold.core.raising import RaisingLine
from fanfold.job.causes import Cause, CauseKey, causes_of, input_line
from fanfold.workbench.following import FollowedJob
from fanfold.workbench.job.run_again import AgainButton, run_again, why_not_again
from fanfold.workbench.layout import button, element, link, set_text, show, text

#: Causes and messages shown at first, and added with each press of a button.
_CAUSES, _VARIANTS = 20, 5
_MORE_VARIANTS = 50
#: Between two looks through the failures of a job that runs.
_COMPUTE_S = 3.0
#: Inputs named with each cause.
_NAMED = 10


def editor_address(header: JobHeader, run: int, line: RaisingLine | None) -> str:
    """The editor at the line that raised, with the job's UDF chosen and the input of a run that did."""
    query = {"udf": header.name, "job": header.id, "run": run}
    if line is not None:
        query = {"file": line.file, "line": line.number, **query}
    return f"/workbench?{urlencode(query)}"


class ErrorsPanel:
    """One viewer's failures. Causes that stand there already stay as they are: somebody may read or copy them."""

    def __init__(self, followed: FollowedJob) -> None:
        self._followed = followed
        self._is_new = True
        self._found: list[Cause] = []
        self._inputs: dict[CauseKey, list[tuple[int, str]]] = {}
        self._shown: dict[CauseKey, _ShownCause] = {}
        self._limit = _CAUSES
        with element("div", "ff-card"):
            self._nothing = text("No run has failed.", "ff-empty")
            self._box = element("div", "ff-stack")
            self._more = button("", self._show_more, "ff-hidden")

    def prepare(self) -> None:
        """Group the failures; called in a thread, for a job may have many."""
        state = self._followed.job.state
        found = self._followed.once("causes", lambda: causes_of(state), _COMPUTE_S)
        if found is self._found:
            return
        self._found, self._is_new = found, True
        self._inputs = {
            cause.key: [(run, input_line(self._followed.job.contents, run)) for run in cause.runs[:_NAMED]]
            for cause in self._found[: self._limit]
        }

    def refresh(self) -> None:
        """Show what is new."""
        if self._is_new:
            self._is_new = False
            self._draw()

    def _show_more(self) -> None:
        self._limit += _CAUSES
        self._found = []  # the next look draws them

    def _draw(self) -> None:
        wanted = {cause.key: cause for cause in self._found[: self._limit]}
        found = {cause.key for cause in self._found}
        for key in [key for key in self._shown if key not in found]:  # all of its runs have been run again
            self._shown.pop(key).card.delete()
        show(self._nothing, shown=not self._found)
        with self._box:
            for key, cause in wanted.items():
                if key not in self._shown:
                    self._shown[key] = _ShownCause(self._followed, cause)
        for key, shown in self._shown.items():
            if key in wanted:
                shown.update(wanted[key], self._inputs.get(key, []))
        left = len(self._found) - len(self._shown)
        set_text(self._more, f"Show more causes ({left:,} left)")
        show(self._more, shown=left > 0)


class _ShownCause:
    """One cause on the page. What changes in it as more runs fail are its title, its messages and its inputs."""

    def __init__(self, followed: FollowedJob, cause: Cause) -> None:
        header = followed.job.header
        self._followed, self._job_id, self._cause, self._variants = followed, header.id, cause, _VARIANTS
        self._drawn_runs: list[int] = []
        self._drawn_variants: list[object] = []
        with element("article", "ff-cause") as self.card:
            self._title = text("", "", "h2")
            text(cause.message, "ff-mono ff-message")
            self._messages = element("div", "ff-small ff-stack ff-tight")
            self._more = button("", self._show_more, "ff-hidden")
            if cause.traceback:
                text(cause.traceback, "ff-pre", "pre").props("tabindex=0")
            self._runs = element("div", "ff-small ff-mono ff-stack ff-tight")
            address = editor_address(header, cause.runs[0], cause.key.line)
            with element("div", "ff-row"):
                link("Open this line with this input in the editor", address, "ff-button")
                self._again = AgainButton("", self._run_again)

    def update(self, cause: Cause, inputs: list[tuple[int, str]]) -> None:
        """Show how many there are now."""
        self._cause = cause
        set_text(self._title, cause.title)
        runs = [run for run, _ in inputs]
        if runs != self._drawn_runs:
            self._drawn_runs = runs
            self._runs.clear()
            with self._runs:
                for run, words in inputs:
                    with element("div"):
                        link(f"run {run}", f"/job/{self._job_id}/run/{run}")
                        text(f": {words}", "", "span")
                self._rest = text("")
        if runs:
            left = len(cause.runs) - len(runs)
            set_text(self._rest, f"and {left:,} more" if left else "")
        label = f"Run these {len(cause.runs):,} again" if len(cause.runs) > 1 else "Run this one again"
        self._again.update(label, why_not_again(self._followed.job.state, len(cause.runs)))
        self._draw_variants()

    async def _run_again(self) -> None:
        await run_again(self._followed, self._cause.runs)

    def _draw_variants(self) -> None:
        variants = self._cause.variants
        drawn = [len(variants), *variants[: self._variants]]
        if drawn != self._drawn_variants and len(variants) > 1:
            self._messages.clear()
            with self._messages:
                text(f"{len(variants):,} different messages:", "ff-muted")
                for message, count in variants[: self._variants]:
                    text(f"{count:,} × {message[:300]}", "ff-mono")
        self._drawn_variants = drawn
        left = len(variants) - self._variants
        set_text(self._more, f"Show more messages ({left:,} left)")
        show(self._more, shown=left > 0)

    def _show_more(self) -> None:
        self._variants += _MORE_VARIANTS
        self._draw_variants()
