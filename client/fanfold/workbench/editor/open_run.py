"""A run's input as the texts of a form: how a failure is opened in the editor with what made it fail."""

from __future__ import annotations

from fanfold.contract.records import NamedTuple
from fanfold.errors import InputError
from fanfold.workbench.editor.fields import text_of
from fanfold.workbench.following import FollowedJobs


class InputTexts(NamedTuple):
    """Each argument as it is written in a form, the names of those that are None, and of those that are text."""

    texts: dict[str, str]
    nulls: list[str]
    strings: list[str]


def input_texts(followed_jobs: FollowedJobs, job_id: str, run: int) -> InputTexts:
    """The arguments of a run of a job. Raises `JobNotFound`, and `InputError` where it has no such run."""
    followed = followed_jobs.followed(job_id)
    with followed.lock:
        if not 0 <= run < len(followed.job):
            raise InputError(f"Job {job_id} has no run {run}.", next_step=f"its runs are 0 to {len(followed.job) - 1}.")
        given = followed.job.contents.own_arguments(run)
    return InputTexts(
        {name: _text(value) for name, value in given.items() if value is not None},
        [name for name, value in given.items() if value is None],
        [name for name, value in given.items() if isinstance(value, str)],
    )


def _text(value: object) -> str:
    moment = getattr(value, "isoformat", None)
    return str(moment()) if callable(moment) else text_of(value)
