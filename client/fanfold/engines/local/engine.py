"""The local engine: worker processes on this machine, no account anywhere.

A realtime job runs in worker processes of the caller's own process tree. A dedicated job (`instance_type=...`) runs in
a process of its own that outlives the caller (`runner.py`).
"""

from __future__ import annotations

import atexit
import os
import re
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from fanfold.contract.instances import INSTANCE_TYPES
from fanfold.contract.layout import REALTIME_DISK_MIB, REALTIME_MEMORY_MIB, REALTIME_TIMEOUT_S
from fanfold.core.fold import JobState
from fanfold.core.models import (
    EnvironmentRecord,
    Event,
    EventKind,
    JobHeader,
    ProcessRecord,
    RunnerRecord,
    RunRef,
    records,
    to_event,
)
from fanfold.core.processes import Locked, ends_by_interrupt, program_of, usable_cores, without_interrupts
from fanfold.engines import feed as liveness
from fanfold.engines.base import Description, sealing_key_of, secrets_of, variables_of
from fanfold.engines.feed import Heartbeat, JobFeed, has_given_up, is_alive
from fanfold.errors import ConfigurationError, FanfoldError
from fanfold.execution.calls import Assignment
from fanfold.execution.pool.pool import Pool
from fanfold.execution.pool.spawn import preloaded_by
from fanfold.execution.worker.interpreter import remove_tree
from fanfold.settings import CONDITIONS_MARK, conditions
from fanfold.source.load import Bundle, environment_of
from fanfold.stores import disk
from fanfold.stores.keys import blob_key, blob_reader, bundle_key
from fanfold.stores.local import LocalStores
from fanfold.stores.state import LARGE_JOB, read_state

if TYPE_CHECKING:
    from fanfold.engines.local.counts import CountsKeeper
    from fanfold.environments.unpack import Environments

# A pool with a thread of its own, for jobs that run while the caller goes on.

#: Seconds between looks for cancel flags that another process has set.
_CANCEL_S = 0.5
#: Waiting at the end of the process for less than this is not worth a word.
_QUIET_S = 0.3
#: The end of work is waited for this long; a process that does not die by then is stuck in the kernel.
_ENDING_S = 5.0


