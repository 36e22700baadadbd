"""A pool with a thread of its own, for jobs that run while the caller goes on."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import threading
import time
from pathlib import Path

from fanfold.engines.feed import JobFeed
from fanfold.engines.heartbeat import Sign, is_alive
from fanfold.errors import FanfoldError
from fanfold.execution.pool.pool import Pool
from fanfold.stores import disk
from fanfold.stores.local import LocalStores

#: Seconds between looks for cancel flags that another process has set.
_CANCEL_S = 0.5
#: Waiting at the end of the process for less than this is not worth a word.
_QUIET_S = 0.3
#: The end of work is waited for this long; a process that does not die by then is stuck in the kernel.
_ENDING_S = 5.0


class PoolDriver:
    """Serves feeds in a background thread until the process ends, which waits for what is still running."""

    def __init__(self, size: int, stores: LocalStores, signs: Path) -> None:
        self.sign = Sign(signs)
        self._stores = stores
        remove_abandoned(stores.scratch, signs)
        self._folder = pool_folder(stores.scratch, self.sign)
        self._pool = Pool(size, self._folder, idle=size)
        self._new: list[JobFeed] = []
        self._serving: list[JobFeed] = []
        self._lock = threading.Lock()
        self._looked_at = 0.0
        self._stopping = False
        #: What made going on with a job impossible, by job id.
        self.failures: dict[str, FanfoldError] = {}
        self._pool.get_ready()
        self._thread = threading.Thread(target=self._run, name="fanfold-pool", daemon=True)
        self._thread.start()
        atexit.register(self._at_exit)

    @property
    def alive(self) -> bool:
        """Whether it can serve another job: in a forked child it cannot, nor after it was closed or has failed."""
        return self.sign.pid == os.getpid() and self._thread.is_alive() and not self._stopping

    def drive(self, feed: JobFeed) -> None:
        """Serve one more job."""
        with self._lock:
            self._new.append(feed)
        self._pool.wake()

    def end_cancelled(self, job_id: str) -> None:
        """Look for cancel flags now, not in half a second, and return when nothing of that job runs here."""
        deadline = time.monotonic() + _ENDING_S
        while self.alive and self._drives(job_id) and time.monotonic() < deadline:
            self._looked_at = 0.0
            self._pool.wake()
            time.sleep(0.005)

    def close(self) -> None:
        """End all work at once. What has not finished is lost."""
        atexit.unregister(self._at_exit)
        self._stop()

    def _drives(self, job_id: str) -> bool:
        with self._lock:
            return any(feed.header.id == job_id for feed in [*self._new, *self._serving])

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._turn()
        except (FanfoldError, OSError) as error:
            self._give_up(error)
        finally:
            # Whatever happened: workers end, and nobody waits for them any more.
            self._stopping = True
            try:
                self._pool.close()
                shutil.rmtree(self._folder, ignore_errors=True)
            finally:
                self.sign.take_down()

    def _turn(self) -> None:
        with self._lock:
            for feed in self._new:
                self._pool.add(feed)
            self._serving += self._new
            self._new.clear()
        self._pool.step()
        self._end_broken()
        still = [feed for feed in self._serving if self._pool.serves(feed)]
        if len(still) < len(self._serving):  # those who wait for it may be gone, and it is to outlive a power cut
            self._stores.sync()
        self._serving = still
        self._end_cancelled()

    def _end_broken(self) -> None:
        for feed in self._serving:
            if feed.broken and feed.header.id not in self.failures:
                self.failures[feed.header.id] = feed.broken
                self._pool.cancel(feed)

    def _end_cancelled(self) -> None:
        now = time.monotonic()
        if not self._serving or now - self._looked_at < _CANCEL_S:
            return
        self._looked_at = now
        self.sign.renew()
        for feed in self._serving:
            if self._stores.log.get_job(feed.header.id).cancelled_at is not None:
                self._pool.cancel(feed)

    def _give_up(self, error: FanfoldError | OSError) -> None:
        """The pool itself cannot go on (no room, no processes left): all its jobs are told."""
        told = error if isinstance(error, FanfoldError) else disk.told(error, self._folder)
        with self._lock:
            self.failures.update({feed.header.id: told for feed in [*self._serving, *self._new]})
            self._serving, self._new = [], []

    def _at_exit(self) -> None:
        """Nothing is dropped silently: the process ends when its runs have, or have been cancelled by a Ctrl-C."""
        if self.sign.pid != os.getpid():
            return
        interrupted = _ends_by_interrupt()
        try:
            if not interrupted:
                self._wait_for_the_rest()
        except KeyboardInterrupt:
            interrupted = True
        if interrupted:
            self._cancel_the_rest()
        self._stop()

    def _cancel_the_rest(self) -> None:
        with self._lock:
            job_ids = [feed.header.id for feed in [*self._serving, *self._new]]
        for job_id in job_ids:
            self._stores.log.request_cancel(job_id, time.time())
        for job_id in job_ids:
            self.end_cancelled(job_id)
            self._say(f'job {job_id} is cancelled; `fanfold.get_job("{job_id}").retry()` runs the rest.')

    def _stop(self) -> None:
        self._stopping = True
        self._pool.wake()
        self._thread.join(timeout=5)

    def _wait_for_the_rest(self) -> None:
        since, said, pause_s = time.monotonic(), False, 0.001  # what the caller has just collected is over in a moment
        while self._thread.is_alive() and (self._serving or self._new):
            if not said and time.monotonic() - since > _QUIET_S:
                said = True
                jobs = ", ".join(feed.header.id for feed in [*self._serving, *self._new])
                self._say(f"waiting for {jobs} to finish before this process ends; Ctrl-C cancels instead.")
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 0.02)

    @staticmethod
    def _say(text: str) -> None:
        sys.stderr.write(f"fanfold: {text}\n")


def _ends_by_interrupt() -> bool:
    """Whether this process ends because of a Ctrl-C that nobody caught. At a prompt one may be long past."""
    return (
        getattr(sys, "last_type", None) is KeyboardInterrupt and not hasattr(sys, "ps1") and not sys.flags.interactive
    )


def pool_folder(scratch: Path, sign: Sign) -> Path:
    """Where the pool of the process with that sign keeps what passes between its processes."""
    return scratch / f"pool-{sign.name}"


def remove_abandoned(scratch: Path, signs: Path) -> None:
    """Remove the folders of pools whose process was killed."""
    for folder in scratch.glob("pool-*"):
        if not is_alive(signs, folder.name.removeprefix("pool-")):
            shutil.rmtree(folder, ignore_errors=True)
