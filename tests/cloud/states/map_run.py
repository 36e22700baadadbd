"""A Map Run: the items of an object in S3, in batches, each batch the input of an Express child.

https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from tests.cloud.states.interpreter import Execution, Stopped, limited, side_by_side
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
    here = parent.surroundings.children
    failed = 0

    def run_child(batch: Any) -> list[Any]:
        nonlocal failed
        parent.check()
        child = Execution(
            f"{parent.id.replace(':execution:', ':express:')}/{state.get('Label', 'map')}:{uuid.uuid4()}",
            parent.surroundings,
            EXPRESS_S,
            stop=parent.stop,
            role=parent.role,
        )
        outcome, output = _outcome(child, state["ItemProcessor"], batch)
        parent.children.append((child, outcome))
        failed += outcome != "SUCCEEDED"
        return output

    outputs = side_by_side(run_child, batches, min(asked, here) if asked else here)
    parent.check()
    if failed * 100 > state.get("ToleratedFailurePercentage", 0) * len(batches):
        raise StateFailed("States.ExceedToleratedFailureThreshold", f"{failed} of {len(batches)} children failed")
    return [output for of_child in outputs for output in of_child]


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
