"""Panels that are read rather than watched: the code as it ran, what happened to the job when."""

from __future__ import annotations

from nicegui.element import Element

from fanfold.core.formatting import counted, duration
from fanfold.core.models import BAD
from fanfold.errors import FanfoldError
from fanfold.job import history
from fanfold.job.causes import causes_of, is_file
from fanfold.source.explain import LANES, Explanation, explain_bundle
from fanfold.workbench.following import FollowedJob
from fanfold.workbench.layout import element, link, set_text, text

#: Things that travelled that have a row.
_THINGS = 300
#: Between two looks through the failures of a job that runs.
_CAUSES_S = 3.0


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
        self._trouble = ""
        self._read_of: tuple[str, int] = ("", -1)
        #: By file and line, how many runs have failed there; and the words for it on the page.
        self._raised: dict[tuple[str, int], int] = {}
        self._marks: dict[tuple[str, int], Element] = {}
        self._hashes: dict[str, int] = {}
        self._built_of: tuple[object, ...] = ()

    def _is_due(self) -> bool:
        return self._read_of != self._now()

    def _now(self) -> tuple[str, int]:
        """What the panel shows: the code, of which a retry may bring another, and how many runs failed in it."""
        job = self._followed.job
        return job.header.current_bundle_sha256, sum(job.state.counts()[status] for status in BAD)

    def _read(self) -> None:
        self._read_of, state = self._now(), self._followed.job.state
        self._hashes = state.code_hashes()
        causes = self._followed.once("causes", lambda: causes_of(state), _CAUSES_S)
        self._raised = {}
        for cause in causes:
            if cause.key.line is not None:
                place = (cause.key.line.file, cause.key.line.number)
                self._raised[place] = self._raised.get(place, 0) + len(cause.runs)
        try:
            self._sources = history.code(self._followed.job)
            self._travelled = explain_bundle(history.bundle_of(self._followed.job))
        except FanfoldError as error:
            self._trouble = f"The code cannot be read: {error.message}"

    def refresh(self) -> None:
        """Show what is new; where that is only how many runs have failed at the same lines, the code stays as it is."""
        of = (self._hashes, self._sources, set(self._raised), self._trouble)
        if self._is_new and of != self._built_of:
            self._built_of = of
            super().refresh()
        for place, mark in self._marks.items():
            set_text(mark, _failed_here(self._raised[place]))

    def _build(self) -> None:
        self._marks = {}
        for code_hash, count in self._hashes.items():
            text(f"code hash {code_hash}, {counted(count, 'run')}", "ff-mono ff-muted")
        if self._trouble:
            text(self._trouble, "ff-note")
        for path, lines in self._sources:
            text(path, "ff-mono", "h2")
            with element("pre", "ff-pre").props("tabindex=0"):
                self._build_lines(path, lines)
        if self._travelled is not None:
            _what_travelled(self._travelled)

    def _build_lines(self, path: str, lines: str) -> None:
        """The code, with a mark at each line that runs have failed at, which leads to the failures."""
        failed = {number: runs for (file, number), runs in self._raised.items() if is_file(file, path)}
        plain: list[str] = []
        for line in lines.split("\n"):
            runs = failed.get(int(number) if (number := line[:4].strip()).isdigit() else 0)
            if runs is None:
                plain.append(f"{line}\n")
                continue
            text("".join(plain), "", "span")
            text(line, "ff-raised", "mark")
            place = next(one for one in self._raised if is_file(one[0], path) and one[1] == int(number))
            address = f"/job/{self._followed.job.id}?tab=Errors"
            self._marks[place] = link(_failed_here(runs), address, "ff-link ff-bad")
            plain = ["\n"]
        text("".join(plain), "", "span")


def _failed_here(runs: int) -> str:
    return f"  {counted(runs, 'run')} failed here"


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
    """What happened to the job when. Moments that stand there stay as they are: more come at the end, most often."""

    def __init__(self, followed: FollowedJob) -> None:
        super().__init__(followed)
        self._moments: list[tuple[float, str]] = []
        self._shown: list[tuple[float, str]] = []
        with self._box:
            self._list = element("ol", "ff-moments")

    def refresh(self) -> None:
        """Show what is new."""
        if self._moments[: len(self._shown)] != self._shown:
            self._list.clear()
            self._shown = []
        with self._list:
            for moment in self._moments[len(self._shown) :]:
                self._build_moment(*moment)
        self._shown = self._moments

    def _read(self) -> None:
        self._moments = history.moments(self._followed.job.state)

    def _build_moment(self, at: float, event: str) -> None:
        began = self._followed.job.header.created_at
        with element("li"):
            text(history.clock(at), "ff-muted ff-small", "span")
            text(f"+ {duration(max(0.0, at - began))}", "ff-muted ff-small ff-number", "span")
            text(event, "", "span")
