"""Panels that are read rather than watched: errors by cause, the code as it ran, what happened to the job when."""

from __future__ import annotations

from typing import Any

from nicegui.element import Element

from fanfold.errors import FanfoldError
from fanfold.workbench.following import FollowedJob
from fanfold.workbench.job import history
from fanfold.workbench.layout import button, element, field, script, set_text, show, text
from fanfold.workbench.routes import input_text


class _Panel:
    """A panel that is built anew when the job has changed."""

    def __init__(self, followed: FollowedJob) -> None:
        self._followed = followed
        self._version = -2
        self._box = element("div", "ff-card")

    def refresh(self) -> None:
        """Show what is new."""
        if self._version != self._followed.version:
            self._version = self._followed.version
            self._box.clear()
            with self._box:
                self._build()

    def _build(self) -> None:
        raise NotImplementedError


class ErrorsPanel(_Panel):
    """Failures by cause: how many, the first traceback, the inputs."""

    def __init__(self, followed: FollowedJob) -> None:
        super().__init__(followed)
        self._shown: dict[tuple[str, str, str], tuple[Element, Element]] = {}

    def refresh(self) -> None:
        """Show what is new. Causes that stand there already stay as they are: somebody may read or copy them."""
        if self._version == self._followed.version:
            return
        self._version = self._followed.version
        found = {(one.kind, one.message, one.traceback): one for one in history.causes(self._followed.job.state)}
        if not self._shown or list(found)[: len(self._shown)] != list(self._shown):
            self._box.clear()
            self._shown = {}
        with self._box:
            if not found:
                text("No run has failed.", "ff-empty")
            for key in list(found)[len(self._shown) :]:
                self._shown[key] = _cause(found[key])
        for key, (title, inputs) in self._shown.items():
            cause = found[key]
            set_text(title, f"{cause.count:,} {'run' if cause.count == 1 else 'runs'}: {cause.kind}")
            set_text(inputs, _inputs(self._followed, cause))


def _cause(cause: history.Cause) -> tuple[Element, Element]:
    """A cause on the page; what changes in it as more runs fail is its title and its inputs."""
    with element("article", "ff-cause"):
        title = text("", "", "h2")
        text(cause.message, "ff-mono")
        if cause.traceback:
            text(cause.traceback, "ff-pre", "pre").props("tabindex=0")
        return title, text("", "ff-small ff-mono ff-lines")


def _inputs(followed: FollowedJob, cause: history.Cause) -> str:
    lines = [f"run {index}: {input_text(followed, index)}" for index in cause.runs]
    return "\n".join([*lines, *([f"and {cause.count - len(lines):,} more"] if cause.count > len(lines) else [])])


class CodePanel(_Panel):
    """The code that the runs were given."""

    def refresh(self) -> None:
        """Show the code; it never changes."""
        if self._version == -2:
            super().refresh()

    def _build(self) -> None:
        text(f"code hash {self._followed.job.header.code_hash}", "ff-mono ff-muted")
        try:
            sources = history.code(self._followed.job)
        except FanfoldError as error:
            text(f"The code cannot be read: {error.message}", "ff-note")
            return
        for path, lines in sources:
            text(path, "ff-mono", "h2")
            text(lines, "ff-pre", "pre").props("tabindex=0")


class HistoryPanel(_Panel):
    """What happened to the job when."""

    def _build(self) -> None:
        with element("div", "ff-facts").style("grid-template-columns: minmax(0, 1fr)"):
            for at, event in history.moments(self._followed.job.state):
                _moment(at, event)


def _moment(at: float, event: str) -> Element:
    with element("div") as row:
        text(history.clock(at), "", "span")
        text(event, "", "b")
    return row


# What runs print, as they print it, with search and a jump to the next error.

#: Lines sent at once.
_PORTION = 2_000


class LogsPanel:
    """One viewer's log: the browser holds the lines, searches all, and draws a stretch of them as text."""

    def __init__(self, followed: FollowedJob) -> None:
        self._followed = followed
        self._sent = 0
        with element("div", "ff-card"):
            with element("div", "ff-row").props("role=search aria-label=Logs"):
                field("Find", on_change=lambda words: script("findInLogs", words), type="search")
                field(
                    "Run",
                    on_change=lambda number: script("showRun", number),
                    inputmode="numeric",
                    size="6",
                    placeholder="all",
                )
                button("Next found", lambda: script("jump", "found"))
                button("Next error", lambda: script("jump", "error"))
                text("0 lines", "ff-muted ff-small ff-spread").props("id=ff-log-count")
            self._dropped = text("", "ff-muted ff-small ff-hidden")
            element("div", "ff-pre ff-log").props('id=ff-log role=log tabindex=0 aria-label="Logs"')
        script("clearLogs")

    def refresh(self) -> None:
        """Send what has been printed since."""
        lines, _ = self._followed.lines_since(self._sent)
        dropped = self._followed.dropped
        self._sent = max(self._sent, dropped)
        if dropped:
            job_id = self._followed.job.id
            set_text(self._dropped, f"The oldest {dropped:,} lines are not held here; `fanfold logs {job_id}` has all.")
            show(self._dropped, shown=True)
        while lines:
            portion: list[Any] = [list(line) for line in lines[:_PORTION]]
            script("addLogs", portion)
            self._sent += len(portion)
            lines = lines[_PORTION:]
