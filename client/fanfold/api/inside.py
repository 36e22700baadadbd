"""What code can ask inside a run: which run it is, and where it may keep files."""

from __future__ import annotations

import os
from pathlib import Path

from fanfold.contract.layout import ENV_ATTEMPT, ENV_RUN, ENV_SCRATCH
from fanfold.core.options import check_secret_name, secret_variable
from fanfold.errors import ConfigurationError


def job_id() -> str:
    """The job that this is a run of. Raises `ConfigurationError` outside a run."""
    return _told(ENV_RUN).partition("/")[0]


def run_id() -> str:
    """The job and the run's number in it, as `job/number`. Raises `ConfigurationError` outside a run."""
    return _told(ENV_RUN)


def attempt() -> int:
    """How often this run has been tried before: 0 the first time. Raises `ConfigurationError` outside a run."""
    return int(_told(ENV_ATTEMPT))


def scratch_path() -> Path:
    """A folder for what this worker may keep for later runs of the same UDF: it is removed with the worker.

    Raises `ConfigurationError` outside a run.
    """
    folder = Path(_told(ENV_SCRATCH))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def secret(name: str) -> str:
    """The value of a secret that the UDF asks for with `@udf(secrets=[...])`; outside a run, of one on this machine.

    Raises `ConfigurationError` where it does not ask for it, or there is none.
    """
    variable = secret_variable(check_secret_name(name))
    if ENV_RUN not in os.environ:
        from fanfold.environments.secrets import SecretFiles
        from fanfold.settings import current

        return SecretFiles(current().home).get(name)
    if variable not in os.environ:
        raise ConfigurationError(
            f"This UDF does not ask for the secret {name!r}.",
            next_step=f'name it where the UDF is defined: @udf(secrets=["{name}"]).',
        )
    return os.environ[variable]


def _told(name: str) -> str:
    try:
        return os.environ[name]
    except KeyError:
        raise ConfigurationError(
            "This is not a run: only code that a UDF calls can ask for its run.",
            next_step="call it within the UDF, or look at `job.id` and `run.index` outside.",
        ) from None
