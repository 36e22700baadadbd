"""What an engine can do."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from itertools import islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fanfold.contract.instances import InstanceType
from fanfold.contract.layout import ENV_RUN
from fanfold.contract.records import NamedTuple, made_of, no_collection
from fanfold.core.models import (
    BAD,
    NO_DATA,
    CacheEntry,
    CacheRecord,
    Event,
    EventKind,
    JobHeader,
    RunRef,
    RunStatus,
    StopRecord,
    new_event_id,
    to_event,
)
from fanfold.core.options import FailureWatch, Request, secret_variable
from fanfold.core.processes import Locked, has_ended, this_process
from fanfold.errors import ConfigurationError, InputMissing
from fanfold.settings import Settings, current, log_to_stderr
from fanfold.stores.protocols import DataFiles, EventLog, ObjectStore, ResultCache

if TYPE_CHECKING:
    from fanfold.codec.sealed import Sealing, SealingKey
    from fanfold.core.fold import JobState
    from fanfold.engines.schedule import ScheduleKeeper
    from fanfold.source.load import Bundle


class Description(NamedTuple):
    """An engine's limits: seconds and MiB of a realtime run, runs side by side, machines that can be asked for.

    It says all in which engines differ: nothing outside `engines/` asks for an engine's name or type.
    """

    name: str
    realtime_timeout_s: float
    realtime_memory_mib: int
    ask_concurrency: Callable[[], int]
    instance_types: Mapping[str, InstanceType]
    #: What results may depend on besides code and arguments; part of every cache key.
    image: str
    #: The name of that image; empty for the default one, and where there are none.
    image_name: str = ""
    #: Whether runs without an instance type can have it.
    has_realtime: bool = True
    #: The functions among which realtime runs are shared out; each grows at AWS's rate.
    functions: int = 1
    #: Version by name of the packages that runs can import; empty where that is not known from here.
    packages: Mapping[str, str] = NO_DATA
    #: What prices depend on: whether machines are Spot machines, and what the realtime function runs on.
    spot: bool = False
    architecture: str = "x86_64"
    costs_money: bool = True
    #: An instance type gets machines of its own, which have to start; else this machine serves it.
    has_machines: bool = True
    #: Runs import the packages that the caller has, not an image's.
    uses_own_packages: bool = False
    #: Of a job with a rate, realtime runs wait for their turn in a function, whose time that takes.
    functions_wait: bool = True
    #: Jobs go by themselves after some time; else they stay until `stores.remove_jobs` removes them.
    jobs_expire: bool = True
    #: A job may wait for runs of an earlier one (`follow`) also where it outlives its submitter.
    runs_follow_anywhere: bool = True
    #: Whether processes of a realtime run can share memory (/dev/shm).
    has_shared_memory: bool = True
    #: Whether calls that are no job can be made, by worker processes of this one (`engines.local.call_pool`).
    makes_calls: bool = False
    #: SNS topics that can be told of a job's end, beside any URL; None where nobody is told.
    notify_topics: Collection[str] | None = ()
    #: What keeps schedules here; None where nothing does.
    ask_scheduler: Callable[[], ScheduleKeeper] | None = None
    #: The Python of the image, such as "3.12"; empty where runs have the caller's own.
    python: str = ""
    #: MiB of disk that a realtime run and a machine have for packages; None where that is not known from here.
    realtime_disk_mib: int | None = None
    machine_disk_mib: int | None = None
    #: The names of the system libraries of the image, which may have to be asked for; None where they are not known.
    ask_libraries: Callable[[], Collection[str] | None] = lambda: None

    def check_image(self, machine: str | None, *, quiet: bool) -> str | None:
        """The machine to be asked for. Raises `InputError` where the image that a call names is not for it."""
        if not self.image_name:
            return machine
        from fanfold.engines.images import check_image

        return check_image(self, machine, quiet=quiet)

    def check(self, request: Request) -> None:
        """Raises `InputError` for what this engine cannot do, though another can."""
        if request.rate and self.functions_wait and request.instance is None:
            from fanfold.core.rates import check_waits

            check_waits(request.rate, request.max_workers)

    @property
    def concurrency(self) -> int:
        """Runs side by side at most, which may have to be asked for."""
        return self.ask_concurrency()


class Secrets(Protocol):
    """What UDFs ask for by name. Raises `ConfigurationError` for what is not there."""

    def get(self, name: str) -> str: ...  # noqa: D102
    def set(self, name: str, value: str) -> None: ...  # noqa: D102
    def remove(self, name: str) -> None: ...  # noqa: D102
    def names(self) -> list[str]: ...  # noqa: D102

    def check(self, names: Iterable[str]) -> None:
        """Raises `ConfigurationError` for one that cannot be had, as far as can be told without reading it."""


def secrets_of(header: JobHeader, stores: Stores) -> dict[str, str]:
    """The values of the secrets that a job's runs ask for, by name."""
    return {name: stores.secrets.get(name) for name in header.secrets}