class PoolDriver:
    """Serves feeds in a background thread until the process ends, which waits for what is still running."""

    def __init__(self, size: int, stores: LocalStores, heartbeats: Path, failures: dict[str, FanfoldError]) -> None:
        """`failures`: what makes going on with a job impossible goes there, by job id."""
        self.heartbeat = Heartbeat(heartbeats)
        self._stores = stores
        remove_abandoned(stores.scratch, heartbeats)
        self._folder = pool_folder(stores.scratch, self.heartbeat)
        self._pool = Pool(size, self._folder, idle=size)
        self._new: list[JobFeed] = []
        self._expected: list[tuple[tuple[str, ...], int | None]] = []
        self._serving: list[JobFeed] = []
        #: Of the large jobs among these.
        self._keepers: dict[JobFeed, CountsKeeper] = {}
        self._lock = threading.Lock()
        self._looked_at = 0.0
        self._stopping = False
        self._failures = failures
        #: What has ended its thread: a job that comes at that moment is told as well.
        self._ended_by: FanfoldError | None = None
        self._broken: list[JobFeed] = []
        #: Threads that begin more of a job later, by its id.
        self.steering: dict[str, threading.Thread] = {}
        self._pool.get_ready()
        self._thread = threading.Thread(target=self._run, name="fanfold-pool", daemon=True)
        try:
            self._thread.start()
        except BaseException:  # there are as many as there may be
            self._end()
            raise
        atexit.register(self._at_exit)

    @property
    def alive(self) -> bool:
        """Whether it can serve another job: in a forked child it cannot, nor after it was closed or has failed."""
        return self.heartbeat.pid == os.getpid() and self._thread.is_alive() and not self._stopping

    def drive(self, feed: JobFeed) -> None:
        """Serve one more job."""
        keeper = keep_counts(self._stores, feed.header)
        with self._lock:
            self._new.append(feed)
            if self._ended_by is not None:
                self._failures[feed.header.id] = self._ended_by
            if keeper is not None:
                self._keepers[feed] = keeper
        self._pool.wake()

    def expect(self, preloaded: tuple[str, ...], most: int | None) -> None:
        """Import what the workers of a job have imported that is still being written down (`Pool.expect`)."""
        with self._lock:
            self._expected.append((preloaded, most))
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
        except BaseException as error:
            self._give_up(error)
            raise  # for Python to write its traceback
        finally:
            self._end()

    def _end(self) -> None:
        """Whatever happened: workers end, and nobody waits for them any more."""
        self._stopping = True
        for keeper in [*self._keepers.values()]:
            keeper.end()
        try:
            self._pool.close()
            remove_tree(self._folder)
        finally:
            self.heartbeat.take_down()

    def _turn(self) -> None:
        with self._lock:
            while self._expected:
                self._pool.expect(*self._expected.pop())
            for feed in self._new:
                self._pool.add(feed)
            self._serving += self._new
            self._new.clear()
        self._pool.step()
        self._end_broken()
        still = [feed for feed in self._serving if self._pool.serves(feed)]
        if len(still) < len(self._serving):  # those who wait for it may be gone, and it is to outlive a power cut
            self._stores.sync()
            for feed in (feed for feed in self._serving if feed.header.notify and feed not in still):
                start_telling(self._stores, feed.header)
        self._serving = still
        for feed in [feed for feed in self._broken if feed not in still]:  # its workers have ended
            self._broken.remove(feed)
            self.heartbeat.give_up(feed.header.id)
        self._end_keepers()
        self._end_cancelled()

    def _end_keepers(self) -> None:
        """Of jobs that are not served any more."""
        with self._lock:
            served = {*self._serving, *self._new}
            for feed, keeper in self._keepers.items():
                if feed not in served:
                    keeper.end()
            self._keepers = {feed: keeper for feed, keeper in self._keepers.items() if keeper.alive}

    def _end_broken(self) -> None:
        for feed in self._serving:
            if feed.broken and feed not in self._broken:  # which is told once, however long its workers take to end
                self._broken.append(feed)
                self._failures[feed.header.id] = feed.broken
                self._pool.cancel(feed)

    def _end_cancelled(self) -> None:
        now = time.monotonic()
        if not self._serving or now - self._looked_at < _CANCEL_S:
            return
        self._looked_at = now
        self.heartbeat.renew()
        for feed in self._serving:
            if self._stores.log.get_job(feed.header.id).cancelled_at is not None:
                self._pool.cancel(feed)

    def _give_up(self, error: BaseException) -> None:
        """The pool itself cannot go on (no room, no processes left, a fault): all its jobs are told."""
        from fanfold.engines.local.stewarding import as_failure

        told = disk.told(error, self._folder) if isinstance(error, OSError) else as_failure(error)
        with self._lock:
            self._ended_by = told
            self._failures.update({feed.header.id: told for feed in [*self._serving, *self._new]})
            self._serving, self._new = [], []

    def _at_exit(self) -> None:
        """Nothing is dropped silently: the process ends when its runs have, or have been cancelled by a Ctrl-C."""
        if self.heartbeat.pid != os.getpid():
            return
        interrupted = ends_by_interrupt()
        try:
            if not interrupted:
                self._wait_for_the_rest()
        except KeyboardInterrupt:
            interrupted = True
        with without_interrupts():  # it takes a moment
            if interrupted:
                self._cancel_the_rest()
            self._stop()

    def _cancel_the_rest(self) -> None:
        for job_id in (job_ids := self._open_jobs()):
            self._stores.log.request_cancel(job_id, time.time())
        for job_id in job_ids:
            self.end_cancelled(job_id)
            self._say(f'job {job_id} is cancelled; `fanfold.get_job("{job_id}").retry()` runs the rest.')

    def _open_jobs(self) -> list[str]:
        """The jobs that this process performs, or is to perform more of."""
        with self._lock:
            serving = [feed.header.id for feed in [*self._serving, *self._new]]
        return list(dict.fromkeys([*serving, *(one for one, thread in self.steering.items() if thread.is_alive())]))

    def _stop(self) -> None:
        self._stopping = True
        self._pool.wake()
        self._stores.database.close()  # which takes as long as the workers' end; who comes later opens it anew
        self._thread.join(timeout=5)
        for keeper in [*self._keepers.values()]:
            keeper.end()
            keeper.join()

    def _wait_for_the_rest(self) -> None:
        since, said, pause_s = time.monotonic(), False, 0.001  # what the caller has just collected is over in a moment
        while self._thread.is_alive() and (jobs := ", ".join(self._open_jobs())):
            if not said and time.monotonic() - since > _QUIET_S:
                said = True
                self._say(f"waiting for {jobs} to finish before this process ends; Ctrl-C cancels instead.")
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 0.02)

    @staticmethod
    def _say(text: str) -> None:
        sys.stderr.write(f"fanfold: {text}\n")


