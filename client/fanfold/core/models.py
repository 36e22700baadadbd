"""The nouns: a job's header, the events of its runs, and where a result is kept.

All are plain data that never changes. What they mean together is `fold`'s business. They are named tuples: made three
times as fast as frozen dataclasses, and without `dataclasses`, whose import takes longer than a worker's own code.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from fanfold.contract.layout import DEFAULT_MAX_RETRY
from fanfold.contract.records import NamedTuple

if TYPE_CHECKING:
    from _hashlib import HASH

    from _typeshed import ReadableBuffer

# Identifiers that sort by time.

#: In the order of the alphabet: a word is the 32nd part of a second in which a job was made.
_WORDS = (
    "amber aspen basil birch cedar clover delta dune elm ember fern fjord garnet grove harbor iris "
    "juniper kelp lagoon maple north olive pebble quartz river sable tundra umber valley willow yarrow zephyr"
).split()

_count = itertools.count()


def new_job_id(now: float | None = None) -> str:
    """A job id that sorts by time, to a millisecond, and reads well aloud, such as `20260131-141502-river-7f3a01c6`."""
    moment = time.time() if now is None else now
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(moment))
    word, rest = divmod(int(moment % 1 * (32 << 5)), 1 << 5)
    noise = int.from_bytes(os.urandom(4), "big") & 0x7FF_FFFF  # two who submit in one millisecond must not share an id
    return f"{stamp}-{_WORDS[word]}-{rest << 27 | noise:08x}"


def new_event_id(at: float) -> str:
    """An event id: milliseconds, then this process's random tag, then a count, so that no two are alike."""
    number = int(at * 1000) << 64 | (_tag.bits or _tag.renew()) | next(_count) & 0xFFFFFFFF
    return number.to_bytes(14, "big").hex()


class _Tag:
    """What tells this process's events from those of all others."""

    bits = 0

    def renew(self) -> int:
        self.bits = int.from_bytes(os.urandom(4), "big") << 32
        return self.bits


_tag = _Tag()
os.register_at_fork(after_in_child=_tag.renew)  # a forked child must not share its parent's

# SHA-256 that starts without OpenSSL, whose loading would take a tenth of every worker's start.

#: Python's own takes 3 ms for this much.
_OWN_BYTES = 256 * 1024


class Hasher:
    """`hashlib.sha256`, which turns to OpenSSL once there is much to hash."""

    def __init__(self) -> None:
        self._hash: Callable[..., HASH] = _pythons_own()
        self._left_bytes = _OWN_BYTES

    def sha256(self, data: ReadableBuffer = b"") -> HASH:
        """The hash of `data`, to be updated or read. What grows by large pieces begins with one of them."""
        if self._left_bytes > 0:
            self._left_bytes -= memoryview(data).nbytes
            if self._left_bytes <= 0:
                from hashlib import sha256

                self._hash = sha256
        return self._hash(data)


def _pythons_own() -> Any:
    try:
        return __import__("_sha2" if sys.version_info >= (3, 12) else "_sha256").sha256
    except ImportError:  # built without
        from hashlib import sha256

        return sha256


#: This process's.
sha256 = Hasher().sha256

# Hashes and ids are hexadecimal text; as bytes they take half the room.


def compact(text: str) -> bytes | str:
    """The bytes that `text` spells, or `text` itself where it is not hexadecimal or would come back otherwise."""
    try:
        packed = bytes.fromhex(text)
    except ValueError:
        return text
    return packed if packed.hex() == text else text


def compact_to(size: int, text: str) -> bytes:
    """The `size` bytes that `text` spells, or none where it spells something else."""
    packed = compact(text)
    return packed if isinstance(packed, bytes) and len(packed) == size else b""


def expand(stored: bytes | str) -> str:
    """The text that `compact` was given."""
    return stored.hex() if isinstance(stored, bytes) else stored


