"""What code can ask inside a run: which run it is, where it may keep files, and what its steps have computed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from fanfold.contract.layout import ENV_ATTEMPT, ENV_RUN, ENV_SCRATCH
from fanfold.core.options import check_secret_name, secret_variable
from fanfold.errors import ConfigurationError

P = ParamSpec("P")
R = TypeVar("R")


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


def step(name: str, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call `function` once for all tries of this run: a later try is given what the first has computed.

    `name` and the arguments say which step it is; each stands once in a run. What it returns is kept before this
    returns. A realtime run that has little of its time left ends here, and goes on from here in another try. Outside a
    run this is `function(*args, **kwargs)`. Raises `InputError`, and `CodecError` for what cannot be kept.
    """
    steps = _steps()
    if steps is None:
        return function(*args, **kwargs)
    value: R = steps.step(name, function, args, kwargs)
    return value


class Checkpoint:
    """Where a loop in a run has got to: `load()` in a later try gives what `save(value)` has kept."""

    def save(self, value: Any, name: str = "") -> None:
        """Keep a value for later tries of this run, in place of the one before; it is safe when this returns.

        A realtime run that has little of its time left ends here, and goes on from here in another try. Outside a run
        nothing is kept. Raises `CodecError` for what cannot be kept.
        """
        steps = _steps()
        if steps is not None:
            steps.checkpoint(name, value)

    def load(self, default: Any = None, name: str = "") -> Any:
        """What was saved last in an earlier try of this run; `default` where nothing was, and outside a run."""
        steps = _steps()
        kept = None if steps is None else steps.checkpointed(name)
        return default if kept is None else kept[0]


#: What a loop in a run has got to.
checkpoint = Checkpoint()


def _steps() -> Any:
    if ENV_RUN not in os.environ:
        return None
    from fanfold.execution.worker.steps import current_steps

    return current_steps()


def _told(name: str) -> str:
    try:
        return os.environ[name]
    except KeyError:
        raise ConfigurationError(
            "This is not a run: only code that a UDF calls can ask for its run.",
            next_step="call it within the UDF, or look at `job.id` and `run.index` outside.",
        ) from None
