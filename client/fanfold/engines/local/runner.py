"""The runner: a process of its own that runs a dedicated job to its end; the one that started it may be gone."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from queue import SimpleQueue

from fanfold.core.models import JobHeader, RunnerRecord, RunRef, RunStatus, to_event
from fanfold.engines.feed import Heartbeat, serve
from fanfold.engines.local.engine import (
    LocalEngine,
    concurrency,
    keep_counts,
    make_feed,
    pool_folder,
    process_event,
    start_telling,
)
from fanfold.engines.local.stewarding import start_steering
from fanfold.execution.pool.pool import Pool
from fanfold.stores.local import LocalStores
from fanfold.stores.state import read_state

_CANCEL_S = 0.5


def main() -> None:
    """Run what is left of the job: `HOME JOB_ID STOP NAME` on the command line."""
    home, job_id, stop, name = sys.argv[1:5]
    run(Path(home), job_id, int(stop), name)


def run(home: Path, job_id: str, stop: int, name: str) -> None:
    """Run every run of the job below `stop` that is neither done nor running; return when all are.

    `name` is what the process that started this one has told of it. Raises `StoreError`.
    """
    stores = LocalStores.open(home)
    header = stores.log.get_job(job_id)
    heartbeat = Heartbeat(home / "running")
    folder = pool_folder(stores.scratch, heartbeat)
    started = RunnerRecord(name, socket.gethostname(), "started")
    stores.log.append([process_event(job_id, heartbeat), to_event(job_id, started)])
    pool = Pool(concurrency(header), folder)
    keeper, watch = keep_counts(stores, header), _Watch(stores, job_id, heartbeat)
    try:
        for runs in portions(stores, header, stop):
            feed = make_feed(header, runs, stores)
            serve(pool, feed, watch.is_cancelled)
            if feed.broken:
                raise feed.broken
    finally:
        pool.close()
        if keeper is not None:
            keeper.end()
            keeper.join()
        if header.notify:
            start_telling(stores, header)
        heartbeat.take_down()
        shutil.rmtree(folder, ignore_errors=True)


def portions(stores: LocalStores, header: JobHeader, stop: int) -> Iterator[Iterable[RunRef]]:
    """The runs to perform now; then, one after the other, what is begun later, until the job is done."""
    if not (header.stages or header.ladder):
        yield open_runs(stores, header, stop)
        return
    later: SimpleQueue[Iterable[RunRef] | None] = SimpleQueue()
    runs = list(open_runs(stores, header, stop))  # before anything begins that is not of these

    def begin(_: JobHeader, runs: Iterable[RunRef]) -> None:
        later.put(runs)

    start_steering(LocalEngine(stores.home), header, begin, at_end=lambda: later.put(None))
    yield runs
    while (begun := later.get()) is not None:
        yield begun


def open_runs(stores: LocalStores, header: JobHeader, stop: int) -> Iterator[RunRef]:
    """The runs below `stop` that are neither done nor running, each with the attempt that is next."""
    state = read_state(stores.log, header)
    return (
        RunRef(index, state.attempt_of(index), state.first_attempt_of(index), state.due_at(index) or 0.0)
        for index in state.indexes(RunStatus.QUEUED)
        if index < stop and index not in state.too_large
    )


class _Watch:
    """Looks about twice a second whether the job was cancelled, and shows that this process lives."""

    def __init__(self, stores: LocalStores, job_id: str, heartbeat: Heartbeat) -> None:
        self._stores, self._job_id, self._heartbeat = stores, job_id, heartbeat
        self._looked_at = 0.0

    def is_cancelled(self) -> bool:
        """Whether the job is known to be cancelled."""
        if time.monotonic() - self._looked_at <= _CANCEL_S:
            return False
        self._looked_at = time.monotonic()
        self._heartbeat.renew()
        if not self._stores.home.exists():
            os._exit(1)  # its home was removed (a test's, a container's): there is nothing left to tell anyone
        return self._stores.log.get_job(self._job_id).cancelled_at is not None
