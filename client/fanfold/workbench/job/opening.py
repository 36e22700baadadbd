"""How the pages of a job and of a run begin: with the job read, or with words for why it is not."""

from __future__ import annotations

import asyncio

from nicegui import ui

from fanfold.errors import FanfoldError, JobNotFound
from fanfold.workbench.following import FollowedJob, FollowedJobs
from fanfold.workbench.layout import element, link, text


async def open_job(followed_jobs: FollowedJobs, job_id: str) -> FollowedJob | None:
    """The job, read; None where that cannot be, and then the page says why."""
    try:
        followed = await asyncio.to_thread(followed_jobs.followed, job_id)
        await followed.look_soon()
    except FanfoldError as error:
        _say_why_not(error)
        return None
    return followed


def _say_why_not(error: FanfoldError) -> None:
    with element("div", "ff-card ff-empty"):
        text("There is no such job." if isinstance(error, JobNotFound) else "The job cannot be read now.", "", "h1")
        text(error.message)
        text(error.next_step)
        link("All jobs", "/")
        if not isinstance(error, JobNotFound):
            text("Trying again every few seconds.")
            ui.timer(3.0, ui.navigate.reload)
