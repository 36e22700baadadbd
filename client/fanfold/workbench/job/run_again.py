"""Running again what failed: all of it, the runs of one cause, or one run."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from nicegui import ui

from fanfold.core.fold import JobState
from fanfold.core.models import BAD
from fanfold.errors import FanfoldError
from fanfold.workbench.editor.udf_process import Order, UdfProcess
from fanfold.workbench.following import FollowedJob
from fanfold.workbench.layout import button, set_disabled, set_text, show, text


def why_not_again(state: JobState, runs: int) -> str:
    """Why so many of the failed runs cannot be run again now; empty where they can."""
    if not state.done:
        return "once the job has ended"
    counts = state.counts()
    if state.header.cancelled_at is not None and runs < sum(counts[one] for one in BAD):
        return "the job was cancelled: the button in its head runs all that has no result"
    return ""


class AgainButton:
    """Runs some failed runs again; where that cannot be now it stands there all the same, with the reason."""

    def __init__(self, label: str, press: Callable[[], Awaitable[None]]) -> None:
        self._button = button(label, press)
        self._why = text("", "ff-muted ff-small ff-hidden", "span")

    def update(self, label: str, why_not: str) -> None:
        """Show what it would run, and why it cannot now."""
        set_text(self._button, label)
        set_disabled(self._button, disabled=bool(why_not))
        set_text(self._why, why_not)
        show(self._why, shown=bool(why_not))


async def run_again(
    followed: FollowedJob, runs: Sequence[int] | None = None, look: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Have a process of its own do it: the job goes on when the server of the page ends. `runs` None: all that failed.

    `look` is called when the page has something new to show.
    """
    header = followed.job.header
    given = {"job": header.id, **({} if runs is None else {"runs": list(runs)})}
    try:
        answer = await UdfProcess(Path(tempfile.gettempdir())).carry_out(Order("", "", "retry", given, header.engine))
        count = "what is missing" if answer is None else f"{answer.count:,} {'run' if answer.count == 1 else 'runs'}"
        ui.notify(f"Running {count} again …", position="bottom-left")
    except FanfoldError as error:
        ui.notify(str(error), type="negative", position="bottom-left", multi_line=True)
    await asyncio.to_thread(followed.look_now)
    if look is not None:
        await look()
