"""How many short inputs go into one invocation, for it to take about as long as is asked for."""

from __future__ import annotations

import sys
from typing import Any

from fanfold.contract.layout import LARGEST_BATCH
from fanfold.core.options import Request
from fanfold.engines.base import Engine
from fanfold.job.summary import median
from fanfold.submission.plan import observe_past_runs
from fanfold.submission.prepare import Draft


def with_batch(
    udf: Any, inputs: Any, engine: Engine, request: Request, constants: dict[str, Any]
) -> tuple[Any, Request]:
    """The inputs, and the request with the batch that makes an invocation take about `target_s`.

    No larger than leaves an invocation for each function that may run at once. Where no run of the UDF is known, or
    starting a run costs nothing, each input stays alone. Raises `CaptureError`.
    """
    described = engine.describe()
    if not described.costs_money or request.instance is not None or request.target_s is None:
        return inputs, request
    draft = Draft(udf, engine, constants)
    observed = observe_past_runs(engine, draft)
    if observed is None or not observed.durations_s:
        sys.stderr.write(
            f"fanfold: no run of {draft.name} is known yet, so target_s puts each input into an invocation of its own;"
            " batch_size says how many go together.\n"
        )
        return inputs, request
    inputs = list(inputs) if hasattr(inputs, "__next__") else inputs  # a generator can be read only once
    fitting = int(request.target_s / max(median(observed.durations_s), 0.001))
    spread = -(-len(inputs) // max(1, described.ask_concurrency())) if hasattr(inputs, "__len__") else fitting
    return inputs, request._replace(batch_size=max(1, min(fitting, spread, LARGEST_BATCH)))
