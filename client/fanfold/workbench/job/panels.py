"""Panels that are read rather than watched: the code as it ran, what happened to the job when."""

from __future__ import annotations

from nicegui.element import Element

from fanfold.errors import FanfoldError
from fanfold.workbench.following import FollowedJob
from fanfold.workbench.job import history
from fanfold.workbench.layout import element, text


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
