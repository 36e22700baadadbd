"""The local engine: worker processes on this machine, no account anywhere.

A realtime job runs in worker processes of the caller's own process tree. A dedicated job (`instance_type=...`) runs in
a process of its own that outlives the caller (`runner.py`).
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from fanfold.contract.instances import INSTANCE_TYPES
from fanfold.contract.layout import bundle_key
from fanfold.contract.limits import REALTIME_MEMORY_MIB, REALTIME_TIMEOUT_S
from fanfold.core.cores import usable_cores
from fanfold.core.fold import JobState
from fanfold.core.forks import Locked
from fanfold.core.job_records import ProcessRecord, RunnerRecord, records, to_event
from fanfold.core.models import Event, EventKind, JobHeader, RunError, RunRef, RunStatus
from fanfold.engines import heartbeat as liveness
from fanfold.engines.base import Description
from fanfold.engines.feed import JobFeed
from fanfold.engines.local.driver import PoolDriver
from fanfold.errors import ConfigurationError
from fanfold.execution.calls import Assignment
from fanfold.stores.local import LocalStores
from fanfold.stores.state import read_state

#: A job whose submitter is between "put" and "started" has no process yet; after this long, it never will.
_STARTING_S = 30.0
#: A process of another machine that has not shown itself for so long is gone, or its machine is asleep; sooner after a
#: cancel, which it would have seen within half a second.
_SEEN_S, _SEEN_AFTER_CANCEL_S = 60.0, 10.0


class LocalEngine(Locked):
    """Runs jobs on this machine. One for each home directory and process: see `engine_for`."""

    def __init__(self, home: Path) -> None:
        super().__init__()
        self.home = home
        self.stores = LocalStores.open(home)
        self._signs = home / "running"
        self._driver: PoolDriver | None = None
        #: Realtime jobs too are run by a process that outlives this one, as a command that does not wait wants it.
        self.detached = False
        #: Jobs that this process has given up, and has said so.
        self._given_up: set[str] = set()

    def start(self, header: JobHeader, runs: Iterable[RunRef]) -> None:
        """Start these runs: here for realtime, in a process of its own for a dedicated job."""
        refuse_frozen()
        if header.instance_type is not None or self.detached:
            if stop := max((run.index for run in runs), default=-1) + 1:
                start_runner(self.stores, header, stop)
            return
        driver = self._ready_driver()
        self._given_up.discard(header.id)
        self.stores.log.append([process_event(header.id, driver.sign)])
        driver.drive(JobFeed(header, runs, stores=self.stores, assignment=assignment(header, self.stores)))
        self.stores.objects.sync_soon()  # the inputs are on the disk by the time that the first runs have ended

    def get_ready(self, *, dedicated: bool) -> None:
        """Start a worker process, which takes as long to come up as a job's inputs take to be checked."""
        refuse_frozen()
        if not dedicated and not self.detached:
            self._ready_driver()

    def cancel(self, header: JobHeader) -> None:
        """End what runs of this job in this process; others see its cancel flag within half a second."""
        if self._driver is not None:
            self._driver.end_cancelled(header.id)

    def reconcile(self, header: JobHeader, state: JobState) -> bool:
        """Where whatever ran the job is gone: a dedicated job goes on in a new process, a realtime one is lost.

        A lost realtime run is final: the caller's next `submit` or `job.retry()` runs what is missing.
        """
        self._raise_failure(header)
        if state.done or self._is_attended(header, state) or not os.access(self.home, os.W_OK):
            return False
        with liveness.only_one(self._signs, header.id) as mine:
            if not mine:
                return False
            now = read_state(self.stores.log, header)  # another process may have just seen to it
            if now.done or self._is_attended(header, now):
                return True
            self._take_over(header, now)
        return True

    def wait_for_news(self, timeout_s: float) -> bool:
        """Wait until something was recorded, by this process or another."""
        return self.stores.log.wait_for_news(timeout_s)

    def describe(self) -> Description:
        """This machine's limits; a realtime run has the cloud's, so that what passes here passes there."""
        return Description(
            name="local",
            realtime_timeout_s=REALTIME_TIMEOUT_S,
            realtime_memory_mib=REALTIME_MEMORY_MIB,
            ask_concurrency=usable_cores,
            instance_types=INSTANCE_TYPES,
            makes_calls=True,
            image=f"local/{sys.implementation.cache_tag}",
            costs_money=False,
            has_machines=False,
            uses_own_packages=True,
            jobs_expire=False,
        )

    def close(self) -> None:
        """End what runs in this process, at once, and let go of the stores. Dedicated jobs go on."""
        if self._driver is not None and self._driver.alive:
            self._driver.close()
        self._driver = None
        self.stores.close()

    def _raise_failure(self, header: JobHeader) -> None:
        """Raise, once, what made going on with the job impossible here; from then on nobody attends to it."""
        failure = self._driver.failures.pop(header.id, None) if self._driver is not None else None
        if failure is not None:
            self._given_up.add(header.id)
            raise failure

    def _take_over(self, header: JobHeader, state: JobState) -> None:
        starts = len(state.job_events(EventKind.RUNNER))
        goes_on = header.instance_type is not None and header.cancelled_at is None and starts <= header.max_retry
        running = list(state.indexes(RunStatus.RUNNING))
        lost = running if goes_on else [*running, *state.indexes(RunStatus.QUEUED)]
        reason = f"the process that ran it on {_host_of(state)} has ended{last_words(self.stores, header)}"
        error = RunError("Lost", reason, infrastructure=goes_on)
        self.stores.log.append([_lost(header.id, index, state.attempt_of(index), error) for index in lost])
        if goes_on:
            start_runner(self.stores, header, header.count)

    def _ready_driver(self) -> PoolDriver:
        with self.lock:  # threads that come first at once must not have a pool each
            if self._driver is None or not self._driver.alive:
                self._driver = PoolDriver(usable_cores(), self.stores, self._signs)
            return self._driver

    def _is_attended(self, header: JobHeader, state: JobState) -> bool:
        events = state.job_events(EventKind.RUNNER, EventKind.PROCESS)
        if not events:
            return time.time() - header.created_at < _STARTING_S
        return any(map(_may_come_up, records(events, RunnerRecord))) or any(
            self._may_live(header, process) for process in records(events, ProcessRecord)
        )

    def _may_live(self, header: JobHeader, process: ProcessRecord) -> bool:
        name = process.name
        if header.id in self._given_up and self._driver is not None and name == self._driver.sign.name:
            return False
        if process.host != socket.gethostname():  # a home on a shared disk, or in a container that was made anew
            within_s = _SEEN_S if header.cancelled_at is None else _SEEN_AFTER_CANCEL_S
            return liveness.was_alive(self._signs, name, within_s=within_s)
        return liveness.is_alive(self._signs, name)


