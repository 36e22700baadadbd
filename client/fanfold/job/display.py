"""A job for people to look at: one line in a terminal, a small table in a notebook."""

from __future__ import annotations

import sys

from fanfold.fold import JobState
from fanfold.job.contents import Contents
from fanfold.job.failures import failure
from fanfold.job.tracker import described
from fanfold.models import BAD, RunStatus

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
    return f"<Job {state.header.id} {state.header.name}: {state.status.value}, {described(state)}>"


def html(state: JobState, contents: Contents | None, *, stale: str = "") -> str:
    """The job as a notebook shows it: a bar of statuses, what it took, and its first error where there are contents.

    `stale` says why it is not up to date.
    """
    from html import escape

    from fanfold.job.summary import summarised

    told = summarised(state)
    title = f"<b>{escape(told.name)}</b> <code>{escape(told.job_id)}</code> {told.status}"
    below = _first_error(state, contents) if contents is not None else ""
    if stale:
        below = f"<div>{escape(stale)}</div>"
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
    from html import escape

    first = next(state.indexes(*BAD), None)
    if first is None:
        return ""
    told = failure(
        state.header,
        first,
        status=state.status_of(first),
        error=state.error(first),
        input=contents.arguments(first),
    )
    return f"<details><summary>first error</summary><pre>{escape(str(told))}</pre></details>"
