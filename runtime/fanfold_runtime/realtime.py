"""The Lambda handler: a run, or several short ones, in a worker process that the environment keeps for the next."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import boto3  # noqa: F401 - here, while an environment starts with more CPU than it has later

from fanfold.contract.cloud import EXPIRES_AT, PARTITION_KEY, invocation_sort_key, job_partition
from fanfold.contract.instances import OWN_MEMORY_MIB
from fanfold.contract.layout import ENV_RUN_AS, REALTIME_TIMEOUT_S
from fanfold.contract.payloads import DispatchJob, RunItem, RunPayload
from fanfold.core.models import THROTTLED, Event, EventKind, JobHeader, RunError, RunStatus
from fanfold.core.options import goes_on_later
from fanfold.engines.base import sealing_key_of, secrets_of, variables_of
from fanfold.engines.feed import Recorder, serve, together
from fanfold.errors import FanfoldError, StoreFull
from fanfold.execution import calls as reports
from fanfold.execution.calls import Assignment, Call, Report
from fanfold.execution.channel import Asked, Reply
from fanfold.execution.pool.pool import Pool
from fanfold.stores.aws import AwsStores
from fanfold.stores.aws.table import key
from fanfold.stores.keys import inputs_key
from fanfold_runtime import telemetry
from fanfold_runtime.blob_cache import BlobCache
from fanfold_runtime.cancel_flag import CancelFlag
from fanfold_runtime.context import enter_own_folder, get_header, hide_from_udfs, open_stores
from fanfold_runtime.continuation import Continuation
from fanfold_runtime.credentials import Credentials, as_variables, data_role, udf_environment
from fanfold_runtime.image_libraries import publish_libraries
from fanfold_runtime.short_results import ShortResults
from fanfold_runtime.stack_answers import StackAnswers

if TYPE_CHECKING:
    from fanfold_runtime.superseded import Superseded

#: A run ends this long before Lambda would end the whole environment: time to ask it where it stands, and to tell.
_MARGIN_S = 3.0
#: A run that is given less of its time by more than this, since the start took it, has not had its try.
_START_TAKES_S = 2.0
#: How often a running run's job is looked at for a cancel.
_CANCEL_S = 2.0


#: Of a run that came with others, which have taken the time: as with a throttle, it has not been tried.
_NO_TIME = RunError(THROTTLED, "the runs before it in its batch left it no time", infrastructure=True)

_NO_TURN = RunError(THROTTLED, "too many runs wait for their turn at this job's rate", infrastructure=True)

_WARM_NOW = 'run it again (`job.retry()`), as most environments are warm then, or give it instance_type="small".'

T = TypeVar("T")


class Context(Protocol):
    """What Lambda tells of an invocation."""

    memory_limit_in_mb: str
    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends the environment."""


def handler(event: RunPayload, context: Context) -> dict[str, Any]:
    """Run one attempt of one run. What comes of it is in the event log; the answer only says that it is there.

    Raises what kept the end from being recorded, so that the state machine does it.
    """
    run = event["run"]
    telemetry.announce_run(event["job"]["id"], run["index"], run["attempt"])
    if _kept and not _kept[0].is_whole():
        _kept.pop().close()
    if not _kept:
        _kept.append(Environment(enter_own_folder()))
    recorded = False
    try:
        ended = _kept[0].run(event, context)
        recorded = True
    finally:
        if not recorded:
            telemetry.logger.error("run not recorded")
            _kept.pop().close()  # whatever its pool was at: the next run gets a new one
    return {"status": [one.status for one in ended]}


