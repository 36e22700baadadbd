"""The runner: a process of its own that runs a dedicated job to its end; the one that started it may be gone."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from fanfold.core.models import JobHeader, RunnerRecord, RunRef, RunStatus, to_event
from fanfold.engines.feed import Heartbeat, serve
from fanfold.engines.local.engine import concurrency, keep_counts, make_feed, pool_folder, process_event, start_telling
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
    feed = make_feed(header, open_runs(stores, header, stop), stores)
    keeper = keep_counts(stores, header)
    try:
        serve(pool, feed, _Watch(stores, job_id, heartbeat).is_cancelled)
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


def open_runs(stores: LocalStores, header: JobHeader, stop: int) -> Iterator[RunRef]:
    """The runs below `stop` that are neither done nor running, each with the attempt that is next."""
    state = read_state(stores.log, header)
    return (
        RunRef(index, state.attempt_of(index), state.first_attempt_of(index), state.due_at(index) or 0.0)
        for index in state.indexes(RunStatus.QUEUED)
        if index < stop
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