def start_telling(stores: LocalStores, header: JobHeader) -> None:
    """Tell who asked for it that a job has ended, in a thread that the end of this process waits for."""
    from fanfold.engines.notice import tell_end_here

    thread = threading.Thread(target=tell_end_here, args=(stores, header.id), name="fanfold-notice")
    try:
        thread.start()
    except RuntimeError:  # the interpreter is ending already
        tell_end_here(stores, header.id)


def keep_counts(stores: LocalStores, header: JobHeader) -> CountsKeeper | None:
    """What keeps how a large job stands, while it is carried out; None for a smaller one."""
    if header.count < LARGE_JOB:
        return None
    from fanfold.engines.local.counts import CountsKeeper

    return CountsKeeper(stores.log, header)


def pool_folder(scratch: Path, heartbeat: Heartbeat) -> Path:
    """Where the pool of the process with that heartbeat keeps what passes between its processes."""
    return scratch / f"pool-{heartbeat.name}"


def remove_abandoned(scratch: Path, heartbeats: Path) -> None:
    """Remove the folders of pools whose process was killed."""
    for folder in scratch.glob("pool-*"):
        if not is_alive(heartbeats, folder.name.removeprefix("pool-")):
            remove_tree(folder)


#: A job whose submitter is between "put" and "started" has no process yet; after this long, it never will.
_STARTING_S = 30.0
#: Environments that no process uses are kept for later until there is this much of them.
_KEPT_BYTES = 10 << 30
#: A process of another machine that has not shown itself for so long is gone, or its machine is asleep; sooner after a
#: cancel, which it would have seen within half a second.
_SEEN_S, _SEEN_AFTER_CANCEL_S = 60.0, 10.0


