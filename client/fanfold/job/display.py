"""A job for people to look at: one line in a terminal, a small table in a notebook."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from fanfold.core.fold import JobState
from fanfold.core.models import BAD, JobHeader, RunStatus
from fanfold.core.processes import Locked
from fanfold.engines.base import Engine
from fanfold.errors import FanfoldError, MissingPackage
from fanfold.job.failures import failure_of
from fanfold.job.results import Contents
from fanfold.job.waiting import Tracker, describe_counts, in_notebook

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = {
    RunStatus.SUCCEEDED: "#2e7d32",
    RunStatus.CACHED: "#7cb342",
    RunStatus.RUNNING: "#1e88e5",
    RunStatus.QUEUED: "#b0bec5",
    RunStatus.CANCELLED: "#78909c",
}
_FAILED_COLOUR = "#c62828"


def line(state: JobState) -> str:
    """The job in one line."""
    return f"<Job {state.header.id} {state.header.name}: {state.status.value}, {describe_counts(state)}>"


def html(state: JobState, contents: Contents | None, *, stale: str = "") -> str:
    """The job as a notebook shows it: a bar of statuses, what it took, and its first error where there are contents.

    `stale` says why it is not up to date.
    """
    from fanfold.core.formatting import as_html
    from fanfold.job.summary import summarise

    told = summarise(state)
    title = f"<b>{as_html(told.name)}</b> <code>{as_html(told.job_id)}</code> {told.status}"
    below = _first_error(state, contents) if contents is not None else ""
    if stale:
        below = f"<div>{as_html(stale)}</div>"
    return f"<div>{title}{_bar(state)}{told.table()}{below}</div>"


def say_left_out(state: JobState) -> None:
    """Say on stderr how many failed runs a collected frame leaves out."""
    counts = state.counts()
    left_out = sum(counts[status] for status in BAD)
    if left_out:
        sys.stderr.write(
            f"fanfold: {left_out:,} of {state.header.count:,} runs failed and are left out;"
            f' `fanfold errors {state.header.id}` says why, as does fanfold.get_job("{state.header.id}").errors().\n'
        )


def say_lost_files(state: JobState) -> None:
    """Say on stderr where a run in the cloud returned the path of a file that is gone with its worker."""
    if state.header.costs_money:
        from fanfold.job.summary import on_lost_files

        if told := on_lost_files(state):
            sys.stderr.write(f"fanfold: {told}\n")


def _bar(state: JobState) -> str:
    total = max(state.header.count, 1)
    parts = "".join(
        f"<span title='{count:,} {status.value}' style='display:inline-block;height:8px;"
        f"width:{100 * count / total:.2f}%;background:{_COLOURS.get(status, _FAILED_COLOUR)}'></span>"
        for status, count in state.counts().items()
        if count
    )
    return f"<div style='width:100%;max-width:40em;line-height:0;margin:4px 0'>{parts}</div>"


def _first_error(state: JobState, contents: Contents) -> str:
    from fanfold.core.formatting import as_html

    first = next(state.indexes(*BAD), None)
    if first is None:
        return ""
    told = failure_of(state, contents, first)
    return f"<details><summary>first error</summary><pre>{as_html(str(told))}</pre></details>"


# A job in a notebook's output, which brings itself up to date in place until the job has ended.

#: Seconds between two pictures, at least; and how many times as long as making one takes, so that a job of very many
#: runs leaves the kernel to its user.
_PACE_S, _TIMES_AS_LONG = 1.0, 20.0
#: Seconds between two looks at a store that does not answer.
_SILENT_PACE_S = 4.0

_showing = Locked()
followers: dict[str, _NotebookFollower] = {}


def show_live(header: JobHeader, engine: Engine) -> bool:
    """Show an open job, and keep what is shown up to date; False where it has ended, or this is no notebook."""
    if not in_notebook():
        return False
    state = Tracker(header, engine).refresh()
    if state.done:
        return False
    with _showing.lock:
        follower = followers.get(header.id)
        if follower is None:
            follower = followers[header.id] = _NotebookFollower(header, engine)
            follower.start()
        follower.add(state)
    return True


class _NotebookFollower(threading.Thread):
    """Reads on by itself, for the user's thread may be anywhere; it only reads, and looks after no lost runs."""

    def __init__(self, header: JobHeader, engine: Engine) -> None:
        super().__init__(name=f"fanfold-notebook-{header.id}", daemon=True)
        self.tracker = Tracker(header, engine)
        self._contents = Contents(header, engine.stores)
        self._outputs: list[Any] = []
        self.stale = ""

    def add(self, state: JobState) -> None:
        """Show the job once more, in an output of its own."""
        from IPython.display import display as shown

        output = shown(self._picture(state), display_id=True)  # type: ignore[no-untyped-call]
        self._outputs.append(output)

    def run(self) -> None:
        """Draw until the job has ended."""
        done = False
        while not done:
            began = time.monotonic()
            try:
                state, self.stale = self.tracker.refresh(), ""
                done = self._draw(state)
                took_s = time.monotonic() - began
                self.tracker.engine.wait_for_news(_PACE_S)
            except FanfoldError as error:  # it may go on in a minute, and until then it is said how old the picture is
                self.stale = self.stale or f"as of {time.strftime('%H:%M:%S')}: {error.message}"
                self._draw(self.tracker.state)
                took_s = _SILENT_PACE_S / _TIMES_AS_LONG
            if not done:
                time.sleep(max(0.0, max(_PACE_S, took_s * _TIMES_AS_LONG) - (time.monotonic() - began)))

    def _draw(self, state: JobState) -> bool:
        """Draw every output anew; True where that was the last time."""
        # Nobody may add an output between the last drawing and the end.
        with _showing.lock:
            picture = self._picture(state)
            for output in self._outputs:
                output.update(picture)
            if state.done:
                followers.pop(self.tracker.header.id, None)
            return state.done

    def _picture(self, state: JobState) -> Any:
        from IPython.display import HTML

        contents = None if self.stale else self._contents
        return HTML(html(state, contents, stale=self.stale))  # type: ignore[no-untyped-call]


