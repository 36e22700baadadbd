"""A Map Run: the items of an object in S3, in batches, each batch the input of an Express child.

https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from tests.cloud.states.interpreter import Execution, Stopped, limited, side_by_side
from tests.cloud.states.map_runs import MapRun
from tests.cloud.states.values import StateFailed, as_json, evaluate, fill

#: An Express child lives for five minutes.
EXPRESS_S = 300.0


def run_children(parent: Execution, state: Mapping[str, Any], given: Any, context: dict[str, Any]) -> list[Any]:
    """Run a child for every batch; what those that succeeded put out.

    Without a ResultWriter that is the state's result, which may hold 256 KiB whatever becomes of it: a `ResultPath` of
    null does not help (https://github.com/aws/aws-cdk/issues/24799). Fails with
    States.ExceedToleratedFailureThreshold when too many fail.
    """
    items = parent.surroundings.read_items(fill(state["ItemReader"]["Parameters"], given, context), parent)
    batches = list(_batches(items, state["ItemBatcher"], given, context))
    asked = int(evaluate(state["MaxConcurrencyPath"], given, context)) if "MaxConcurrencyPath" in state else 0
    run = parent.surroundings.map_runs.begin(
        parent.id,
        state.get("Label", "map"),
        max_concurrency=asked,
        here=parent.surroundings.children,
        total=len(batches),
        tolerated_percentage=state.get("ToleratedFailurePercentage", 0),
    )
    try:
        outputs = _children_of(run, parent, state, batches)
        parent.check()
        if run.has_too_many_failures:
            raise StateFailed("States.ExceedToleratedFailureThreshold", f"{run.failed} of {run.total} children failed")
    except StateFailed:
        run.end("FAILED")
        raise
    except Stopped:
        run.end("ABORTED")
        raise
    run.end("SUCCEEDED")
    return [output for of_child in outputs for output in of_child]


def _children_of(run: MapRun, parent: Execution, state: Mapping[str, Any], batches: list[Any]) -> list[list[Any]]:
    """What the children put out, each of which runs as soon as the Map Run has a place for it."""

    def run_child(batch: Any) -> list[Any]:
        child = Execution(
            f"{parent.id.replace(':execution:', ':express:')}/{state.get('Label', 'map')}:{uuid.uuid4()}",
            parent.surroundings,
            EXPRESS_S,
            stop=parent.stop,
            role=parent.role,
        )
        with run.place(parent.check):
            parent.check()
            child.began = time.monotonic()
            outcome, output = _outcome(child, state["ItemProcessor"], batch)
            parent.children.append((child, outcome))
            run.note(outcome)
        return output

    return side_by_side(run_child, batches, run.here)


def _outcome(child: Execution, body: Mapping[str, Any], batch: Any) -> tuple[str, list[Any]]:
    """How a child ended, and its output where it succeeded."""
    try:
        return "SUCCEEDED", [child.run(body, batch)]
    except StateFailed as failed:
        return f"FAILED {failed}", []
    except Stopped as stopped:
        return str(stopped), []


def _batches(items: list[Any], batcher: Mapping[str, Any], given: Any, context: Mapping[str, Any]) -> Iterator[Any]:
    """Inputs of children: as many items as the batcher allows, in number and in bytes of the whole input."""
    common = fill(batcher["BatchInput"], given, context)
    most = int(evaluate(batcher["MaxItemsPerBatchPath"], given, context))
    empty = len(as_json({"BatchInput": common, "Items": []}).encode())
    batch: list[Any] = []
    size = empty
    for item in items:
        more = len(as_json(item).encode()) + 1
        if batch and (len(batch) == most or size + more > batcher["MaxInputBytesPerBatch"]):
            yield limited({"BatchInput": common, "Items": batch})
            batch, size = [], empty
        batch.append(item)
        size += more
    if batch:
        yield limited({"BatchInput": common, "Items": batch})
