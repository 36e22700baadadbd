"""What the state machines carry: the shape of their inputs, and of what they write when a run's Lambda has died."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from fanfold.contract.cloud import EXPIRES_AT, PARTITION_KEY, SORT_KEY, WAKES
from fanfold.contract.layout import LARGEST_BATCH

if TYPE_CHECKING:
    from typing_extensions import NotRequired

#: One Express child holds this many runs: an inline Map runs 40 at once, and 256 KiB of state must hold them all.
RUNS_PER_CHILD = LARGEST_BATCH


class DispatchJob(TypedDict):
    """The part of a job's header that goes with every run. `expires_at`: seconds since 1970, for TTL."""

    id: str
    expires_at: int


class RunItem(TypedDict):
    """One attempt to be made. `function` is one of `DeploymentDescriptor["functions"]`, `key` the run's cache key.

    `arguments` holds `text`, the arguments' tagged JSON as text, for Step Functions' JSON would not bring every number
    back as it was; or, where that is long, `range`: from and up to which byte of the job's inputs it stands.
    """

    index: int
    attempt: int
    shard: int
    function: str
    key: str
    arguments: dict[str, Any]
    #: Further runs, which the same invocation performs after it; together at most `RUNS_PER_CHILD`.
    more: NotRequired[list[RunItem]]


#: Longest text of arguments, as JSON, that travels with its item: 40 of these leave room in 256 KiB of state.
INLINE_ARGUMENTS_BYTES = 4096


class BatchInput(TypedDict):
    """What goes with every batch of items."""

    job: DispatchJob


class ExpressInput(TypedDict):
    """Input of the express state machine, and of each child of the distributed one. At most `RUNS_PER_CHILD` items."""

    BatchInput: BatchInput
    Items: list[RunItem]


class DistributedInput(TypedDict):
    """Input of the distributed state machine. `manifest_key`: JSONL of `RunItem`.

    At most `max_children` at once, each of which has up to `runs_per_child` runs (at most `RUNS_PER_CHILD`) at once.
    """

    job: DispatchJob
    manifest_key: str
    max_children: int
    runs_per_child: int


class DedicatedInput(TypedDict):
    """Input of the dedicated state machine. `queue` and `definition` from `Lane`; `machines` 1 to 10,000."""

    job: DispatchJob
    queue: str
    definition: str
    machines: int


class RunPayload(TypedDict):
    """What the realtime function is invoked with, by a state machine or directly.

    `token`: of a call whose answer may be lost and which is then made again. What has a token is performed once.
    """

    job: DispatchJob
    run: RunItem
    token: NotRequired[str]


#: Attributes of the event that a state machine writes when whatever ran a run is gone. `at` is ISO 8601; `failure` is
#: the raw JSON with `Error` and mostly `Cause`; `execution` the ARN of what wrote it.
FAILED_EXECUTION_ATTRIBUTES = (
    PARTITION_KEY,
    SORT_KEY,
    EXPIRES_AT,
    "kind",
    "index",
    "attempt",
    "at",
    "status",
    "failure",
    "execution",
    WAKES,
)
#: Its `status`: the reader makes a `RunStatus` and a `RunError` of `failure`.
FAILED_EXECUTION = "failed_execution"
