"""A dedicated machine: claims a job's runs and performs them, several side by side, until none are left.

It is told to stop by SIGTERM (a cancel, TerminateJob), and then gives back what it holds. Where EC2 says that it takes
the machine back, two minutes before, it begins no more runs, ends those that have steps at their next, lets others end
where they can, and gives back the rest. However it ends, nothing is lost: what it held past its lease is another's.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from fanfold.contract.cloud import ENV_INSTANCE_TYPE, ENV_JOB, ENV_USD_PER_HOUR, EXIT_GIVEN_BACK
from fanfold.core.models import Event, EventKind, MachineRecord, RunError, RunRef, RunStatus, to_event
from fanfold.engines.aws.work import LEASE_S, Work, machine_name
from fanfold.engines.base import sealing_key_of, secrets_of, variables_of
from fanfold.engines.feed import serve
from fanfold.errors import FanfoldError
from fanfold.execution.calls import Assignment
from fanfold.execution.pool.pool import Pool
from fanfold_runtime import telemetry
from fanfold_runtime.blob_cache import BlobCache
from fanfold_runtime.cancel_flag import CancelFlag, is_cancelled
from fanfold_runtime.claiming_feed import ClaimingFeed, patiently
from fanfold_runtime.context import get_header, hide_from_udfs, open_stores
from fanfold_runtime.credentials import CredentialsServer, data_role, udf_environment
from fanfold_runtime.image_libraries import publish_libraries
from fanfold_runtime.network import Network
from fanfold_runtime.spot_notice import SpotNotice
from fanfold_runtime.stack_answers import StackAnswers

#: Usage of each run is told this often.
_USAGE_S = 5.0
_CANCEL_S = 3.0
#: A job has so many copies of its header at most; where it has fewer, the header itself is read.
_HEADER_COPIES = 32
#: A lease is renewed so many times before it would end: 10,000 machines write to one partition, which takes 1,000 a
#: second.
_RENEWALS = 4
#: What is held must be given back within this: the machine may be gone soon after.
_GIVE_BACK_S = 4.5
#: How often it is looked for a notice that EC2 takes the machine back; and how long before that time it stops.
_NOTICE_LOOK_S, _LEAVE_S = 1.0, 15.0
#: What the machine costs is told this often.
_TELL_COST_S = 60.0
#: Tests shorten the lease by it.
_ENV_LEASE = "FANFOLD_LEASE_S"


class Machine:
    """One machine of a job's array. Entered, it ends its process with the block, and says how the block ended."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._batch_job = environment.get("AWS_BATCH_JOB_ID", os.urandom(8).hex())
        self._attempt = int(environment.get("AWS_BATCH_JOB_ATTEMPT", "1"))
        self.name = machine_name(self._batch_job, self._attempt)
        self._instance_type = environment.get(ENV_INSTANCE_TYPE, "")
        self._stores = open_stores(folder, environment, read_ahead=True)
        #: Any copy of the header will do, but 10,000 machines must not all ask for one.
        self._shard = int(environment.get("AWS_BATCH_JOB_ARRAY_INDEX", "0")) % _HEADER_COPIES
        self._stop = threading.Event()
        self._notice = SpotNotice(environment)
        self._stop_reason = "told to stop"
        # A machine has taken minutes to come up: while AWS does not answer it waits here as it does later.
        self._header = patiently(lambda: get_header(self._stores, environment[ENV_JOB], self._shard), self._stop)
        self._meter = telemetry.Meter(float(environment.get(ENV_USD_PER_HOUR, 0)))
        self._lease_s = float(environment.get(_ENV_LEASE, LEASE_S))
        self._work = Work(self._stores, self._header.id, lease_s=self._lease_s)
        self._blob_cache = BlobCache(self._stores.objects, folder)
        self._environment = self._for_udfs(environment)
        self._feed: ClaimingFeed | None = None
        self._pool: Pool | None = None
        self._paid_until = time.monotonic()
        hide_from_udfs()

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Whatever it was: the job is to know why it has a machine less."""
        if error is None or kind is None:
            is_taken = self._feed is not None and self._feed.leaving.is_set()
            if is_taken:  # there may be more to do for the next machine, which Batch starts for this exit code
                self._end("stopped", self._stop_reason)
                self._leave(EXIT_GIVEN_BACK)
            self._end("done")
            self._leave(0)
        else:
            reason = error.message if isinstance(error, FanfoldError) else f"{kind.__name__}: {error}"
            telemetry.logger.error("machine failed", error=kind.__name__, reason=reason, exc_info=error)
            self._end("failed", reason)
            self._leave(1)

    def run(self) -> None:
        """Perform runs until there are no more, or the job is cancelled. Raises `StoreError` when AWS stays away."""
        telemetry.logger.append_keys(job=self._header.id, machine=self.name)
        threading.Thread(target=self._wait_for_stop, name="fanfold-stop", daemon=True).start()
        threading.Thread(target=self._keep_leases, name="fanfold-leases", daemon=True).start()
        patiently(lambda: self._work.release_earlier(self._batch_job, self._attempt), self._stop)
        patiently(lambda: self._tell("up"), self._stop)
        threading.Thread(target=publish_libraries, args=(self._stores.objects,), daemon=True).start()
        feed = self._feed = patiently(self._new_feed, self._stop)
        if self._stop.is_set():
            feed.stopping.set()
        folder = self._folder / f"pool-{os.getpid()}"
        shutil.rmtree(folder, ignore_errors=True)
        pool = self._pool = Pool(self._header.n_processes_per_worker, folder, environment=self._environment)
        if self._notice.may_come:
            threading.Thread(target=self._watch_for_notice, name="fanfold-spot", daemon=True).start()
        flag = CancelFlag(self._stores.log.job_headers, self._header.id, self._shard, every_s=_CANCEL_S)
        if self._header.cancelled_at is None:  # it may have come up too late
            answers = StackAnswers(pool, flag, self._stores, self._header.id)
            while serve(pool, feed, answers.is_cancelled) and feed.find_more():
                pass
        pool.close()

    def stop(self) -> None:
        """Begin no more, give back what is held, and exit. May be called by a signal's handler."""
        self._stop.set()

    def _hold(self) -> None:
        if self._feed is not None:  # before, it holds nothing, and saying so late would hide what it holds by then
            self._feed.hold()

    def _held(self) -> list[RunRef]:
        return [] if self._feed is None else self._feed.held()

    def _end(self, state: str, reason: str = "") -> None:
        """Say that this machine works no more. What it still holds is free."""
        if self._stop.is_set():
            time.sleep(2 * _GIVE_BACK_S)  # the thread that was told to stop ends the process
        self._spend()
        with suppress(FanfoldError):  # AWS stays away: its lease will tell
            self._work.give_back(self.name, self._held())
            self._tell(state, reason)

    def _leave(self, code: int) -> None:
        """Exit at once: no thread that waits for AWS may hold the machine up. Workers end with this process."""
        self._meter.tell()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    def _keep_leases(self) -> None:
        while not self._stop.wait(self._lease_s / _RENEWALS):
            self._meter.tell(at_least_s=_TELL_COST_S)
            self._spend()
            try:
                self._hold()
            except Exception as error:  # noqa: BLE001  whatever it is, the next time may be in time
                telemetry.logger.warning("lease not renewed", error=type(error).__name__)
                continue
            try:
                self._stores.keep(self._header.id, within_s=self._lease_s / _RENEWALS)
            except Exception as error:  # noqa: BLE001
                telemetry.logger.warning("expiry not moved on", error=type(error).__name__)

    def _spend(self) -> None:
        """Count what the machine has cost since the last time against the job's budget, where it has one."""
        if not self._header.budget_usd:
            return
        from fanfold_runtime.spending import count_cost

        now = time.monotonic()
        usd = (now - self._paid_until) / 3600 * (self._header.usd_per_hour or 0.0)
        if count_cost(self._stores, self._header, usd):  # else it is counted the next time
            self._paid_until = now

    def _wait_for_stop(self) -> None:
        self._stop.wait()
        if self._feed is not None:
            self._feed.stopping.set()
        threading.Thread(target=self._give_back, name="fanfold-give-back", daemon=True).start()
        time.sleep(_GIVE_BACK_S)
        self._leave(EXIT_GIVEN_BACK)

    def _watch_for_notice(self) -> None:
        """Leave in time, and in order, where EC2 says that it takes the machine back."""
        while (left_s := self._notice.left_s()) is None:
            if self._stop.wait(_NOTICE_LOOK_S):
                return
        telemetry.logger.warning("EC2 takes this machine back", within_s=round(left_s))
        self._stop_reason = "EC2 takes this Spot machine back"
        assert self._feed is not None
        assert self._pool is not None
        self._feed.leaving.set()
        self._pool.wake()
        if not self._stop.wait(max(0.0, left_s - _LEAVE_S)):
            self.stop()

    def _give_back(self) -> None:
        held = self._held()
        # Where that cannot be had, giving back loses nothing.
        if is_cancelled(self._stores.log.job_headers, self._header.id, self._shard):
            error = RunError("Cancelled", "the job was cancelled while this run was running")
            ends = [_cancelled(self._header.id, run.index, run.attempt, error) for run in held]
            self._stores.log.append(ends)
        else:
            self._work.give_back(self.name, held)
        self._tell("stopped", f"{self._stop_reason}; {len(held)} runs given back")
        self._leave(EXIT_GIVEN_BACK)

    def _tell(self, state: str, reason: str = "") -> None:
        record = MachineRecord(
            self.name, state, self._batch_job, self._attempt, self._instance_type, os.cpu_count() or 1, reason
        )
        self._stores.log.append([to_event(self._header.id, record)])

    def _new_feed(self) -> ClaimingFeed:
        header = self._header
        secrets = secrets_of(header, self._stores)
        python = self._blob_cache.interpreter(header)
        self._blob_cache.tell_of_environment(header, self._stores.log)
        assignment = Assignment(
            job_id=header.id,
            bundle=self._blob_cache.bundle(header),
            blobs=self._blob_cache.blobs,
            serializer=header.serializer,
            path_rules=header.path_rules,
            owner=header.owner,
            fresh=header.fresh,
            own_folder=True,
            python=python,
            variables=variables_of(header, secrets),
            hidden=tuple(secrets.values()),
            sealing_key=sealing_key_of(header, self._stores),
            takes_ahead=False,
            timeout_s=header.timeout_s,
            memory_mib=header.memory_mib,
            max_concurrency=header.n_processes_per_worker,
            usage_interval_s=_USAGE_S,
        )
        return ClaimingFeed(
            header,
            self._stores,
            assignment=assignment,
            work=self._work,
            machine=self.name,
            blob_cache=self._blob_cache,
            network=Network(),
        )

    def _for_udfs(self, environment: Mapping[str, str]) -> dict[str, str]:
        role = data_role(self._stores.account, environment)
        if role is not None:
            role.serve(self._header.owner, self._header.id)
        server = None if role is None else CredentialsServer(role, self._folder)
        return udf_environment(environment, None if server is None else server.as_variables())


def _cancelled(job_id: str, index: int, attempt: int, error: RunError) -> Event:
    return Event.new(job_id, index, attempt, EventKind.FINISHED, status=RunStatus.CANCELLED, error=error)