class OneRun:
    """Feeds a pool with one call, and records what comes of it."""

    def __init__(
        self,
        header: JobHeader,
        run: RunItem,
        arguments: str,
        stores: AwsStores,
        *,
        assignment: Assignment,
        continuation: Continuation,
        results: ShortResults,
        shares_time: bool = False,
    ) -> None:
        self.assignment = assignment
        self._header, self._stores = header, stores
        self._continuation, self._results = continuation, results
        #: Whether others before it had part of its time: what has too little left of it has not been tried.
        self._was_cut_short = shares_time and (header.timeout_s or inf) > (assignment.timeout_s or inf)
        promised_s = min(header.timeout_s or inf, REALTIME_TIMEOUT_S - _MARGIN_S)
        self._lost_its_time = promised_s - (assignment.timeout_s or inf) > _START_TAKES_S
        self._may_retry = run["attempt"] < header.max_retry
        self._call: Call | None = Call(run["index"], run["attempt"], arguments)
        self._tries = [(run["index"], run["attempt"])]
        self._superseded = _superseded_of(header, stores)
        self.ended: list[Event] = []

    @property
    def obsolete(self) -> Collection[tuple[int, int]]:
        """The one try, where it is not needed any more."""
        return () if self._superseded is None else self._superseded.obsolete

    def take(self) -> Call | None:
        """The one call, once."""
        call, self._call = self._call, None
        return call

    def record(self, told: Sequence[Report]) -> None:
        """Keep what happened."""
        if self._superseded is not None:
            told = self._superseded.marked(told)
        if self._was_cut_short:
            told = [report._replace(event=_put_off_if_cut(report.event)) for report in told]
        elif self._lost_its_time:
            told = [report._replace(event=_blame_start(report.event, again=self._may_retry)) for report in told]
        goes_on = any(goes_on_later(report.event.error) for report in told)
        if goes_on:
            self._continuation.announce()
        self.ended += self._results.record(told)
        if goes_on:
            self._continuation.start()

    def flush(self) -> None:
        """Record output that has been held back; see now and then whether the run has its result by another try."""
        self._results.flush()
        if self._superseded is not None:
            self._superseded.look(self._tries)

    def answer(self, call: Call, asked: Asked) -> Reply:
        """What the run asks for: what its steps have kept, or that something be kept."""
        from fanfold.engines.step_book import StepBook  # few runs have steps

        return StepBook(self._header, self._stores).answer(call, asked)


def _superseded_of(header: JobHeader, stores: AwsStores) -> Superseded | None:
    """What tells whether a run has its result by another try, where it may have two at once."""
    if not header.hedge:
        return None
    from fanfold_runtime.superseded import Superseded

    return Superseded(stores.log, header)


def is_first_call(stores: AwsStores, event: RunPayload, call_id: str) -> bool:
    """Whether this call is the first with its token: a caller whose answer was lost calls again.

    `call_id` is the same for one call: the answer to this write may be lost as well.
    """
    job, run = event["job"], event["run"]
    item = {
        **key(job_partition(job["id"]), invocation_sort_key(run["index"], run["attempt"])),
        EXPIRES_AT: {"N": str(job["expires_at"])},
        "call": {"S": call_id},
    }
    condition = f"attribute_not_exists({PARTITION_KEY}) OR #call = :call"
    names_and_values = {
        "ExpressionAttributeNames": {"#call": "call"},
        "ExpressionAttributeValues": {":call": {"S": call_id}},
    }
    return stores.table.put_if(item, condition, **names_and_values)


