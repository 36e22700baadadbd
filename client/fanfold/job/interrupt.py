"""A Ctrl-C that is meant for a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fanfold.job.tracker import described

if TYPE_CHECKING:
    from fanfold.job.job import Job


def interrupted(job: Job) -> KeyboardInterrupt:
    """Cancel a job that nobody holds yet but who was interrupted; the interrupt to raise, which tells of it."""
    job.cancel()
    return KeyboardInterrupt(
        f"job {job.id} is cancelled: {described(job.state)}; the same submit runs only the rest,"
        f' and so does fanfold.get_job("{job.id}").retry()'
    )
