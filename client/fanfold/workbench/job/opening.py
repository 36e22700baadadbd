"""How the pages of a job and of a run begin: with the job read, or with words for why it is not."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from nicegui import ui

from fanfold.errors import FanfoldError, JobNotFound, StoreTooNew
from fanfold.workbench.following import FollowedJob, FollowedJobs
from fanfold.workbench.layout import element, link, text

#: A job that is read within this time is there with the page's first answer; of another the page waits for the rest.
_FIRST_S, _READ_S, _LOOK_S = 0.25, 4.0, 0.02


async def open_job(followed_jobs: FollowedJobs, job_id: str) -> FollowedJob | None:
    """The job, read; None where that cannot be, and then the page says why."""
    try:
        followed = await asyncio.to_thread(followed_jobs.followed, job_id)
        await followed.look_soon(_FIRST_S)
    except FanfoldError as error:
        _say_why_not(error)
        return None
    if not (followed.read_at or followed.trouble):
        await _read_meanwhile(followed)
    if followed.trouble is not None and not followed.read_at:  # nothing of it is known, and nothing may be made up
        _say_why_not(followed.trouble)
        return None
    return followed


async def _read_meanwhile(followed: FollowedJob) -> None:
    """Have the browser begin to load what every page needs while a large job is read: each takes its second."""
    note = text("Reading the job …", "ff-card ff-empty").props("role=status")
    began = time.monotonic()
    with suppress(TimeoutError, asyncio.TimeoutError):  # a reader that is no browser never comes back
        await ui.context.client.connected()
    while not (followed.read_at or followed.trouble) and time.monotonic() - began < _READ_S:
        await asyncio.sleep(_LOOK_S)
    note.delete()


def _say_why_not(error: FanfoldError) -> None:
    with element("div", "ff-card ff-empty"):
        text("There is no such job." if isinstance(error, JobNotFound) else "The job cannot be read now.", "", "h1")
        text(error.message)
        text(error.next_step)
        link("All jobs", "/")
        if not isinstance(error, (JobNotFound, StoreTooNew)):
            text("Trying again every few seconds.")
            ui.timer(3.0, ui.navigate.reload)
