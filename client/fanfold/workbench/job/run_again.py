"""Running again what failed: all of it, the runs of one cause, or one run."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from nicegui import ui

from fanfold.errors import FanfoldError
from fanfold.workbench.editor.udf_process import Order, UdfProcess
from fanfold.workbench.following import FollowedJob


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
