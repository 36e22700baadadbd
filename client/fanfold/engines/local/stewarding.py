"""On this machine: who goes on with a job, where more of it is to begin later."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from fanfold.core.fold import JobState
from fanfold.core.models import JobHeader
from fanfold.engines.feed import only_one
from fanfold.engines.steward import Start, Steward, steer
from fanfold.errors import FanfoldError
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


def start_steering(
    engine: LocalEngine, header: JobHeader, start: Start | None = None, at_end: Callable[[], None] = lambda: None
) -> threading.Thread:
    """Go on with a job in a thread, which ends with the job. `start` starts runs of it."""

    def go_on() -> None:
        try:
            with suppress(FanfoldError):  # its waiters meet the same at the store, and say so
                steer(steward_of(engine, start), engine.stores.log, header.id)
        finally:
            at_end()

    thread = threading.Thread(target=go_on, name="fanfold-steward", daemon=True)
    thread.start()
    return thread
