"""What a job goes on with by itself: the next stage of its ramp, and larger machines for what was too large.

All who look after a job do it by this: a client that waits, the deployment's shepherd; on this machine the process that
runs the job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Protocol

from fanfold.core.fold import JobState
from fanfold.core.models import JobHeader, RunRef, StageRecord, to_event
from fanfold.engines import stages
from fanfold.engines.base import Engine, stop_job
from fanfold.engines.larger import Larger
from fanfold.errors import JobNotFound
from fanfold.stores.protocols import EventLog
from fanfold.stores.state import read_on, read_state

#: A job of which nothing has begun may still be its submitter's for so long.
SUBMITTER_S = 180.0
_NEWS_S = 0.25

#: Gives the job as it stands to one at a time, and None to the others.
Turn = Callable[[JobHeader], AbstractContextManager[JobState | None]]
Start = Callable[[JobHeader, Iterable[RunRef]], None]


class Widener(Protocol):
    """Has more of a stage run side by side, once it has begun, where an engine can."""

    def is_due(self, state: JobState) -> bool:
        """Whether a stage may be wider than it is, and it is time to see to that."""

    def widen(self, state: JobState) -> bool:
        """Widen the stage; False where that cannot be now."""

    def wait_s(self, state: JobState) -> float | None:
        """In how many seconds to look again whether it is due, if nobody tells before; None for never."""


def has_more(header: JobHeader) -> bool:
    """Whether a job has anything to go on with by itself."""
    return bool(header.stages or header.ladder)


class Steward:
    """Goes on with one job. One thread at a time; of several processes, the one whose `turn` it is.

    `start` starts runs of the job itself; a larger job is started by the engine.
    """

    def __init__(self, engine: Engine, turn: Turn, start: Start | None = None, widener: Widener | None = None) -> None:
        self._engine = engine
        self._turn = turn
        self._start = start or engine.start
        self._widener = widener
        self._larger = Larger(engine, engine.reconcile)

    def advance(self, state: JobState) -> bool:
        """Do what is due; whether there was anything."""
        adopted = bool(state.too_large) and self._larger.adopt(state)
        if state.done or not (_may_climb(state) or self._larger.due(state) or self._may_widen(state)):
            return adopted
        with self._turn(state.header) as fresh:
            if fresh is None:
                return adopted
            due = self._larger.due(fresh)
            for rung, indexes in due.items():
                self._larger.begin(fresh, rung, indexes)
            climbed = _may_climb(fresh) and climb(self._engine, fresh, self._start)
            widened = not climbed and self._widen(fresh)
            return climbed or widened or bool(due) or adopted

    def wait_s(self, state: JobState) -> float | None:
        """In how many seconds there is something to do of which nobody tells; None where somebody will."""
        if _may_climb(state):
            return 0.0  # it was another's turn
        waits_s = [self._larger.wait_s(state) if state.too_large else None]
        if self._widener is not None and state.header.cancelled_at is None:
            waits_s.append(self._widener.wait_s(state))
        return min((wait_s for wait_s in waits_s if wait_s is not None), default=None)

    def _may_widen(self, state: JobState) -> bool:
        """Whether it is worth a turn: what is to be done is decided there, by what is known then."""
        if self._widener is None or state.header.cancelled_at is not None:
            return False
        return bool(stages.reasons_to_end(state)) or self._widener.is_due(state)

    def _widen(self, state: JobState) -> bool:
        """Have more of the stage run side by side, or stop where too much of it has failed; whether there was such."""
        if self._widener is None or state.header.cancelled_at is not None:
            return False
        if reasons := stages.reasons_to_end(state):
            _stop(self._engine, state, state.runs_over, reasons)
            return True
        return self._widener.is_due(state) and self._widener.widen(state)


def climb(engine: Engine, state: JobState, start: Start) -> bool:
    """Begin the next stage that has anything to start, or stop where the last one speaks against it.

    Recorded before it is done: what was let begin and has not been started is started by who looks after the job.
    """
    header, log, stop = state.header, engine.stores.log, stages.released(state)
    before = stop
    while stop < header.count and stages.has_ended(state, stop):
        if reasons := stages.reasons_to_stop(state, stop) if stop else []:
            _stop(engine, state, stop, reasons)
            return True
        begin, stop = stop, stages.next_stop(header, stop)
        log.append([to_event(header.id, StageRecord(stages.RAMP, stop, judged=begin))])
        if runs := stages.open_runs(state, begin, stop):
            start(header, runs)
            break
    return stop > before


def _stop(engine: Engine, state: JobState, stop: int, reasons: list[str]) -> None:
    """Stop the job's ramp after so many runs. What is done is kept; what runs is told, and nothing more begins."""
    stop_job(engine.stores.log, state.header.id, stages.stop_reason(state, stop, reasons), name=stages.RAMP)
    engine.cancel(state.header)


def begin_ramp(engine: Engine, header: JobHeader) -> None:
    """Start the first stage of a job that has just been written down."""
    climb(engine, read_state(engine.stores.log, header, consistent=True), engine.start)


def start_again(engine: Engine, header: JobHeader, runs: Iterable[RunRef]) -> None:
    """Start runs that were chosen to be run at once, whatever the ramp had come to, and go on with the job."""
    if header.stages:
        engine.stores.log.append([to_event(header.id, StageRecord(stages.RAMP, header.count))])
    engine.start(header, runs)
    engine.follow(header)


def _may_climb(state: JobState) -> bool:
    header, stop = state.header, stages.released(state)
    if header.cancelled_at is not None or stop >= header.count or not stages.has_ended(state, stop):
        return False
    return stop > 0 or state.now() - header.created_at > SUBMITTER_S


def steer(steward: Steward, log: EventLog, job_id: str) -> None:
    """Go on with a job until it is done. Raises `StoreError`."""
    state, cursor = None, None
    while True:
        try:
            header = log.get_job(job_id)
        except JobNotFound:  # it has been removed
            return
        if state is None:
            state = JobState(header)
        state.header = header
        cursor = read_on(log, state, cursor)
        if state.done:
            return
        if not steward.advance(state):
            log.wait_for_news(_NEWS_S)
