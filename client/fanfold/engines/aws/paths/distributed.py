"""Any number of runs: one Standard execution, whose Distributed Map starts them as fast as they may run."""

from __future__ import annotations

import json
from collections.abc import Sequence

from fanfold.contract.cloud import DISTRIBUTED
from fanfold.contract.payloads import DistributedInput
from fanfold.core.models import JobHeader, RunRef
from fanfold.engines.aws.capacity import Portions, portions, with_spare
from fanfold.engines.aws.dispatch import Dispatch, lines, run_items
from fanfold.engines.aws.paths.base import (
    STANDARD_LOOK_S,
    Fate,
    LaunchContext,
    execution_name,
    start_is_known_within_s,
)
from fanfold.engines.aws.paths.executions import Executions
from fanfold.stores.keys import work_key


class DistributedPath:
    """Writes the runs down as a manifest in the bucket, and starts an execution over it."""

    def __init__(self, context: LaunchContext, executions: Executions) -> None:
        self._context = context
        self._executions = executions

    def start(self, header: JobHeader, dispatch: Dispatch, runs: Sequence[RunRef]) -> None:
        """Put the manifest, then start the execution."""
        stores, name = self._context.stores, execution_name(header, dispatch)
        functions = self._context.functions(header)
        key, path = work_key(header.id, dispatch.name), stores.scratch / f"{name}.jsonl"
        with path.open("wb") as file:
            file.writelines(lines(run_items(header, runs, objects=stores.objects, functions=functions)))
        stores.objects.put_file(key, path)
        may_run, asked = self._context.capacity.runs(), _asked_at_once(header)
        at_once = with_spare(may_run) if asked is None or asked > may_run else asked
        full = portions(at_once, header.batch_size)
        given: DistributedInput = {
            "job": self._context.job(header),
            "manifest_key": key,
            "max_children": self._begin_with(header, dispatch, runs, full),
            "runs_per_child": full.runs_per_child,
        }
        self._executions.start(DISTRIBUTED, name, json.dumps(given, separators=(",", ":")))

    def _begin_with(self, header: JobHeader, dispatch: Dispatch, runs: Sequence[RunRef], full: Portions) -> int:
        """How many children run at once to begin with: within a ramp few, and more by and by."""
        if not header.stages:
            return full.children
        from fanfold.engines.aws.map_runs import MapRuns

        return MapRuns(self._context, self._executions).begin(header, dispatch, runs, full)

    def stop(self, header: JobHeader, dispatch: Dispatch) -> None:
        """Stop the execution: it would start runs that have been cancelled."""
        self._executions.stop(DISTRIBUTED, execution_name(header, dispatch), "The job was cancelled.")

    def fate(self, header: JobHeader, dispatch: Dispatch, age_s: float) -> Fate | None:
        """Why nothing more comes of it, or None while something may."""
        return self._executions.fate(DISTRIBUTED, execution_name(header, dispatch), age_s, dispatch)

    def lasts_s(self, dispatch: Dispatch) -> float:
        """Until its client has long been gone; else its execution tells of its end."""
        return start_is_known_within_s(dispatch) or STANDARD_LOOK_S


def _asked_at_once(header: JobHeader) -> int | None:
    """How much the job wants side by side; with a rate, as much as that can keep busy."""
    if header.max_workers is not None or not header.rate:
        return header.max_workers
    from fanfold.core.rates import functions_at_once

    return functions_at_once(header.rate)
