"""What every call needs first: it is not made from within a run, it has an engine, and it asks for something."""

from __future__ import annotations

import os
import sys
from typing import Any

from fanfold.contract.layout import ENV_RUN
from fanfold.core.options import Request, places, unwrapped
from fanfold.engines.base import Engine
from fanfold.engines.select import engine_for
from fanfold.errors import NestedSubmitError

_ALIASES = ("small", "medium", "large")


def inside_run() -> bool:
    """True within a run, and in the processes that it starts."""
    return ENV_RUN in os.environ


def refuse_inside_run(what: str) -> None:
    """Raises `NestedSubmitError` within a run: runs that wait for runs hold their workers and never end."""
    if inside_run():
        raise NestedSubmitError(
            f"`{what}` was called from within a run ({os.environ[ENV_RUN]}).",
            next_step="call the UDF as a plain function there, or submit from outside with more inputs.",
        )


def resolve_call(
    udf: Any, *, engine: str | None, instance_type: str | None, quiet: bool = False, **asked: Any
) -> tuple[Engine, Request]:
    """The engine for a call, and what the call asks of it. Raises `InputError`, or `ConfigurationError` for the engine.

    Says on stderr which machine serves an instance type where that is not the machine of its name, unless `quiet`.
    """
    _, options = unwrapped(udf)
    engine, instance_type = places(engine, instance_type)
    chosen = engine_for(engine or options.engine)
    offered = chosen.describe().instance_types
    request = Request.of(options, offered=offered, instance_type_name=instance_type, **asked)
    if not quiet:
        _say_which_machine(request, chosen)
    return chosen, request


def _say_which_machine(request: Request, engine: Engine) -> None:
    """Say on stderr what serves an instance type where that is not the machine of its name."""
    machine = request.instance
    if machine is None:
        return
    host = machine.host
    if not engine.describe().has_machines:
        sys.stderr.write(
            f"fanfold: {machine.name} is served by this machine; on AWS by {host.name}"
            f" ({host.vcpus} vCPU, {host.memory_gib:g} GiB).\n"
        )
    elif machine.served_by_another and machine.name not in _ALIASES:
        sys.stderr.write(
            f"fanfold: {machine.name} is served by {host.name} ({host.vcpus} vCPU, {host.memory_gib:g} GiB).\n"
        )
