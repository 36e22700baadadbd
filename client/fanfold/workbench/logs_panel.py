"""What runs print, as they print it, with search and a jump to the next error."""

from __future__ import annotations

from typing import Any

from fanfold.workbench.shell import button, element, field, script, set_text, show, text
from fanfold.workbench.watch import Watch

#: Lines sent at once.
_PORTION = 2_000


class LogsPanel:
    """One viewer's log: the browser holds the lines, searches all, and draws a stretch of them as text."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
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
        lines, _ = self._watch.lines_since(self._sent)
        dropped = self._watch.dropped
        self._sent = max(self._sent, dropped)
        if dropped:
            job_id = self._watch.job.id
            set_text(self._dropped, f"The oldest {dropped:,} lines are not held here; `fanfold logs {job_id}` has all.")
            show(self._dropped, shown=True)
        while lines:
            portion: list[Any] = [list(line) for line in lines[:_PORTION]]
            script("addLogs", portion)
            self._sent += len(portion)
            lines = lines[_PORTION:]
