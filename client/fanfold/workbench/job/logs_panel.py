"""What runs print, as they print it: drawn a stretch at a time, searched whole by the server."""

from __future__ import annotations

from nicegui.element import Element

from fanfold.workbench.following import FollowedJob
from fanfold.workbench.layout import button, element, field, script, text


class LogsPanel:
    """One viewer's log. The browser asks for the lines that it shows, and for the place of the next hit or error."""

    def __init__(self, followed: FollowedJob) -> None:
        self._followed = followed
        self._told = -1
        with element("div", "ff-card"):
            with element("div", "ff-row").props("role=search aria-label=Logs"):
                self._field("Find", "find", type="search")
                self._field("Run", "run", inputmode="numeric", size="6", placeholder="all")
                button("Next found", lambda: script("logs.jump", "found"))
                button("Next error", lambda: script("logs.jump", "error"))
                button("Times", lambda: script("logs.times")).props("aria-pressed=false data-times")
                text("0 lines", "ff-muted ff-small ff-spread").props("id=ff-log-count role=status")
                download = text("Download", "ff-button", "a").props("data-log-download")
                download._props["href"] = f"/job/{followed.job.id}/logs.txt"
            element("div", "ff-pre ff-log").props('id=ff-log role=log tabindex=0 aria-label="Logs"')
        script("logs.open", f"/job/{followed.job.id}")

    def refresh(self) -> None:
        """Say how many lines there are, where there are more than before."""
        count = len(self._followed.log)
        if count != self._told:
            self._told = count
            script("logs.grew", count)

    def _field(self, label: str, what: str, **more: str) -> Element:
        made = field(label, on_change=lambda _: None, **more)
        made.props(f"data-log={what}")
        return made