def _may_come_up(runner: RunnerRecord) -> bool:
    """Whether a runner is on its way: until it has started, it has no heartbeat."""
    return runner.state == "starting" and time.time() - runner.since < _STARTING_S


def process_event(job_id: str, sign: liveness.Sign) -> Event:
    """The event that says which process runs a job, so that any other can tell whether it still lives."""
    return to_event(job_id, ProcessRecord(sign.name, socket.gethostname(), sign.pid))


def assignment(header: JobHeader, stores: LocalStores) -> Assignment:
    """What workers need to know of a job on this machine."""
    dedicated = header.instance_type is not None
    return Assignment(
        job_id=header.id,
        bundle=stores.objects.path(bundle_key(header.current_bundle_sha256)),
        blobs=stores.objects.root / "blobs",
        serializer=header.serializer,
        timeout_s=header.timeout_s,
        memory_mib=header.memory_mib,
        max_concurrency=concurrency(header) if dedicated else header.max_workers,
        usage_interval_s=1.0 if dedicated else None,
        mount=stores.shared_folder,
        owner=header.owner,
        fresh=header.fresh,
    )


def concurrency(header: JobHeader) -> int:
    """Runs side by side of a dedicated job here: its machines' worth, or as many as this machine has cores."""
    if header.max_workers is None and header.n_processes_per_worker == 1:
        return usable_cores()
    return (header.max_workers or 1) * header.n_processes_per_worker


def refuse_frozen() -> None:
    """Raises `ConfigurationError` in a frozen application: its `sys.executable` is the application again, not a Python.

    Each worker would start the application once more, which would submit once more.
    """
    if getattr(sys, "frozen", False):
        raise ConfigurationError(
            f"This is a frozen application ({sys.executable}), in which no Python is left that could run workers.",
            next_step="use a deployment (engine='aws'), or run it with a Python that has fanfold installed.",
        )


def start_runner(stores: LocalStores, header: JobHeader, stop: int) -> None:
    """Start a process that runs the rest of a job, up to run `stop`, and outlives this one."""
    stores.sync()  # the runner's events tell of what this process has put
    name = os.urandom(4).hex()
    runner = RunnerRecord(name, socket.gethostname(), "starting", time.time())
    stores.log.append([to_event(header.id, runner)])
    path = stores.runner_log(header.id)
    path.parent.mkdir(parents=True, exist_ok=True)
    root = str(Path(__file__).resolve().parents[3])
    program = (
        f"import sys; sys.path[:] = filter(None, sys.path); sys.path.append({root!r}); "
        "from fanfold.engines.local.runner import main; main()"
    )
    with path.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(stores.home), header.id, str(stop), name],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    # Should it end before this process does, somebody has to take note, or it would stay a zombie.
    with suppress(RuntimeError):  # this process is about to end itself, and starts no thread any more
        threading.Thread(target=process.wait, name="fanfold-runner", daemon=True).start()


def last_words(stores: LocalStores, header: JobHeader) -> str:
    """The last line that a dedicated job's runner wrote, if it wrote any: most likely why it ended."""
    try:
        lines = stores.runner_log(header.id).read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return ""
    said = [line.strip() for line in lines if line.strip()]
    return f"; its last words: {said[-1][:500]}" if said else ""


def _lost(job_id: str, index: int, attempt: int, error: RunError) -> Event:
    return Event.new(job_id, index, attempt, EventKind.FINISHED, status=RunStatus.LOST, error=error)


def _host_of(state: JobState) -> str:
    events = state.job_events(EventKind.RUNNER, EventKind.PROCESS)
    return str(events[0].data["host"]) if events else "this machine"
