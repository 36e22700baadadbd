"""The error for a job id that a store does not know."""

from __future__ import annotations

from collections.abc import Sequence

from fanfold.errors import JobNotFound


def job_not_found(job_id: str, latest: Sequence[str], *, place: str) -> JobNotFound:
    """The error that names the ids which come near, or else the latest; `latest` ids newest first."""
    from difflib import get_close_matches  # costs 5 ms, and only a misspelt id needs it

    near = get_close_matches(job_id, latest, n=3, cutoff=0.75)
    if near:
        next_step = f"did you mean {' or '.join(near)}?"
    elif latest:
        next_step = f"the latest jobs are {', '.join(latest[:3])}; `fanfold jobs` lists all."
    else:
        next_step = "there are no jobs yet; check FANFOLD_HOME, or which deployment is meant."
    return JobNotFound(f"There is no job {job_id!r} in {place}.", next_step=next_step)
