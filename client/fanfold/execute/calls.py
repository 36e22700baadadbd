"""What a pool is asked to run, and what it reports back."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from fanfold.models import Event


class Assignment(NamedTuple):
    """What all calls of one job share.

    `bundle` is the file that holds the UDF's source bundle, `blobs` the folder of large arguments by hash.
    `timeout_s` and `memory_mib` None: no limit.
    """

    job_id: str
    bundle: Path
    blobs: Path
    serializer: str = "auto"
    timeout_s: float | None = None
    memory_mib: int | None = None
    max_concurrency: int | None = None
    #: Seconds between usage events of a running call; None for none.
    usage_interval_s: float | None = None
    #: The folder that all runs share (`fanfold.mount_path`), where it is not said by the environment already.
    mount: Path | None = None

    def for_workers(self) -> dict[str, str]:
        """What `perform.Assignment` takes."""
        paths = {"bundle": str(self.bundle), "blobs": str(self.blobs)}
        return {"job_id": self.job_id, **paths, "serializer": self.serializer, "mount": str(self.mount or "")}


class Call(NamedTuple):
    """One attempt of one run: its index, its attempt, its arguments as encoded text."""

    index: int  # type: ignore[assignment]  # tuple.index is of no use here
    attempt: int
    arguments: str


class Report(NamedTuple):
    """An event, and the file that holds its result where that is too large to travel inside.

    Whoever records the event stores the file first: a run counts as done only when its result is safe.
    """

    event: Event
    result_file: Path | None = None


class Feed(Protocol):
    """Where a pool's calls come from and where its reports go. Used by the pool's own thread only."""

    assignment: Assignment

    def take(self) -> Call | None:
        """The next call to run, or None where there is none for now."""

    def record(self, reports: Sequence[Report]) -> None:
        """Keep what happened. May make new calls available (a retry)."""
