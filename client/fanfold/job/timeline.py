"""A job's runs over time, drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fanfold.errors import MissingPackage
from fanfold.fold import JobState
from fanfold.models import RunStatus

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = {RunStatus.SUCCEEDED: "#2e7d32", RunStatus.CANCELLED: "#78909c", RunStatus.RUNNING: "#1e88e5"}
_FAILED_COLOUR = "#c62828"


def drawn(state: JobState) -> Figure:
    """One bar a run, from its start to its end, in seconds since the submit.

    Runs are stacked in as few rows as ran side by side, so that the picture shows how full the workers were.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackage(
            "A timeline is drawn with matplotlib, which is not installed.", next_step="pip install 'fanfold[plot]'"
        ) from error
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots()
    rows: list[float] = []
    for start, end, status in sorted(_spans(state), key=lambda span: span[0]):
        row = next((number for number, free_at in enumerate(rows) if free_at <= start), len(rows))
        rows[row : row + 1] = [end]
        axes.barh(row, end - start, left=start, height=0.9, color=_COLOURS.get(status, _FAILED_COLOUR), linewidth=0)
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