class Environment:
    """What outlives an invocation: the stores, copies of sources, and a worker process that is ready."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stores = open_stores(folder)
        self._blob_cache = BlobCache(self._stores.objects, folder)
        self._role = data_role(self._stores.account)
        self._credentials: Credentials | None = None
        self._pool: Pool | None = None
        self._pools = 0
        self._has_announced = False
        #: Whose runs are performed now, and their home.
        self._owner, self._home = "", ""
        for left in folder.glob("home-*"):  # by a process that a run has ended
            shutil.rmtree(left, ignore_errors=True)
        hide_from_udfs()

    def is_whole(self) -> bool:
        """Whether its folders are as it has made them: a run may have put something else in their place."""
        places = [self._folder, self._stores.scratch, self._blob_cache.blobs]
        places += [Path(self._home)] if self._home else []
        return all(place.is_dir() and not place.is_symlink() for place in places)

    def run(self, event: RunPayload, context: Context) -> list[Event]:
        """Perform a run and those that came with it, one by one; their terminal events, which are on record."""
        job, first = event["job"], event["run"]
        more = first.get("more", [])
        if "token" in event and not is_first_call(self._stores, event, context.aws_request_id):
            return []  # another call with this token performs it, or has: what comes of it is in the event log
        header = get_header(self._stores, job["id"], first["shard"])
        results = ShortResults(header, [first, *more], self._stores)
        try:
            header, ended = self._run_all(header, event, context, results)
        finally:
            results.write()
        self._blob_cache.tidy()
        if header.budget_usd:
            self._spend(header, ended)
        self._keep(header, context)
        if not self._has_announced:
            self._has_announced = True
            publish_libraries(self._stores.objects)
        return ended

    def _run_all(
        self, header: JobHeader, event: RunPayload, context: Context, results: ShortResults
    ) -> tuple[JobHeader, list[Event]]:
        """Perform a run and those that came with it; the header as it was read last, and their terminal events."""
        job, first = event["job"], event["run"]
        more, read_at = first.get("more", []), time.monotonic()
        results.more_follow = bool(more)
        ended = self._run_one(header, job, first, context, results)
        for place, run in enumerate(more):
            longest_s = max((one.usage.duration_s for one in ended if one.usage), default=0.0)
            if context.get_remaining_time_in_millis() / 1000 < 2 * longest_s + 2 * _MARGIN_S:
                ended += self._put_off(header, more[place:])
                break
            if time.monotonic() - read_at > _CANCEL_S:  # it may have been cancelled
                header, read_at = get_header(self._stores, job["id"], run["shard"]), time.monotonic()
            telemetry.announce_run(header.id, run["index"], run["attempt"])
            results.more_follow = run is not more[-1]
            ended += self._run_one(header, job, run, context, results, shares_time=True)
        return header, ended

    def _wait_for_turn(self, header: JobHeader, flag: CancelFlag, context: Context) -> bool:
        """Wait until the job's rate lets another run begin; False where that is so far away that no time is left.

        A cancelled job's run waits no longer, and ends as soon as it has begun.
        """
        from fanfold.engines.aws.rate_limiter import RateLimiter  # few jobs have a rate

        wait_s = RateLimiter(self._stores, header).take()
        if wait_s > context.get_remaining_time_in_millis() / 1000 / 2:
            return False
        turn = time.monotonic() + wait_s
        while (left_s := turn - time.monotonic()) > 0 and not flag.is_set():
            time.sleep(min(left_s, _CANCEL_S / 2))
        return True

    def _put_off(self, header: JobHeader, runs: Sequence[RunItem], error: RunError = _NO_TIME) -> list[Event]:
        """Say of runs that there is no time left for them here: they have not been tried, and are started anew."""
        facts: dict[str, Any] = {"status": RunStatus.FAILED, "error": error}
        events = [Event.new(header.id, run["index"], run["attempt"], EventKind.FINISHED, **facts) for run in runs]
        self._stores.log.append(events)
        return events

    def _run_one(
        self,
        header: JobHeader,
        job: DispatchJob,
        run: RunItem,
        context: Context,
        results: ShortResults,
        *,
        shares_time: bool = False,
    ) -> list[Event]:
        if header.cancelled_at is not None:
            call = Call(run["index"], run["attempt"], "")
            recorder = Recorder(header, self._stores, lambda runs: [run["key"]] * len(runs))
            return recorder.record([reports.cancelled(header.id, call)])
        flag = CancelFlag(self._stores.log.job_headers, header.id, run["shard"], every_s=_CANCEL_S)
        if header.rate and not self._wait_for_turn(header, flag, context):
            return self._put_off(header, [run], _NO_TURN)
        arguments = _arguments(header, run, self._stores)
        self._with_room(lambda: self._blob_cache.fetch_for(arguments))
        pool = self._ready_pool(header.owner)
        assignment = self._assignment(header, context)
        continuation = Continuation(self._stores, header, job, run)
        facts: dict[str, Any] = {"assignment": assignment, "continuation": continuation, "results": results}
        feed = OneRun(header, run, arguments, self._stores, **facts, shares_time=shares_time)
        serve(pool, feed, StackAnswers(pool, flag, self._stores, header.id).is_cancelled)
        telemetry.tell_end(header, feed.ended)
        return feed.ended

    def _spend(self, header: JobHeader, ended: Sequence[Event]) -> None:
        """Count what these runs have cost against the job's budget."""
        from fanfold.core.pricing import realtime_cost  # few jobs have a budget
        from fanfold_runtime.spending import count_cost

        busy_s = sum(event.usage.duration_s for event in ended if event.usage)
        count_cost(self._stores, header, realtime_cost(busy_s, len(ended), arm64=header.architecture == "arm64"))

    def _keep(self, header: JobHeader, context: Context) -> None:
        """Move the job's expiry on where that is due, in what time is left to this call."""
        left_s = context.get_remaining_time_in_millis() / 1000 - 2 * _MARGIN_S
        try:
            self._stores.keep(header.id, within_s=max(0.0, left_s))
        except FanfoldError as error:  # its next run, or a client that waits, goes on from there
            telemetry.logger.warning("expiry not moved on", error=type(error).__name__)

    def close(self) -> None:
        """End the worker; the next run gets a new one."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _with_room(self, fetch: Callable[[], T]) -> T:
        """Fetch; where the disk is full, without the copies that earlier runs have left. Raises `StoreFull`."""
        try:
            return fetch()
        except StoreFull:
            self._blob_cache.tidy(above_bytes=0)
            return fetch()

    def _assignment(self, header: JobHeader, context: Context) -> Assignment:
        """What a worker is to know. Made when all is there: fetching takes of the time that is left."""
        bundle = self._with_room(lambda: self._blob_cache.bundle(header))
        python = self._with_room(lambda: self._blob_cache.interpreter(header))
        self._blob_cache.tell_of_environment(header, self._stores.log)
        secrets = secrets_of(header, self._stores)
        left_s = max(1.0, context.get_remaining_time_in_millis() / 1000 - _MARGIN_S)
        left_mib = int(context.memory_limit_in_mb) - OWN_MEMORY_MIB
        return Assignment(
            job_id=header.id,
            bundle=bundle,
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
            timeout_s=min(round(left_s, 1), header.timeout_s or left_s),
            memory_mib=min(left_mib, header.memory_mib or left_mib),
            goes_on_later=True,
        )

    def _ready_pool(self, owner: str) -> Pool:
        """The pool; a new one where its UDFs' credentials are about to expire, or are another's."""
        if self._role is not None:
            self._role.serve(owner)
        credentials = None if self._role is None else self._role.credentials()
        if self._pool is not None and (credentials != self._credentials or owner != self._owner):
            self.close()
        if owner != self._owner:
            self._owner, self._home = owner, self._new_home()
        if self._pool is None:
            given = None
            if self._role is not None and credentials is not None:
                given = {ENV_RUN_AS: self._role.arn, **as_variables(credentials)}
            self._pools += 1
            folder = self._folder / f"pool-{os.getpid()}-{self._pools}"
            shutil.rmtree(folder, ignore_errors=True)
            self._pool = Pool(1, folder, environment=udf_environment(os.environ, given, self._home))
            self._credentials = credentials
        return self._pool

    def _new_home(self) -> str:
        """A home for another owner's runs, which would go by what is in the last one's: AWS's settings, cached code."""
        if self._home:
            shutil.rmtree(self._home, ignore_errors=True)
        return tempfile.mkdtemp(prefix="home-", dir=self._folder)


