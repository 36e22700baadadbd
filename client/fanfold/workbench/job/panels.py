"""Panels that are read rather than watched: the code as it ran, what happened to the job when."""

from __future__ import annotations

from nicegui.element import Element

from fanfold.errors import FanfoldError
from fanfold.job import history
from fanfold.source.explain import LANES, Explanation, explain_bundle
from fanfold.workbench.following import FollowedJob
from fanfold.workbench.layout import element, text

#: Things that travelled that have a row.
_THINGS = 300


class _Panel:
    """A panel that is built anew when the job has changed; what it says is read in a thread."""

    def __init__(self, followed: FollowedJob) -> None:
        self._followed = followed
        self._version = -2
        self._is_new = False
        self._box = element("div", "ff-card")

    def prepare(self) -> None:
        """Read what is new; called in a thread, for it goes through all runs or asks the store."""
        if self._is_due():
            self._version = self._followed.version
            self._read()
            self._is_new = True

    def refresh(self) -> None:
        """Show what is new."""
        if self._is_new:
            self._is_new = False
            self._box.clear()
            with self._box:
                self._build()

    def _is_due(self) -> bool:
        return self._version != self._followed.version

    def _read(self) -> None:
        raise NotImplementedError

    def _build(self) -> None:
        raise NotImplementedError


class CodePanel(_Panel):
    """The code that the runs were given."""

    def __init__(self, followed: FollowedJob) -> None:
        super().__init__(followed)
        self._sources: list[tuple[str, str]] = []
        self._travelled: Explanation | None = None
        self._trouble, self._read_of = "", ""

    def _is_due(self) -> bool:
        return self._read_of != self._followed.job.header.current_bundle_sha256  # a retry may bring another

    def _read(self) -> None:
        try:
            self._read_of = self._followed.job.header.current_bundle_sha256
            self._sources = history.code(self._followed.job)
            self._travelled = explain_bundle(history.bundle_of(self._followed.job))
        except FanfoldError as error:
            self._trouble = f"The code cannot be read: {error.message}"

    def _build(self) -> None:
        for code_hash, count in self._followed.job.state.code_hashes().items():
            text(f"code hash {code_hash}, {count:,} {'run' if count == 1 else 'runs'}", "ff-mono ff-muted")
        if self._trouble:
            text(self._trouble, "ff-note")
        for path, lines in self._sources:
            text(path, "ff-mono", "h2")
            text(lines, "ff-pre", "pre").props("tabindex=0")
        if self._travelled is not None:
            _what_travelled(self._travelled)


def _what_travelled(found: Explanation) -> None:
    """The lanes of all that travelled, how large it is, and what stayed behind (`fanfold.explain`)."""
    text(f"What travelled: {found.size:,} bytes", "", "h2")
    with element("table", "ff-plain ff-small").props('aria-label="What travelled"'):
        with element("thead"), element("tr"):
            for title in ("lane", "name", "what", "bytes"):
                text(title, "ff-number" if title == "bytes" else "", "th").props("scope=col")
        with element("tbody"):
            for each in (*found.things, *found.left)[:_THINGS]:
                with element("tr"):
                    text(LANES[each.lane], "", "td")
                    text(each.name, "ff-mono", "td")
                    text(each.what, "", "td")
                    text(f"{each.size:,}" if each.size else "", "ff-number", "td")
    for need in found.needs:
        text(f"needs: {need}", "ff-muted")


class HistoryPanel(_Panel):
    """What happened to the job when."""

    def __init__(self, followed: FollowedJob) -> None:
        super().__init__(followed)
        self._moments: list[tuple[float, str]] = []

    def _read(self) -> None:
        self._moments = history.moments(self._followed.job.state)

    def _build(self) -> None:
        with element("div", "ff-facts").style("grid-template-columns: minmax(0, 1fr)"):
            for at, event in self._moments:
                _moment(at, event)


def _moment(at: float, event: str) -> Element:
    with element("div") as row:
        text(history.clock(at), "", "span")
        text(event, "", "b")
    return row
