"""Map Runs within a ramp: one begins narrow, and more of its children go on side by side as the job's runs end.

`MaxConcurrency` counts children, each with so many runs at once. It is raised while the Map Run goes on, so that what
runs is never stopped and started again. What a limit cannot do is wait for a judgement (docs/decisions/0026): the
stages of a ramp are executions of their own, of which each that is a Map Run begins so.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Sequence

from fanfold.contract.cloud import DISTRIBUTED
from fanfold.core.fold import JobState
from fanfold.core.models import EventKind, JobHeader, RunRef, StageRecord, records, to_event
from fanfold.engines.aws.capacity import Portions
from fanfold.engines.aws.dispatch import Dispatch
from fanfold.engines.aws.paths.base import LaunchContext
from fanfold.engines.aws.paths.executions import Executions
from fanfold.engines.aws.reconcile import dispatches_of
from fanfold.engines.stages import RAMP, children_allowed, next_width, width_of
from fanfold.errors import ConfigurationError, SignInNeeded, StoreError, StoreUnavailable
from fanfold.stores.state import read_state

_log = logging.getLogger(__name__)

#: A call of Step Functions that is throttled is given up after so long, for it is made in a turn; and made again then.
_PATIENCE_S, _AGAIN_S = 5.0, 5.0
#: And where somebody has taken the permission away since.
_NOT_ALLOWED_S = 300.0
#: How often to look whether a Map Run was begun anew, as Step Functions does where it could not read the manifest.
_ANEW_S = 60.0
#: How often the shepherd looks though nobody has told it of a run's end.
_LOOK_S = 60.0


class MapRuns:
    """Widens the Map Runs of a deployment's ramps. One thread at a time, in the job's turn."""

    def __init__(self, context: LaunchContext, executions: Executions) -> None:
        self._context = context
        self._executions = executions
        #: When to try again what could not be done, and to look for a Map Run that was begun anew; by dispatch.
        self._again_at: dict[str, float] = {}
        self._anew_at: dict[str, float] = {}

    def begin(self, header: JobHeader, dispatch: Dispatch, runs: Sequence[RunRef], full: Portions) -> int:
        """How many children a dispatch starts with: within a ramp as many as runs are over, recorded before it starts.

        All at once where nobody could widen it later: in an older deployment, or without the permission.
        """
        if not header.stages or full.children < 2 or any(run.attempt for run in runs):
            return full.children
        state = read_state(self._context.stores.log, header, consistent=True)
        told = {record.name: record for record in records(state.job_events(EventKind.STAGE), StageRecord)}
        if dispatch.name in told:  # it was cut off, and may be there
            return told[dispatch.name].children
        ramp = told.get(RAMP)
        if ramp is None or not ramp.judged:
            return full.children  # a first stage, or runs that were chosen to be run at once
        children = children_allowed(state.runs_over, full.runs_per_child, full.children)
        if children == full.children or not self._may_widen():
            return full.children
        record = StageRecord(dispatch.name, ramp.stop, 0, children, full.children, full.runs_per_child)
        self._context.stores.log.append([to_event(header.id, record)])
        _log.info("job %s: %s begins with %d of %d children", header.id, dispatch.name, children, full.children)
        return children

    def is_due(self, state: JobState) -> bool:
        """Whether a Map Run may be wider than it is, and it is time to see to that."""
        width = width_of(state)
        if width is None:
            return False
        if next_width(state, width) is not None:
            return time.monotonic() >= self._again_at.get(width.name, 0.0)
        return width.children == width.most and self._is_another(state, width)

    def widen(self, state: JobState) -> bool:
        """Raise the limit of the Map Run, then record that: what was not recorded is done again, and is the same."""
        width = width_of(state)
        if width is None:
            return False
        children = next_width(state, width) or width.children
        self._again_at[width.name] = time.monotonic() + _AGAIN_S
        try:
            with self._context.account.within(_PATIENCE_S):
                map_run = self._running(state, width)
                if map_run is None or not self._executions.limit_map_run(map_run, children):
                    return self._note_end(state, width)
        except SignInNeeded:
            raise
        except (StoreError, ConfigurationError) as error:  # it goes on as it is, and is tried again
            if isinstance(error, ConfigurationError):
                self._again_at[width.name] += _NOT_ALLOWED_S
            _log.warning("job %s: not widened to %d children: %s", state.header.id, children, error.message)
            return False
        self._record(state, width._replace(children=children, map_run=_id_of(map_run)))
        self._again_at.pop(width.name)
        return True

    def wait_s(self, state: JobState) -> float | None:
        """In how many seconds to look again, if nobody tells of a run's end before."""
        width = width_of(state)
        if width is None or width.children == width.most:
            return None
        if next_width(state, width) is None:
            return _LOOK_S
        return max(_AGAIN_S, self._again_at.get(width.name, 0.0) - time.monotonic())

    def _note_end(self, state: JobState, width: StageRecord) -> bool:
        """Record that there is nothing more to widen, where nothing more comes of the dispatch; whether it is so."""
        dispatch = next((one for one in dispatches_of(state) if one.name == width.name), None)
        age_s = 0.0 if dispatch is None else self._context.account.clock.now() - dispatch.at
        if self._executions.fate(DISTRIBUTED, self._name(state, width), age_s) is None:
            return False  # its Map Run is about to begin, or its end to be seen
        self._record(state, width._replace(children=width.most))
        return True

    def _record(self, state: JobState, width: StageRecord) -> None:
        self._context.stores.log.append([to_event(state.header.id, width)])
        _log.info("job %s: %s has %d of %d children", state.header.id, width.name, width.children, width.most)

    def _may_widen(self) -> bool:
        """Whether this deployment does, and this caller may: IAM is asked before there is anything to widen."""
        if not self._context.descriptor.get("widens_map_runs"):
            return False
        none = f"{self._executions.map_runs_arn(DISTRIBUTED)}:{uuid.UUID(int=0)}"
        try:
            with self._context.account.within(_PATIENCE_S):
                self._executions.limit_map_run(none, 1)
        except StoreUnavailable:  # throttled: it got past IAM, or does so later
            return True
        except (StoreError, ConfigurationError) as error:
            _log.info("not allowed to widen Map Runs: %s", error.message)
            return False
        return True

    def _running(self, state: JobState, width: StageRecord) -> str | None:
        return self._executions.map_run(DISTRIBUTED, self._name(state, width))

    @staticmethod
    def _name(state: JobState, width: StageRecord) -> str:
        return f"{state.header.id}-{width.name}"

    def _is_another(self, state: JobState, width: StageRecord) -> bool:
        """Whether the Map Run that goes on is another than the one that was widened."""
        now = time.monotonic()
        if now < self._anew_at.setdefault(width.name, now + _ANEW_S):
            return False
        self._anew_at[width.name] = now + _ANEW_S
        try:
            with self._context.account.within(_PATIENCE_S):
                map_run = self._running(state, width)
        except (StoreError, ConfigurationError):
            return False
        return map_run is not None and _id_of(map_run) != width.map_run


def _id_of(map_run: str) -> str:
    return map_run.rpartition(":")[2]
