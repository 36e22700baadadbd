"""On this machine: who goes on with a job, where more of it is to begin later, or another job performs some of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fanfold.core.fold import JobState
from fanfold.core.models import Event, EventKind, JobHeader, RunError, RunRef, RunStatus
from fanfold.engines.base import stop_job
from fanfold.engines.feed import only_one
from fanfold.engines.steward import Start, Steward, steer
from fanfold.errors import FanfoldError, StoreError
from fanfold.stores.state import read_state

if TYPE_CHECKING:
    from fanfold.engines.local.engine import LocalEngine


def steward_of(engine: LocalEngine, start: Start | None = None) -> Steward:
    """What goes on with a job of this home, together with whatever other process does."""

    @contextmanager
    def turn(header: JobHeader) -> Iterator[JobState | None]:
        with only_one(engine.heartbeats, f"{header.id}-steward") as mine:
            log = engine.stores.log
            yield read_state(log, log.get_job(header.id)) if mine else None

    return Steward(engine, turn, start)


#: What the store has refused is tried again so often, after so long: nothing of it was done, or all.
_TRIES, _PAUSE_S = 3, 1.0


def start_steering(
    engine: LocalEngine,
    header: JobHeader,
    start: Start | None = None,
    *,
    at_end: Callable[[], None] = lambda: None,
    on_failure: Callable[[BaseException], None] = lambda _: None,
) -> threading.Thread:
    """Go on with a job in a thread, which ends with the job. `start` starts runs of it.

    `on_failure` is told what has ended it before: nothing more of the job begins by itself then.
    """

    def go_on() -> None:
        try:
            for left in reversed(range(_TRIES)):
                try:
                    return steer(steward_of(engine, start), engine.stores.log, header.id)
                except StoreError:
                    if not left:
                        raise
                time.sleep(_PAUSE_S)
        except BaseException as error:
            on_failure(error)
            if not isinstance(error, FanfoldError):
                raise
        finally:
            at_end()

    thread = threading.Thread(target=go_on, name="fanfold-steward", daemon=True)
    thread.start()
    return thread


def start_following(engine: LocalEngine, header: JobHeader) -> None:
    """Take over what earlier jobs perform for this one, in a thread that this process waits for at its end."""
    from fanfold.engines.following import Following  # most jobs have nobody to follow

    def look_after(earlier: JobHeader, state: JobState) -> Collection[int]:
        engine.reconcile(earlier, state)  # where whatever ran it is gone, its runs are lost, or run by a process anew
        return ()

    following = Following(engine.stores, read_state(engine.stores.log, header), look_after)

    def is_cancelled() -> bool:
        return engine.stores.log.get_job(header.id).cancelled_at is not None

    def follow() -> None:
        unstarted: list[RunRef] = []
        try:
            for left in following.left_runs(is_cancelled):
                unstarted = left
                engine.start(header, left)
                unstarted = []
            if header.notify:
                from fanfold.engines.local.engine import start_telling

                start_telling(engine.stores, header)
        except BaseException as error:
            lose(engine, header, [*unstarted, *following.waiting], error)
            if not isinstance(error, FanfoldError):
                raise

    threading.Thread(target=follow, name="fanfold-following").start()


# How a thread's end by an error is told to those who wait for its job: here, and in any other process.


def as_failure(error: BaseException) -> FanfoldError:
    """What those are told who wait for a thread of this process that an error has ended."""
    if isinstance(error, FanfoldError):
        return error
    failure = FanfoldError(
        f"What performs jobs in this process has ended by an error of its own: {type(error).__name__}: {error}.",
        next_step="`job.retry()` runs what is missing; such an error is a fault of Fanfold's, so do report it.",
    )
    failure.__cause__ = error
    return failure


def lose(engine: LocalEngine, header: JobHeader, runs: Iterable[RunRef], error: BaseException) -> None:
    """Nobody performs these runs any more."""
    failure = as_failure(error)
    why = RunError("Lost", failure.message, next_step=failure.next_step)
    lost = [Event.new(header.id, *run[:2], EventKind.FINISHED, status=RunStatus.LOST, error=why) for run in runs]
    try:
        engine.stores.log.append(lost)
    except FanfoldError:
        engine.note_failure(header.id, failure)


def stop(engine: LocalEngine, header: JobHeader, error: BaseException) -> None:
    """Nobody begins more of a job any more: it ends."""
    failure = as_failure(error)
    try:
        stop_job(engine.stores.log, header.id, failure.message)
        engine.cancel(header)
    except FanfoldError:
        engine.note_failure(header.id, failure)