class RunStatus(str, Enum):
    """What a run is; everything but queued and running is final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    CACHED = "cached"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    CANCELLED = "cancelled"
    LOST = "lost"

    __hash__ = str.__hash__  # what an Enum has instead is a function of Python, called for each look into a dict

    @property
    def final(self) -> bool:
        """True where nothing more will come of the attempt."""
        return self not in (RunStatus.QUEUED, RunStatus.RUNNING)

    @property
    def good(self) -> bool:
        """True where there is a result."""
        return self in (RunStatus.SUCCEEDED, RunStatus.CACHED)

    def __call__(self) -> str:
        """The older spelling: `job[0].status()` in the older words."""
        return OLDER_WORDS[self]


#: What a run's status was called.
OLDER_WORDS = {
    RunStatus.QUEUED: "pending",
    RunStatus.RUNNING: "running",
    RunStatus.SUCCEEDED: "success",
    RunStatus.CACHED: "success",
    RunStatus.FAILED: "error",
    RunStatus.TIMED_OUT: "timeout",
    RunStatus.OUT_OF_MEMORY: "error",
    RunStatus.CANCELLED: "cancelled",
    RunStatus.LOST: "error",
}

GOOD = (RunStatus.SUCCEEDED, RunStatus.CACHED)
#: Ended without a result, by themselves.
FAILED = (RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.OUT_OF_MEMORY, RunStatus.LOST)
#: Ended without a result.
BAD = (*FAILED, RunStatus.CANCELLED)


class JobStatus(str, Enum):
    """What a job is, in the words that users see."""

    QUEUED = "Queued"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


class EventKind(str, Enum):
    """The facts that are recorded.

    `queued` is written only when a run is to be tried beyond its first budget of attempts (`retry`).
    The kinds from `process` on tell of the job as a whole (`job_records`); their index is -1.
    """

    QUEUED = "queued"
    STARTED = "started"
    FINISHED = "finished"
    LOG = "log"
    USAGE = "usage"
    STEP = "step"
    PROCESS = "process"
    RUNNER = "runner"
    DISPATCH = "dispatch"
    QUEUE = "queue"
    THROTTLE = "throttle"
    MACHINE = "machine"
    EXECUTION_FAILURE = "execution_failure"
    STOP = "stop"
    CACHE = "cache"
    ENVIRONMENT = "environment"
    STAGE = "stage"
    LARGER = "larger"

    __hash__ = str.__hash__


#: Kinds a reader that only follows output, load and steps asks for; all the others make up the state.
TELEMETRY = frozenset({EventKind.LOG, EventKind.USAGE, EventKind.STEP})

NO_DATA: Mapping[str, Any] = MappingProxyType({})


class Output(NamedTuple):
    """Where a result is kept, and how its bytes are read.

    Small results travel `inline`; others are the object at `key`. Exactly one of the two is set.
    """

    codec: str
    sha256: str
    size: int
    inline: bytes | None = None
    key: str | None = None


#: The type of error of a run whose start was refused to the end for want of capacity: it has not been tried at all.
THROTTLED = "Throttled"
#: That of a run that has ended between two of its steps, near its time limit, to go on from there in its next attempt.
GOES_ON = "fanfold.execution.worker.steps.GoesOnLater"


class RunError(NamedTuple):
    """Why a run failed, as told by whatever saw it fail.

    `types` names the exception's class and its bases (`module.Class`), so that `retry_on` can match any of them.
    """

    type: str
    message: str
    traceback: str = ""
    types: tuple[str, ...] = ()
    #: True where the infrastructure of the run failed (a killed worker, a throttle), not the user's code.
    infrastructure: bool = False
    #: What to do about it, where what saw it knows more than that the UDF is to be fixed.
    next_step: str = ""
    #: The exception itself as the codec's text, where it has one that is short; for readers that have its class.
    exception: str = ""


class Usage(NamedTuple):
    """What an attempt took: seconds, CPU seconds, MiB at its peak."""

    duration_s: float = 0.0
    cpu_s: float = 0.0
    peak_memory_mib: float = 0.0


class Event(NamedTuple):
    """One immutable fact about one attempt of one run.

    `status`, `output`, `error` and `usage` belong to `finished`; `data` holds what the other kinds tell:
    log {"text"}, usage {"cpu_percent", ...}, step {"name", ...}, and of the job as a whole a record's fields.
    """

    job_id: str
    index: int  # type: ignore[assignment]  # tuple.index is of no use here
    attempt: int
    kind: EventKind
    at: float
    id: str
    status: RunStatus | None = None
    output: Output | None = None
    error: RunError | None = None
    usage: Usage | None = None
    data: Mapping[str, Any] = NO_DATA

    @classmethod
    def new(
        cls, job_id: str, index: int, attempt: int, kind: EventKind, *, at: float | None = None, **facts: Any
    ) -> Event:
        """An event of now (or `at`, seconds since 1970), with an id of its own."""
        moment = time.time() if at is None else at
        return cls(job_id, index, attempt, kind, moment, new_event_id(moment), **facts)


#: What every encoded path has in its text; and in a text within a text, as the values of a bundle's graph are.
PATH_TAG, PATH_TAG_WITHIN = '"$path"', r"\"$path\""


class PathRules(NamedTuple):
    """Which paths count when a result is to be used again, beside every `Path` among the arguments.

    `parameters`: those whose texts are paths, too. `check_results`: True looks at texts in results as well, False at
    nothing in them.
    """

    parameters: tuple[str, ...] = ()
    check_results: bool | None = None


class JobHeader(NamedTuple):
    """What is known of a job when it starts; only `cancelled_at` ever changes, and the code with `retry(udf=...)`.

    `instance_type` None is the realtime path. Times are seconds since 1970, memory is MiB a run, prices are the host's.
    """

    id: str
    name: str
    count: int  # type: ignore[assignment]
    engine: str
    owner: str
    created_at: float
    bundle_sha256: str
    code_hash: str
    #: The first parameter's name, and all parameters in the order of the signature: what frames are indexed by.
    parameters: tuple[str, ...] = ()
    instance_type: str | None = None
    serializer: str = "auto"
    timeout_s: float | None = None
    memory_mib: int | None = None
    max_workers: int | None = None
    n_processes_per_worker: int = 1
    max_retry: int = DEFAULT_MAX_RETRY
    retry_on: tuple[str, ...] = ()
    cache: bool = True
    cache_max_age_s: float = 0.0
    #: Arguments that are the same for every run, as encoded text (see `codec`).
    constants: str = "{}"
    cancelled_at: float | None = None
    version: int = 1
    usd_per_hour: float | None = None
    #: What realtime runs run on, which has its price.
    architecture: str = "x86_64"
    costs_money: bool = True
    #: After which failures no more runs are started: "same", "first" or "never" (see `stopping`).
    stop_on_error: str = "same"
    #: Each run in a process of its own.
    fresh: bool = False
    #: Secrets by their names, and variables with their values, that runs have in their environment.
    secrets: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    #: What opens its sealed secrets (see `stores.protocols.Seals`); "" where it has none.
    sealed_with: str = ""
    #: The code that `retry(udf=...)` has brought since, one after the other; failed runs run the last of them.
    fixed_bundles: tuple[str, ...] = ()
    fixed_hashes: tuple[str, ...] = ()
    #: Jobs of the same one may have runs in common (see `engines.following`); "" for one that shares nothing.
    flight: str = ""
    #: Parameters whose texts name files, and whether files that a result names are looked at (`PathRules`).
    depends_on: tuple[str, ...] = ()
    #: Defaults of parameters that are plain values, as encoded text: what runs that are not given one are labelled by.
    defaults: str = "{}"
    check_paths: bool | None = None
    #: The shortest and the longest pause before another try, in seconds; none: at once (see `options.pause_s`).
    backoff_s: tuple[float, ...] = ()
    jitter: bool = False
    #: How many runs one invocation of a function performs, one after the other.
    batch_size: int = 1
    #: Labels that the call gave it, as `name=value`; where it ran, as cache keys have it; its image's name; its commit.
    tags: tuple[str, ...] = ()
    image: str = ""
    image_name: str = ""
    commit: str = ""
    #: Runs a second and dollars at most (0: any); who is told of its end; whether slow runs get a duplicate.
    rate: float = 0.0
    budget_usd: float = 0.0
    notify: str = ""
    hedge: bool = False
    #: How many runs have begun after each stage of its ramp. Machines for what is too large, the smallest first; and of
    #: a job of such runs the one that they are of (`engines.larger`).
    stages: tuple[int, ...] = ()
    ladder: tuple[str, ...] = ()
    parent: str = ""

    @property
    def path_rules(self) -> PathRules | None:
        """Which paths count for the cache; None where nothing is kept for it."""
        return PathRules(self.depends_on, self.check_paths) if self.cache else None

    @property
    def current_bundle_sha256(self) -> str:
        """The bundle of the code that runs now."""
        return self.fixed_bundles[-1] if self.fixed_bundles else self.bundle_sha256

    def with_fixed_code(self, bundle_sha256: str, code_hash: str) -> JobHeader:
        """The same header with other code for runs from now on.

        Their results do not go into the cache: the keys that were written down with the inputs are those of the first
        code.
        """
        bundles, hashes = (*self.fixed_bundles, bundle_sha256), (*self.fixed_hashes, code_hash)
        return self._replace(fixed_bundles=bundles, fixed_hashes=hashes, cache=False)

    def cancelled(self, at: float | None) -> JobHeader:
        """The same header with the cancel flag set (seconds since 1970) or cleared (None)."""
        return self._replace(cancelled_at=at)


class RunRef(NamedTuple):
    """One attempt of one run, to be started."""

    index: int  # type: ignore[assignment]
    attempt: int = 0
    #: The attempt that its budget of retries counts from; None: this one.
    first_attempt: int | None = None
    #: Not to be started before (seconds since 1970).
    due_at: float = 0.0


class CacheEntry(NamedTuple):
    """A result that may serve again."""

    key: str
    output: Output
    created_at: float
    duration_s: float = 0.0
    job_id: str = ""


# What is recorded of a job as a whole: who runs it, what was handed to AWS, and what keeps it waiting.


class ProcessRecord(NamedTuple):
    """A process that runs the job: the caller's own, or a runner. Its heartbeat has its name."""

    name: str
    host: str = ""
    pid: int = 0


