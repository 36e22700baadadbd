"""The bar over the editor that says whose failures this code is to fix, and runs these with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fanfold.contract.records import NamedTuple
from fanfold.core.models import BAD
from fanfold.workbench.following import FollowedJobs
from fanfold.workbench.layout import button, element, link, set_text, show, text


class FailedJob(NamedTuple):
    """A job with failed runs: how many, and the machine they run on (None: realtime)."""

    id: str
    name: str
    failed: int
    machine: str | None
    done: bool


def failed_job(followed_jobs: FollowedJobs, job_id: str) -> FailedJob:
    """How a job stands that is to be made whole; called in a thread. Raises `JobNotFound`."""
    followed = followed_jobs.followed(job_id)
    followed.look()
    with followed.lock:
        state = followed.job.state
        failed = sum(count for status, count in state.counts().items() if status in BAD)
        return FailedJob(job_id, state.header.name, failed, state.header.instance_type, state.done)


def run_these(failed: int) -> str:
    """What the button says that runs failed runs with new code."""
    return f"Run these {failed:,} with the new code" if failed > 1 else "Run this one with the new code"


class FixBar:
    """One viewer's bar; hidden while the editor was not opened from a failure."""

    def __init__(self, followed_jobs: FollowedJobs, run: Callable[[FailedJob], Awaitable[None]]) -> None:
        self._followed_jobs, self._run = followed_jobs, run
        #: The job whose failures are to be fixed; None where there is none.
        self.job: FailedJob | None = None
        with element("div", "ff-note ff-row ff-hidden").props('role=region aria-label="Failed runs"') as self._box:
            self._words = text("", "", "span")
            self._link = link("", "")
            self._button = button("", self._pressed, "ff-first ff-spread")

    async def offer(self, job_id: str) -> None:
        """Offer to run the failed runs of this job with the editor's code, where it has any. Raises `JobNotFound`."""
        self.job = job = await asyncio.to_thread(failed_job, self._followed_jobs, job_id)
        show(self._box, shown=job.failed > 0)
        set_text(self._words, f"{job.failed:,} {'run' if job.failed == 1 else 'runs'} of {job.name} failed:")
        set_text(self._link, f"job {job_id}")
        self._link._props["href"] = f"/job/{job_id}"
        self._link.update()
        set_text(self._button, run_these(job.failed))

    async def _pressed(self) -> None:
        if self.job is not None:
            await self._run(self.job)