def _put_off_if_cut(event: Event) -> Event:
    """The event, or of a run that met the limit which others had left it, that it is to be started anew."""
    if event.kind is not EventKind.FINISHED or event.status is not RunStatus.TIMED_OUT:
        return event
    return event._replace(status=RunStatus.FAILED, error=_NO_TIME)


def _blame_start(event: Event, *, again: bool) -> Event:
    """The event, or of a run that met a limit which the start of its environment had moved up, that this was why.

    Lambda counts a start that takes longer than 10 s, and Fanfold's fetching of packages. The environment is warm now,
    so that another try has all its time; without one left it is the time-out that it is.
    """
    if event.kind is not EventKind.FINISHED or event.status is not RunStatus.TIMED_OUT or event.error is None:
        return event
    message = f"{event.error.message}: the start of its environment has taken what is missing of its time"
    if not again:
        return event._replace(error=event.error._replace(message=message, next_step=_WARM_NOW))
    error = RunError("StartTookItsTime", message, event.error.traceback, infrastructure=True, next_step=_WARM_NOW)
    return event._replace(status=RunStatus.FAILED, error=error)


def _arguments(header: JobHeader, run: RunItem, stores: AwsStores) -> str:
    given = run["arguments"]
    if "text" in given:
        return together(given["text"], header.constants)
    start, stop = given["range"]
    own = stores.objects.get_range(inputs_key(header.id), int(start), int(stop)).decode()
    return together(own, header.constants)


#: The one environment of this process, made by its first run: importing does nothing.
_kept: list[Environment] = []
