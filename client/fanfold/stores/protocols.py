"""What a store can do. Each protocol has a local and an AWS implementation, and one contract suite for both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from fanfold.contract.records import NamedTuple
from fanfold.core.models import CacheEntry, Event, JobHeader

if TYPE_CHECKING:
    from mmap import mmap

#: `state` is all that `fold` needs; `telemetry` is logs and usage, which may be a thousand times as much.
Channel = Literal["state", "telemetry"]

#: Where a reader left off. Opaque: only the store that gave it can read it.
Cursor = str


class EventLog(Protocol):
    """Jobs and the events of their runs. Events are only ever appended."""

    def now(self) -> float:
        """What time it is where the log is kept, in seconds since 1970; this machine's clock may be minutes wrong."""

    def put_job(self, header: JobHeader) -> None:
        """Record a new job. Doing it again with the same header changes nothing."""

    def get_job(self, job_id: str) -> JobHeader:
        """The job's header as it is now. Raises `JobNotFound`."""

    def list_jobs(self, *, owner: str | None = None, limit: int = 100, before: str | None = None) -> list[JobHeader]:
        """Headers, newest first; `before` a job id, for the page after it."""

    def request_cancel(self, job_id: str, at: float | None) -> None:
        """Set the cancel flag (seconds since 1970), or clear it with None so that the job can go on."""

    def request_stack(self, job_id: str, index: int, question: str) -> None:
        """Have the worker that performs a run keep its stack under `stack_key(job_id, question)` within seconds.

        Where no worker performs it there will be nothing. A log of this machine does nothing: its workers are asked
        by a signal.
        """

    def replace_header(self, header: JobHeader) -> None:
        """Record a job's header anew, as `retry(udf=...)` needs it. Its cancel flag stays. Raises `JobNotFound`."""

    def append(self, events: Sequence[Event]) -> None:
        """Record events, all or none of them visible at once per call where the store allows; again is harmless."""

    def read_since(
        self, job_id: str, cursor: Cursor | None = None, *, channel: Channel = "state", consistent: bool = False
    ) -> tuple[list[Event], Cursor]:
        """The next page of events after `cursor`, oldest first, and where to go on. An empty page: all read for now.

        An event may come more than once and a little out of order: `fold` does not care. `consistent`: with all that
        anyone had recorded before; else what was recorded a moment ago may be missing where the log is far away, and
        come with a later page.
        """

    def put_brief(self, job_id: str, cursor: Cursor, text: str, *, cancelled_at: float | None = None) -> None:
        """Note how a job stands in a list, as of `cursor` and of that cancel flag.

        A log that is far away keeps it of jobs that have ended; a job that goes on takes it away (`drop_brief`).
        """

    def brief(self, job_id: str) -> tuple[str, bool] | None:
        """What was noted last, and whether nothing has been recorded of the job since; None where its flag changed."""

    def drop_brief(self, job_id: str) -> None:
        """Forget what was noted, for a job that had ended goes on. A log that sees this by itself does nothing."""

    def wait_for_news(self, timeout_s: float) -> bool:
        """Wait until something may have been recorded since this thread last waited; False after `timeout_s`.

        Read, and wait where there was nothing: what is recorded in between ends the wait at once. True may be a false
        alarm.
        """


class ObjectStore(Protocol):
    """Bytes under a key."""

    def put(self, key: str, data: bytes) -> None:
        """Keep `data` under `key`, whole or not at all."""

    def put_file(self, key: str, path: Path) -> None:
        """Keep the file at `path` under `key`, whole or not at all, and take the file away."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Keep `data` unless something is there already; True where it was kept."""

    def put_by_hash(self, key_of: Callable[[str], str], pieces: Sequence[bytes | memoryview]) -> str:
        """Keep what `pieces` make up under the key that their SHA-256 gives, unless it is there; the hash."""

    def get(self, key: str) -> bytes:
        """The bytes under `key`. Raises `ResultDamaged` where there are none."""

    def get_several(self, keys: Sequence[str]) -> list[bytes | None]:
        """The bytes under each of these keys, read side by side where that is faster; None where that did not do."""

    def get_writable(self, key: str) -> bytearray | mmap:
        """The same, in memory that its caller may change and keep; what is stored stays as it is."""

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        """The bytes from `start` up to, not including, `stop`; fewer at the end."""

    def exists(self, key: str) -> bool:
        """Whether anything is under `key`."""

    def refer(self, key: str) -> str:
        """The key by which arguments may name a result for as long as they are kept; its bytes go nowhere."""

    def delete(self, keys: Iterable[str]) -> None:
        """Take away what is under `keys`; what is not there already is passed over."""


class ResultCache(Protocol):
    """Results that may serve again, batched both ways."""

    def lookup(self, keys: Sequence[str], *, max_age_s: float, consistent: bool = False) -> dict[str, CacheEntry]:
        """The entries that exist and are no older than `max_age_s` seconds, by key.

        `consistent`: with all that anyone had recorded before; else what was recorded a moment ago may be missing.
        """

    def record(self, entries: Sequence[CacheEntry]) -> None:
        """Keep entries; a newer one replaces an older."""

    def forget(self, keys: Sequence[str]) -> None:
        """Take entries away, such as one whose result turned out damaged."""

    def join_flight(self, flight: str, job_id: str) -> list[str]:
        """Say that a job may compute results of a flight (see `engines.following`); the jobs that had said so before.

        One step: of any two jobs, exactly one is told of the other.
        """

    def leave_flight(self, flight: str, job_ids: Sequence[str]) -> None:
        """Tell nobody of these jobs any more: what they have computed is in the cache."""


class DataFile(NamedTuple):
    """A file that UDFs or people keep: its name below `data_path()`, its bytes, when it changed (s since 1970)."""

    name: str
    size: int
    changed_at: float


class DataFiles(Protocol):
    """The files below `fanfold.data_path()`."""

    def beginning(self, prefix: str) -> Iterator[DataFile]:
        """The files whose name begins so, by name."""

    def upload(self, pairs: Sequence[tuple[Path, str]]) -> None:
        """Keep copies of files of this machine under names. Each is whole or not there; an older one is replaced."""

    def download(self, pairs: Sequence[tuple[str, Path]]) -> None:
        """Copy files to this machine, into folders that are there. Each is whole or not there.

        Raises `InputError` for a name under which there is nothing.
        """
