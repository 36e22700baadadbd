"""Which of a job's runs a command is about."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from fanfold.errors import InputError
from fanfold.job import Job

#: As many rows as a table shows unless it is asked for more.
ROWS_SHOWN = 50


def check_run(job: Job, run: int | None) -> None:
    """Raises `InputError` for a number that none of the job's runs has."""
    if run is not None and not 0 <= run < len(job):
        raise InputError(
            f"Job {job.id} has no run {run}.",
            next_step=f"its {len(job):,} runs are numbered from 0 to {len(job) - 1:,}.",
        )


def chosen(indexes: Iterable[int], limit: int | None, *, as_json: bool) -> tuple[list[int], bool]:
    """The runs to tell of, and whether there are more: JSON has all, a table the first of them, unless said."""
    most = limit if limit is not None or as_json else ROWS_SHOWN
    found = list(islice(indexes, None if most is None else most + 1))
    return (found, False) if most is None else (found[:most], len(found) > most)