class RunnerRecord(NamedTuple):
    """A runner process on its way up, `starting` since a moment (seconds since 1970), then `started`."""

    name: str
    host: str = ""
    state: str = "starting"
    since: float = 0.0


#: A `StopRecord` of this name tells why nobody could be told of the job's end.
UNTOLD = "notice"
#: The path of what is not started but waited for: an earlier job, the dispatch's name, performs it already.
FOLLOWING = "following"


class DispatchRecord(NamedTuple):
    """Runs that were handed on in one go by a path: `starting`, then `started` or `refused`; a reason: it failed."""

    name: str
    path: str = ""
    state: str = "starting"
    #: Which runs, as `engines.aws.dispatch` writes them.
    runs: str = ""
    reason: str = ""


class QueueRecord(NamedTuple):
    """Why a queue (`name`) has not started a machine for the job yet."""

    name: str
    reason: str = ""


class ThrottleRecord(NamedTuple):
    """That a service (`name`) refuses to start more of the job's runs for now."""

    name: str
    reason: str = ""


class MachineRecord(NamedTuple):
    """A machine that runs a dedicated job: `up`, then `done`, `stopped` or `failed`.

    `batch_job` is its job at AWS Batch, which may try it more than once: `attempt` counts from 1.
    """

    name: str
    state: str = "up"
    batch_job: str = ""
    attempt: int = 1
    instance_type: str = ""
    vcpus: float = 0
    reason: str = ""