class LocalEngine(Locked):
    """Runs jobs on this machine. One for each home directory and process: see `engine_for`."""

    def __init__(self, home: Path) -> None:
        super().__init__()
        self.home = home
        self.stores = LocalStores.open(home)
        self.heartbeats = home / "running"
        self._driver: PoolDriver | None = None
        #: Realtime jobs too are run by a process that outlives this one, as a command that does not wait wants it.
        self.detached = False
        #: What made going on with a job impossible here, by job id.
        self._failures: dict[str, FanfoldError] = {}

    def start(self, header: JobHeader, runs: Iterable[RunRef]) -> None:
        """Start these runs: here for realtime, in a process of its own for a dedicated job."""
        refuse_frozen()
        if header.instance_type is not None or self.detached:
            if stop := max((run.index for run in runs), default=-1) + 1:
                start_runner(self.stores, header, stop)
            elif header.notify:
                start_telling(self.stores, header)  # all of it came from the cache
            return
        driver = self._ready_driver()
        if driver.heartbeat.take_up(header.id):
            self._failures.pop(header.id, None)  # it is tried again, whether or not somebody was told
        self.stores.log.append([process_event(header.id, driver.heartbeat)])
        driver.drive(make_feed(header, runs, self.stores))
        self.stores.objects.sync_soon()  # the inputs are on the disk by the time that the first runs have ended

    def follow(self, header: JobHeader) -> None:
        """Take over what earlier jobs perform for this one, in a thread that this process waits for at its end; and
        begin what is to begin later, as the runner of a job does that has one."""
        from fanfold.engines.local.stewarding import start_following, start_steering, stop  # for few jobs

        if (header.stages or header.ladder) and header.instance_type is None and not self.detached:
            thread = start_steering(self, header, on_failure=lambda error: stop(self, header, error))
            self._ready_driver().steering[header.id] = thread
        start_following(self, header)

    def note_failure(self, job_id: str, failure: FanfoldError) -> None:
        """Have those of this process who wait for a job be told that going on with it is impossible here."""
        self._failures[job_id] = failure
        if self._driver is not None:
            self._driver.heartbeat.give_up(job_id)

    def get_ready(
        self, *, dedicated: bool, bundle: Bundle | None = None, most: int | None = None, cached: bool = True
    ) -> None:
        """Start what workers are forked from; with what these import where nobody has submitted the code before."""
        refuse_frozen()
        if dedicated or self.detached:
            return
        driver = self._ready_driver()
        preloaded = preloaded_by(bundle) if bundle is not None else ()
        if bundle is not None and preloaded and not (cached and self.stores.objects.exists(bundle_key(bundle.sha256))):
            driver.expect(preloaded, most)

    def cancel(self, header: JobHeader) -> None:
        """End what runs of this job in this process; others see its cancel flag within half a second."""
        if header.ladder:
            from fanfold.engines.larger import cancel_larger

            cancel_larger(self, read_state(self.stores.log, header))
        if self._driver is not None:
            self._driver.end_cancelled(header.id)

    def reconcile(self, header: JobHeader, state: JobState) -> bool:
        """Where whatever ran the job is gone: a dedicated job goes on in a new process, a realtime one is lost.

        A lost realtime run is final: the caller's next `submit` or `job.retry()` runs what is missing.
        """
        if (failure := self._failures.pop(header.id, None)) is not None:  # which is told once
            raise failure
        if state.done or self._is_attended(header, state) or not os.access(self.home, os.W_OK):
            return False
        with liveness.only_one(self.heartbeats, header.id) as mine:
            if not mine:
                return False
            now = read_state(self.stores.log, header)  # another process may have just seen to it
            if now.done or self._is_attended(header, now):
                return True
            from fanfold.engines.local.ended_runner import take_over

            take_over(self, header, now)
        return True

    def wait_for_news(self, timeout_s: float) -> bool:
        """Wait until something was recorded, by this process or another."""
        return self.stores.log.wait_for_news(timeout_s)

    def describe(self, image: str = "") -> Description:
        """This machine's limits; a realtime run has the cloud's, so that what passes here passes there.

        An `image` is a deployment's: here runs have this machine's own environment, whatever it is called.
        """
        under = conditions()
        as_in_lambda = under is not None and under.like == "lambda"
        return Description(
            name="local",
            realtime_timeout_s=REALTIME_TIMEOUT_S,
            realtime_memory_mib=REALTIME_MEMORY_MIB,
            ask_concurrency=usable_cores,
            instance_types=INSTANCE_TYPES,
            makes_calls=True,
            image_name=image,
            image=f"local/{sys.implementation.cache_tag}{'' if under is None else under.mark}",
            costs_money=False,
            has_machines=False,
            functions_wait=False,
            uses_own_packages=True,
            jobs_expire=False,
            runs_follow_anywhere=False,
            has_shared_memory=not as_in_lambda,
            realtime_disk_mib=REALTIME_DISK_MIB if as_in_lambda else None,
        )

    def close(self) -> None:
        """End what runs in this process, at once, and let go of the stores. Dedicated jobs go on."""
        if self._driver is not None and self._driver.alive:
            self._driver.close()
        self._driver = None
        self.stores.close()

    def _ready_driver(self) -> PoolDriver:
        with self.lock:  # threads that come first at once must not have a pool each
            if self._driver is None or not self._driver.alive:
                self._driver = PoolDriver(usable_cores(), self.stores, self.heartbeats, self._failures)
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
        driver = self._driver
        told = driver is not None and name == driver.heartbeat.name and header.id in driver.heartbeat.given_up
        if told or has_given_up(self.heartbeats, name, header.id):
            return False
        if process.host != os.uname().nodename:  # a home on a shared disk, or in a container that was made anew
            within_s = _SEEN_S if header.cancelled_at is None else _SEEN_AFTER_CANCEL_S
            return liveness.was_alive(self.heartbeats, name, within_s=within_s)
        return liveness.is_alive(self.heartbeats, name)


def _may_come_up(runner: RunnerRecord) -> bool:
    """Whether a runner is on its way: until it has started, it has no heartbeat."""
    return runner.state == "starting" and time.time() - runner.since < _STARTING_S


def process_event(job_id: str, heartbeat: liveness.Heartbeat) -> Event:
    """The event that says which process runs a job, so that any other can tell whether it still lives."""
    return to_event(job_id, ProcessRecord(heartbeat.name, os.uname().nodename, heartbeat.pid))


