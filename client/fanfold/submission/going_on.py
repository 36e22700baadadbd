"""What a call asks a job to do by itself once it has begun, and what is measured before: for `submit` and schedules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fanfold.core.options import Request, unwrapped
from fanfold.engines.base import Engine
from fanfold.submission.escalation import Escalate, check_ladder
from fanfold.submission.hedging import check_hedge
from fanfold.submission.ramp import check_stages


def with_later(
    udf: Any,
    engine: Engine,
    request: Request,
    *,
    ramp: bool | Sequence[int] | None = None,
    escalate: Escalate = None,
    hedge: bool = False,
) -> Request:
    """The request with its ramp, its larger machines, and duplicates of slow runs. Raises `InputError`."""
    if hedge is not False:
        check_hedge(hedge, udf, request, engine.describe())
        request = request._replace(hedge=True)
    if escalate is not None and escalate is not False:
        ladder = check_ladder(escalate, request, engine, image=unwrapped(udf)[1].image)
        request = request._replace(ladder=tuple(machine.name for machine in ladder))
    return request if ramp is None or ramp is False else request._replace(stages=check_stages(ramp))


def with_measured(
    udf: Any, inputs: Any, engine: Engine, request: Request, constants: dict[str, Any]
) -> tuple[Any, Request]:
    """The inputs, and the request with as many side by side and in a batch as past runs say, where it asks for that."""
    if not request.n_processes_per_worker:
        from fanfold.submission.side_by_side import with_processes

        inputs, request = with_processes(udf, inputs, engine, request, constants)
        if request.instance is not None and request.n_processes_per_worker > 1:
            request = request._replace(ladder=(request.instance.name, *request.ladder))  # alone, first
    if request.target_s is not None:
        from fanfold.submission.batching import with_batch

        inputs, request = with_batch(udf, inputs, engine, request, constants)
    return inputs, request
