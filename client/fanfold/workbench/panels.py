"""Panels that are read rather than watched: errors by cause, the code as it ran, what became of the job when."""

from __future__ import annotations

from nicegui.element import Element

from fanfold.errors import FanfoldError
from fanfold.workbench import story
from fanfold.workbench.routes import input_text
from fanfold.workbench.shell import element, text
from fanfold.workbench.watch import Watch


class _Panel:
    """A panel that is built anew when the job has changed."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._version = -2
        self._box = element("div", "ff-card")

    def refresh(self) -> None:
        """Show what is new."""
        if self._version != self._watch.version:
            self._version = self._watch.version
            self._box.clear()
            with self._box:
                self._build()

    def _build(self) -> None:
        raise NotImplementedError


class ErrorsPanel(_Panel):
    """Failures by cause: how many, the first traceback, the inputs."""

    def _build(self) -> None:
        found = story.causes(self._watch.job.state)
        if not found:
            text("No run has failed.", "ff-empty")
        for cause in found:
            with element("article", "ff-cause"):
                runs = "run" if cause.count == 1 else "runs"
                text(f"{cause.count:,} {runs}: {cause.kind}", "", "h2")
                text(cause.message, "ff-mono")
                if cause.traceback:
                    text(cause.traceback, "ff-pre", "pre").props("tabindex=0")
                _inputs(self._watch, cause)


def _inputs(watch: Watch, cause: story.Cause) -> None:
    with element("div", "ff-small"):
        for index in cause.runs:
            text(f"run {index}: {input_text(watch, index)}", "ff-mono")
        if cause.count > len(cause.runs):
            text(f"and {cause.count - len(cause.runs):,} more", "ff-muted")


class CodePanel(_Panel):
    """The code that the runs were given."""

    def refresh(self) -> None:
        """Show the code; it never changes."""
        if self._version == -2:
            super().refresh()

    def _build(self) -> None:
        text(f"code hash {self._watch.job.header.code_hash}", "ff-mono ff-muted")
        try:
            sources = story.code(self._watch.job)
        except FanfoldError as error:
            text(f"The code cannot be read: {error.message}", "ff-note")
            return
        for path, lines in sources:
            text(path, "ff-mono", "h2")
            text(lines, "ff-pre", "pre").props("tabindex=0")


class HistoryPanel(_Panel):
    """What became of the job when."""

    def _build(self) -> None:
        with element("div", "ff-facts").style("grid-template-columns: minmax(0, 1fr)"):
            for at, told in story.history(self._watch.job.state):
                _moment(at, told)


def _moment(at: float, told: str) -> Element:
    with element("div") as row:
        text(story.clock(at), "", "span")
        text(told, "", "b")
    return row
