"""The nouns: a job's header, the events of its runs, and where a result is kept.

All are plain data that never changes. What they mean together is `fold`'s business. They are named tuples: made three
times as fast as frozen dataclasses, and without `dataclasses`, whose import takes longer than a worker's own code. Nor
are annotations postponed here, as in every module of named tuples on the way to a first run: as text, each field's is
compiled on import, which takes as long as the rest of the class.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, NamedTuple

from fanfold.contract.limits import DEFAULT_MAX_RETRY
from fanfold.core.ids import new_event_id
from fanfold.errors import StoreError


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

    @property
    def final(self) -> bool:
        """True where nothing more will come of the attempt."""
        return self not in (RunStatus.QUEUED, RunStatus.RUNNING)

    @property
    def good(self) -> bool:
        """True where there is a result."""
        return self in (RunStatus.SUCCEEDED, RunStatus.CACHED)


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
    The kinds from `process` to `stop` tell of the job as a whole (`job_records`); their index is -1.
    """

    QUEUED = "queued"
    STARTED = "started"
    FINISHED = "finished"
    LOG = "log"
    USAGE = "usage"
    PROCESS = "process"
    RUNNER = "runner"
    DISPATCH = "dispatch"
    QUEUE = "queue"
    THROTTLE = "throttle"
    MACHINE = "machine"
    EXECUTION_FAILURE = "execution_failure"
    STOP = "stop"


#: Kinds a reader that only follows output and machine load asks for; all the others make up the state.
TELEMETRY = frozenset({EventKind.LOG, EventKind.USAGE})


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


class RunError(NamedTuple):
    """Why a run failed, as told by whatever saw it fail.

    `types` names the exception's class and its bases (`module.Class`), so that `retry_on` can match any of them.
    """

    type: str
    message: str
    traceback: str = ""
    types: tuple[str, ...] = ()
    #: True where the run's surroundings failed (a killed worker, a throttle), not the user's code.
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
    log {"text"}, usage {"cpu_percent", "memory_mib", ...}, and of the job as a whole a record's fields (`job_records`).
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


class JobHeader(NamedTuple):
    """What is known of a job when it starts; only `cancelled_at` ever changes, and the code with `retry(udf=...)`.

    `instance_type` None is the realtime path. Times are seconds since 1970, memory is MiB for each run, `usd_per_hour`
    is what the instance type's host costs.
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
    #: The code that `retry(udf=...)` has brought since, one after the other; failed runs run the last of them.
    fixed_bundles: tuple[str, ...] = ()
    fixed_hashes: tuple[str, ...] = ()

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


class CacheEntry(NamedTuple):
    """A result that may serve again."""

    key: str
    output: Output
    created_at: float
    duration_s: float = 0.0
    job_id: str = ""


# How a job's header is written down: one line of JSON that a later version can still read.

_FIELDS = tuple(name for name in JobHeader._fields if name != "cancelled_at")
_TUPLES = ("parameters", "retry_on", "fixed_bundles", "fixed_hashes")


def header_to_text(header: JobHeader) -> str:
    """The header as JSON, without the cancel flag: that changes, and is kept beside it."""
    return json.dumps({name: getattr(header, name) for name in _FIELDS}, separators=(",", ":"))


def header_from_text(text: str, *, cancelled_at: float | None) -> JobHeader:
    """The header that `header_to_text` wrote; fields this version does not know are passed over.

    Raises `StoreError` where it is damaged.
    """
    try:
        return _header_from(json.loads(text), cancelled_at)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise StoreError(
            f"The header of a job is damaged: {error}.",
            next_step="other jobs are as they were; submit this one again.",
        ) from error


def _header_from(facts: dict[str, Any], cancelled_at: float | None) -> JobHeader:
    known = {name: facts[name] for name in _FIELDS if name in facts}
    known.update({name: tuple(known[name]) for name in _TUPLES if name in known})
    known.setdefault("costs_money", known.get("engine") != "local")  # headers did not say so at first
    header = JobHeader(**known, cancelled_at=cancelled_at)
    if not isinstance(header.id, str) or not isinstance(header.count, int) or header.count < 0:
        raise ValueError(f"it says id {header.id!r} and {header.count!r} runs")
    return header