class ExecutionFailureRecord(NamedTuple):
    """An execution (`name`) that failed before its machines came up."""

    name: str
    reason: str = ""


class StageRecord(NamedTuple):
    """How far a ramp (`name`: "ramp") has come: the runs below `stop` are to be started, after so many were `judged`.

    Or (`name`: a dispatch's) how much of that dispatch may run side by side: so many `children`, which are to become
    the `most`, of `runs_each`. `map_run`: the one that was widened last.
    """

    name: str
    stop: int = 0
    judged: int = 0
    children: int = 0
    most: int = 0
    runs_each: int = 0
    map_run: str = ""


class LargerRecord(NamedTuple):
    """A job (`name`) of so many runs that were too large here; on which rung of the ladder, counted from 1."""

    name: str
    rung: int = 1
    instance_type: str = ""
    count: int = 0  # type: ignore[assignment]


class StopRecord(NamedTuple):
    """Why no more runs are started (`name`: "errors", "budget", "ramp"). Its cancel flag has the same moment."""

    name: str
    reason: str = ""


class CacheRecord(NamedTuple):
    """How many runs the cache has answered (`name`: "answers"), and when these results were made (since 1970)."""

    name: str
    count: int = 0  # type: ignore[assignment]
    oldest: float = 0.0
    newest: float = 0.0