def assignment(header: JobHeader, stores: LocalStores) -> Assignment:
    """What workers need to know of a job on this machine."""
    dedicated = header.instance_type is not None
    secrets = secrets_of(header, stores)
    confined = () if dedicated or CONDITIONS_MARK not in header.image else confinement(header, stores)
    return Assignment(
        job_id=header.id,
        bundle=stores.objects.path(bundle_key(header.current_bundle_sha256)),
        blobs=stores.objects.root / "blobs",
        serializer=header.serializer,
        path_rules=header.path_rules,
        known_blobs=known_blobs(header, stores),
        timeout_s=header.timeout_s,
        memory_mib=header.memory_mib,
        max_concurrency=concurrency(header) if dedicated else _realtime_concurrency(header),
        takes_ahead=not (header.rate or header.hedge),
        usage_interval_s=1.0 if dedicated else None,
        mount=stores.shared_folder,
        data=stores.data_place,
        owner=header.owner,
        fresh=header.fresh,
        python=_interpreter(header, stores),
        own_folder=bool(confined),
        variables=(*variables_of(header, secrets), *confined),
        hidden=tuple(secrets.values()),
        goes_on_later=not dedicated,
        sealing_key=sealing_key_of(header, stores),
    )


def make_feed(header: JobHeader, runs: Iterable[RunRef], stores: LocalStores) -> JobFeed:
    """What gives a job's runs to a pool here, under the conditions that the job was submitted under."""
    told = assignment(header, stores)
    if CONDITIONS_MARK in header.image:
        from fanfold.engines.local.conditions import conditions_of

        if (under := conditions_of(header.image)).chaos:
            from fanfold.engines.local.chaos import Chaos, ChaosFeed

            return ChaosFeed(header, runs, stores=stores, assignment=told, chaos=Chaos(under))
    return JobFeed(header, runs, stores=stores, assignment=told)


def confinement(header: JobHeader, stores: LocalStores) -> tuple[tuple[str, str], ...]:
    """What tells a job's workers to take no more than Lambda gives, where the job is to run so."""
    from fanfold.engines.local import conditions as local_conditions

    return local_conditions.confinement(local_conditions.conditions_of(header.image), stores)


_SHA256 = re.compile(r"[0-9a-f]{64}")


def known_blobs(header: JobHeader, stores: LocalStores) -> dict[str, tuple[int, int, int]]:
    """The job's large constants that this process has just stored, and what their files are."""
    if '"$blob"' not in header.constants:
        return {}
    names = set(_SHA256.findall(header.constants))
    return {name: facts for name in names if (facts := stores.objects.seen(blob_key(name))) is not None}


def _interpreter(header: JobHeader, stores: LocalStores) -> str:
    """The interpreter that has the packages which the job's UDF brings along; empty for none. Made where it is not."""
    text = environment_of(stores.objects.get(bundle_key(header.current_bundle_sha256)))
    if not text:
        return ""
    from fanfold.environments.lock import lock_from_text
    from fanfold.environments.unpack import Environments

    made = Environments(stores.home / "environments", kept_bytes=_KEPT_BYTES)
    environments, lock = _environments.setdefault(stores.home, made), lock_from_text(text)
    python = environments.interpreter(lock, blob_reader(stores.objects))
    if environments.making_s:
        stores.log.append([to_event(header.id, EnvironmentRecord(lock.id[:12], round(environments.making_s, 3)))])
    return python


#: Of each home: they are held as long as this process lives, for workers import from them at any time.
_environments: dict[Path, Environments] = {}


def concurrency(header: JobHeader) -> int:
    """Runs side by side of a dedicated job here: its machines' worth, or as many as this machine has cores."""
    if header.max_workers is None and header.n_processes_per_worker == 1:
        return usable_cores()
    return (header.max_workers or 1) * header.n_processes_per_worker


def _realtime_concurrency(header: JobHeader) -> int | None:
    """Runs side by side of a realtime job here; with a rate no more than there are workers: what is taken begins."""
    if not header.rate:
        return header.max_workers
    return min(header.max_workers or usable_cores(), usable_cores())


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
    import subprocess  # 5 ms, on no job's way that ends here

    stores.sync()  # the runner's events tell of what this process has put
    name = os.urandom(4).hex()
    runner = RunnerRecord(name, os.uname().nodename, "starting", time.time())
    stores.log.append([to_event(header.id, runner)])
    path = stores.runner_log(header.id)
    path.parent.mkdir(parents=True, exist_ok=True)
    program = program_of("fanfold.engines.local.runner")
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
