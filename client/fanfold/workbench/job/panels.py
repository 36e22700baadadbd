"""Panels that are read rather than watched: the code as it ran, what happened to the job when."""

from __future__ import annotations

from fanfold.core.formatting import duration
from fanfold.core.models import BAD
from fanfold.errors import FanfoldError
from fanfold.job import history
from fanfold.job.causes import causes_of, is_file
from fanfold.source.explain import LANES, Explanation, explain_bundle
from fanfold.workbench.following import FollowedJob
from fanfold.workbench.layout import element, link, text

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
        #: By file and line, how many runs have failed there.
        self._raised: dict[tuple[str, int], int] = {}

    def _is_due(self) -> bool:
        return self._read_of != self._now()

    def _now(self) -> tuple[str, int]:
        """What the panel shows: the code, of which a retry may bring another, and how many runs failed in it."""
        job = self._followed.job
        return job.header.current_bundle_sha256, sum(job.state.counts()[status] for status in BAD)

    def _read(self) -> None:
        self._read_of, state = self._now(), self._followed.job.state
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

    def _build(self) -> None:
        for code_hash, count in self._followed.job.state.code_hashes().items():
            text(f"code hash {code_hash}, {count:,} {'run' if count == 1 else 'runs'}", "ff-mono ff-muted")
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
            words = f"  {runs:,} {'run' if runs == 1 else 'runs'} failed here"
            link(words, f"/job/{self._followed.job.id}?tab=Errors", "ff-link ff-bad")
            plain = ["\n"]
        text("".join(plain), "", "span")


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
        began = self._followed.job.header.created_at
        with element("ol", "ff-moments"):
            for at, event in self._moments:
                with element("li"):
                    text(history.clock(at), "ff-muted ff-small", "span")
                    text(f"+ {duration(max(0.0, at - began))}", "ff-muted ff-small ff-number", "span")
                    text(event, "", "span")