class EnvironmentRecord(NamedTuple):
    """That a worker has fetched and unpacked the packages that the UDF brings along, and the seconds that it took."""

    name: str
    seconds: float = 0.0


JobRecord: TypeAlias = (
    ProcessRecord
    | RunnerRecord
    | DispatchRecord
    | QueueRecord
    | ThrottleRecord
    | MachineRecord
    | ExecutionFailureRecord
    | StopRecord
    | CacheRecord
    | EnvironmentRecord
    | StageRecord
    | LargerRecord
)

_TYPES: dict[EventKind, Callable[..., JobRecord]] = {
    EventKind.PROCESS: ProcessRecord,
    EventKind.RUNNER: RunnerRecord,
    EventKind.DISPATCH: DispatchRecord,
    EventKind.QUEUE: QueueRecord,
    EventKind.THROTTLE: ThrottleRecord,
    EventKind.MACHINE: MachineRecord,
    EventKind.EXECUTION_FAILURE: ExecutionFailureRecord,
    EventKind.STOP: StopRecord,
    EventKind.CACHE: CacheRecord,
    EventKind.ENVIRONMENT: EnvironmentRecord,
    EventKind.STAGE: StageRecord,
    EventKind.LARGER: LargerRecord,
}
_KINDS = {of: kind for kind, of in _TYPES.items()}

Record = TypeVar("Record", bound=JobRecord)


def to_event(job_id: str, record: JobRecord, *, at: float | None = None) -> Event:
    """The event that tells of `record`, of now or `at` (seconds since 1970)."""
    given = {name: value for name, value in record._asdict().items() if value not in ("", 0)}
    return Event.new(job_id, -1, 0, _KINDS[type(record)], at=at, data=given)


def from_event(event: Event) -> JobRecord | None:
    """The record that an event tells of; None for an event of a run."""
    of = _TYPES.get(event.kind)
    if of is None:
        return None
    known: Iterable[str] = of._fields  # type: ignore[attr-defined]
    data = event.data
    return of(**{"name": "", **{name: data[name] for name in known if name in data}})


def records(events: Iterable[Event], of: type[Record]) -> list[Record]:
    """The records of one type that some events tell of."""
    found = (from_event(event) for event in events)
    return [record for record in found if isinstance(record, of)]
