"""Up to about a thousand runs: Express executions of at most 40 each, which the client starts by itself."""

from __future__ import annotations

from collections.abc import Sequence

from fanfold.contract.cloud import EXPRESS
from fanfold.contract.payloads import RunItem
from fanfold.core.models import JobHeader, RunRef
from fanfold.engines.aws.dispatch import REFUSED, Dispatch, batches, express_input, run_items, runs_of_item
from fanfold.engines.aws.paths.base import (
    CLOCKS_S,
    CUT_OFF,
    STARTING_S,
    Fate,
    LaunchContext,
    execution_name,
    refusal,
    start_is_known_within_s,
)
from fanfold.engines.aws.paths.executions import Executions
from fanfold.errors import ConfigurationError, StoreError

#: An Express execution lives for 300 s, and is listed nowhere.
_LIVES_S = 300.0 + 60.0 + CLOCKS_S


class ExpressPath:
    """Starts Express executions. Nobody can look at one, nor stop it: it is over when its time is."""

    def __init__(self, context: LaunchContext, executions: Executions) -> None:
        self._context = context
        self._executions = executions

    def start(self, header: JobHeader, dispatch: Dispatch, runs: Sequence[RunRef]) -> None:
        """Start an execution for every 40 runs, some side by side."""
        job, name = self._context.job(header), execution_name(header, dispatch)
        items = run_items(
            header,
            runs,
            objects=self._context.stores.objects,
            functions=self._context.functions(header),
        )

        def start_one(numbered: tuple[int, list[RunItem]]) -> StoreError | ConfigurationError | None:
            number, batch = numbered
            try:
                self._executions.start(EXPRESS, f"{name}-{number}", express_input(job, batch))
            except (StoreError, ConfigurationError) as error:  # each has an end of its own: some may have been started
                return error
            return None

        given = list(enumerate(batches(items)))
        ends = list(zip(self._context.account.each(start_one, given), (batch for _, batch in given), strict=True))
        failures = [error for error, _ in ends if error is not None]
        if not failures:
            return
        refused = [batch for error, batch in ends if error is not None and error.refused]
        told = min(failures, key=lambda error: error.refused)  # of what nobody knows whether it has been started first
        if len(refused) < len(ends):
            told.refused_runs = [run for batch in refused for item in batch for run in runs_of_item(item)]
        raise told

    def stop(self, header: JobHeader, dispatch: Dispatch) -> None:
        """Nothing: its runs see the job's flag within seconds."""

    def fate(self, header: JobHeader, dispatch: Dispatch, age_s: float) -> Fate | None:  # noqa: ARG002
        """Why nothing more comes of it, or None while something may."""
        if dispatch.state == "starting":
            return None if age_s < STARTING_S else CUT_OFF
        if dispatch.state == REFUSED:
            return refusal(dispatch, age_s)
        return Fate("the execution ended without reporting this run") if age_s > _LIVES_S else None

    def lasts_s(self, dispatch: Dispatch) -> float:
        """Until its executions are over, or its client has long been gone."""
        return start_is_known_within_s(dispatch) or _LIVES_S