# A job's runs over time, drawn.

_BAR_COLOURS = {RunStatus.SUCCEEDED: "#2e7d32", RunStatus.CANCELLED: "#78909c", RunStatus.RUNNING: "#1e88e5"}
_FAILED_BAR = "#c62828"


def draw_timeline(state: JobState) -> Figure:
    """One bar a run, from its start to its end, in seconds since the submit.

    Runs are stacked in as few rows as ran side by side, so that the picture shows how full the workers were.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise MissingPackage(
            "A timeline is drawn with matplotlib, which is not installed.", next_step="pip install 'fanfold[plot]'"
        ) from error
    from fanfold.job.charts import Chart

    figure = Chart(figsize=(10, 4), layout="constrained")
    axes = figure.subplots()
    rows: list[float] = []
    for start, end, status in sorted(_spans(state), key=lambda span: span[0]):
        row = next((number for number, free_at in enumerate(rows) if free_at <= start), len(rows))
        rows[row : row + 1] = [end]
        axes.barh(row, end - start, left=start, height=0.9, color=_BAR_COLOURS.get(status, _FAILED_BAR), linewidth=0)
    axes.set(xlabel="seconds since the submit", ylabel="side by side", title=_title(state))
    axes.set_yticks(range(0, len(rows), max(1, len(rows) // 8)))
    return figure


def _title(state: JobState) -> str:
    return f"{state.header.name} · {state.header.id} · {state.status.value}"


def _spans(state: JobState) -> list[tuple[float, float, RunStatus]]:
    began = state.header.created_at
    spans: list[tuple[float, float, RunStatus]] = []
    for index in range(state.header.count):
        status, start, end = state.status_of(index), state.started_at(index), state.finished_at(index)
        if start is not None and end is not None and status is not RunStatus.CACHED:
            spans.append((start - began, end - began, status))
    return spans