class JobSealing:
    """What seals the secrets that a job is given: asked of the stores when there is one."""

    def __init__(self, stores: Stores, job_id: str, kept: str) -> None:
        self._stores = stores
        self._job_id = job_id
        self._kept = kept
        self._sealing: Sealing | None = None

    def __call__(self) -> Sealing:
        """What seals. Raises `ConfigurationError` where nothing does."""
        if self._sealing is None:
            self._sealing = self._stores.sealing(self._job_id, self._kept)
        return self._sealing

    @property
    def kept(self) -> str:
        """What the header is to keep of it; "" where there was no secret."""
        return self._kept if self._sealing is None else self._sealing.kept

    @property
    def key(self) -> SealingKey | None:
        """What opens what has been sealed; None where nothing has."""
        return None if self._sealing is None else self._sealing.key


def sealing_key_of(header: JobHeader, stores: Stores) -> bytes:
    """What opens the secrets that a job's runs are given; nothing of a job that has none."""
    return stores.sealing_key(header).values if header.sealed_with else b""


def variables_of(header: JobHeader, secrets: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """What a job's runs have in their environment of the job's own.

    An address of S3's among it is said to GDAL, DuckDB and their like by their own names, unless these are there.
    """
    given = dict(header.env)
    elsewhere: dict[str, str] = {}
    if endpoint := given.get("AWS_ENDPOINT_URL_S3") or given.get("AWS_ENDPOINT_URL"):
        from fanfold.contract.cloud import endpoint_variables  # few jobs have one

        elsewhere = {name: value for name, value in endpoint_variables(endpoint).items() if name not in given}
    return (*elsewhere.items(), *header.env, *((secret_variable(name), value) for name, value in secrets.items()))


class Stores(Protocol):
    """The stores that belong together. `scratch` is a folder from which `objects.put_file` is cheap.

    When `sync` returns, all that has been recorded so far outlives a power cut (see docs/durability.md).
    """

    @property
    def log(self) -> EventLog: ...  # noqa: D102
    @property
    def objects(self) -> ObjectStore: ...  # noqa: D102
    @property
    def cache(self) -> ResultCache: ...  # noqa: D102
    @property
    def scratch(self) -> Path: ...  # noqa: D102
    @property
    def secrets(self) -> Secrets: ...  # noqa: D102
    @property
    def data_place(self) -> str: ...  # noqa: D102
    @property
    def data(self) -> DataFiles: ...  # noqa: D102

    def sealing(self, job_id: str, kept: str = "") -> Sealing:
        """What seals a job's secret arguments; `kept` is what its header keeps of it already."""

    def sealing_key(self, header: JobHeader) -> SealingKey:
        """What opens a job's sealed secrets. Raises `ConfigurationError` for those who may not."""

    def remove_jobs(self, job_ids: Sequence[str]) -> int: ...  # noqa: D102

    def note_use(self, job_id: str) -> None:
        """Somebody reads the job's results: it is not to go before others that nobody has read for longer."""

    def used_at(self, job_id: str) -> float:
        """When the job was put or last read (seconds since 1970), as far as that decides what goes; else 0."""

    def sync(self) -> None: ...  # noqa: D102

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """While it is entered, calls of this thread that get no answer are given up after so many seconds, about."""

    def record(self, events: Sequence[Event], entries: Sequence[CacheEntry]) -> None:
        """Append events, then offer results to the cache."""


class Engine(Protocol):
    """Starts runs and looks after them. What becomes of them is read from the event log alone."""

    #: Set it where this process is about to end and its runs are to outlive it.
    detached: bool

    @property
    def stores(self) -> Stores:
        """The stores that its jobs are kept in."""

    def get_ready(
        self, *, dedicated: bool, bundle: Bundle | None = None, most: int | None = None, cached: bool = True
    ) -> None:
        """Prepare for runs that may be about to start, while their inputs are still being checked. Starts no run.

        Called again with their `bundle` once that is known; `most`: how many may run side by side; `cached`: whether
        there may be results of them.
        """

    def start(self, header: JobHeader, runs: Iterable[RunRef]) -> None:
        """Start these runs of a job that has been put. Starting one again is harmless."""

    def follow(self, header: JobHeader) -> None:
        """See to it that the job goes on by itself: that it takes over what it waits for (`engines.following`) and runs
        what is left of that, and that what is to come later begins (`engines.steward`)."""

    def cancel(self, header: JobHeader) -> None:
        """End what runs of this job. Its cancel flag has been set."""

    def reconcile(self, header: JobHeader, state: JobState) -> bool:
        """Find runs that nobody runs any more; start them again or record them as lost. True: something was done.

        Raises `StoreError` where this process runs the job and cannot record what comes of it.
        """

    def wait_for_news(self, timeout_s: float) -> bool:
        """Wait until there may be new events; False after `timeout_s`."""

    def describe(self, image: str = "") -> Description:
        """The engine's limits, where runs have one of its images. Raises `InputError` for one that there is not."""


# Which jobs this user has submitted from this machine, and whether the process that did so is still there.


def note_submitted_here(job_id: str) -> None:
    """Note that this process of this user submits the job: its results may be read with what they bring along."""
    marker = submitted_here_marker(job_id)
    with suppress(OSError):  # no room for it: the store tells of that, where it is on this disk
        marker.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        marker.touch(mode=0o600)
        marker.write_text(this_process(), encoding="utf-8")


def was_submitted_here(job_id: str) -> bool:
    """Whether this very user has submitted the job from this machine."""
    try:
        return submitted_here_marker(job_id).stat().st_uid == os.getuid()
    except OSError:
        return False


def submitter_has_ended(job_id: str) -> bool:
    """Whether the process that submitted the job is known to have ended: one of this machine, that is."""
    try:
        return has_ended(submitted_here_marker(job_id).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return False


def forget_submitted_here(job_id: str) -> None:
    """Remove the note of a job that is removed."""
    submitted_here_marker(job_id).unlink(missing_ok=True)


def submitted_here_marker(job_id: str) -> Path:
    """The file that says that this user submitted the job on this machine, so that its pickles are his own."""
    return current().home / "pickled" / job_id


# What the cache knows of a job that has been written down.

#: Keys looked up, and cached results recorded, at a time.
_CACHE_BATCH = 2000
#: What finds results that may serve again, of some runs and by their keys.
Find = Callable[[range, list[str]], Mapping[str, CacheEntry]]


def answer_from_cache(header: JobHeader, log: EventLog, key_of: Callable[[int], str], find: Find) -> bytearray:
    """Record a `cached` result for every run whose key `find` knows. 1 for each such run."""
    cached, answers = bytearray(header.count), CacheRecord("answers", 0, math.inf, 0.0)
    for first in range(0, header.count, _CACHE_BATCH):
        batch = range(first, min(first + _CACHE_BATCH, header.count))
        # Here next to nothing of what is made outlives a batch; while a network answers, others make garbage.
        with nullcontext() if header.costs_money else no_collection():
            runs, made_at = _answer(header, log, batch, [key_of(index) for index in batch], find)
        for index in runs:
            cached[index] = 1
        answers = _counted(answers, len(runs), made_at) if runs else answers
    if answers.count:
        log.append([to_event(header.id, answers)])
    return cached


def _answer(
    header: JobHeader, log: EventLog, batch: range, keys: list[str], find: Find
) -> tuple[list[int], list[float]]:
    """Record the results of those of these runs that `find` knows; which these are, and when what is known was made."""
    known, now = find(batch, keys), time.time()
    runs = [index for index, key in zip(batch, keys, strict=True) if key in known]
    if not runs:
        return [], []
    outputs = [known[key].output for key in keys if key in known]
    about = repeat(header.id), runs, repeat(0), repeat(EventKind.FINISHED), repeat(now), map(new_event_id, repeat(now))
    ends = *about, repeat(RunStatus.CACHED), outputs, repeat(None), repeat(None), repeat(NO_DATA)
    log.append(made_of(Event, ends, len(runs)))
    return runs, [entry.created_at for entry in known.values()]


def may_read_cache(header: JobHeader) -> bool:
    """False where somebody else may have put a pickle into the cache, which this job would unpickle as its own."""
    return header.serializer != "pickle" or not header.costs_money or current().allow_pickle


def _counted(answers: CacheRecord, more: int, made_at: list[float]) -> CacheRecord:
    oldest, newest = min(answers.oldest, *made_at), max(answers.newest, *made_at)
    return CacheRecord(answers.name, answers.count + more, oldest, newest)


# Starting no more runs of a job whose first ones all failed.

_LOOKED_AT = 100


def stop_job(log: EventLog, job_id: str, reason: str, *, name: str = "errors", at: float | None = None) -> None:
    """Record why no more runs are started, and set the cancel flag, both as of `at` (now)."""
    at = time.time() if at is None else at
    log.append([to_event(job_id, StopRecord(name, reason), at=at)])
    log.request_cancel(job_id, at)


def reason_to_stop(state: JobState) -> str:
    """Why no more runs of a job are to be started, as far as its state tells, or ""."""
    counts = state.counts()
    if state.header.cancelled_at is not None or counts[RunStatus.SUCCEEDED] or counts[RunStatus.CACHED]:
        return ""
    watch = FailureWatch(state.header.stop_on_error, escalates=bool(state.header.ladder))
    for index in islice(state.indexes(*BAD), _LOOKED_AT):
        if (error := state.error(index)) is not None and error.type == InputMissing.__name__:
            continue  # the code has not been tried
        if reason := watch.note(state.status_of(index), state.error(index)):
            return reason
    return ""


# Which engine a call uses, and the one instance of it that this process has.

#: What the path was called before engines had names.
_OLDER_NAMES = {"remote": "aws", "realtime": "aws", "batch": "aws"}

open_engines: dict[tuple[str, Path, str, int], Engine] = {}
_opening = Locked()


def engine_for(name: str | None = None) -> Engine:
    """The engine of that name; None for the one that the settings name. Raises `ConfigurationError`."""
    settings = current()
    log_to_stderr()
    chosen = name or settings.engine
    if chosen in _OLDER_NAMES:
        chosen = "aws" if settings.deployment else "local"
    # A forked child has none of its parent's threads, so it needs engines of its own.
    key = (chosen, settings.home, _whose(settings) if chosen == "aws" else "", os.getpid())
    with _opening.lock:  # threads that come first at once must not have an engine each
        if key not in open_engines:
            open_engines[key] = _opened(chosen, settings)
        return open_engines[key]


def start_early(name: str | None) -> None:
    """Have workers of this machine come up while their first caller still imports what it needs."""
    is_first = not open_engines and not getattr(sys, "frozen", False)
    if is_first and ENV_RUN not in os.environ and (name or current().engine) == "local":
        from fanfold.execution.pool import spawn

        spawn.start_early()


def shared_folder() -> Path | None:
    """The folder that all runs of the engine in force share, where runs are on this machine."""
    settings = current()
    if settings.engine != "local":
        return None
    from fanfold.stores.local import LocalStores

    return LocalStores(settings.home).shared_folder


def _opened(name: str, settings: Settings) -> Engine:
    if name == "local":
        from fanfold.engines.local.engine import LocalEngine

        return LocalEngine(settings.home)
    if name == "aws":
        from fanfold.engines.aws import open_engine

        return open_engine(settings)
    raise ConfigurationError(f"There is no engine {name!r}.", next_step='use "local" or "aws".')


def _whose(settings: Settings) -> str:
    """Which deployment the AWS engine is to be, and as whom."""
    return repr((settings.deployment, settings.region, settings.profile))
