"""The older spelling of a job: names of the system this follows, in terms of today's (see docs/compatibility.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fanfold.core.models import BAD, GOOD, RunStatus
from fanfold.core.options import check_flags
from fanfold.job import logs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    import pandas as pd

    from fanfold.errors import RunFailed
    from fanfold.job.job import Run
    from fanfold.job.results import Contents
    from fanfold.job.waiting import Tracker

    class CompatJob(Protocol):
        """What a job gives to its older spelling."""

        tracker: Tracker

        @property
        def contents(self) -> Contents:
            """Its stores, as values."""

        def __len__(self) -> int: ...
        def error(self, index: int) -> RunFailed | None:
            """Why a run failed."""

        def results_now(self, return_exceptions: bool = False) -> dict[int, Any]:
            """The values by now."""

        def as_completed(self, timeout: float | None = None) -> Iterator[Run]:
            """The runs, as they end."""

        def _value(self, index: int) -> Any: ...


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


class Status(str):
    """A job's status: text, as `job.status`, and called, as `job.status()`, the runs of each older status counted."""

    __slots__ = ("_counts",)

    _counts: dict[RunStatus, int]

    @classmethod
    def of(cls, word: str, counts: dict[RunStatus, int]) -> Status:
        """The job's status in a word, and how many runs there are of each status."""
        status = cls(word)
        status._counts = counts
        return status

    def __call__(self) -> pd.Series[int]:
        """How many runs there are of each status, in the older words, as a series."""
        import pandas as pd

        words = [OLDER_WORDS[status] for status, count in self._counts.items() for _ in range(count)]
        return pd.Series(words, name="status", dtype=object).value_counts()


class OlderSpelling:
    """Questions and words that today's names answer as well."""

    def done(self: CompatJob) -> bool:
        """True where every run has ended."""
        return self.tracker.look().done

    def all_succeeded(self: CompatJob) -> bool:
        """True where every run has a result."""
        return sum(1 for _ in self.tracker.look().indexes(*GOOD)) == len(self)

    def any_succeeded(self: CompatJob) -> bool:
        """True where some run has a result."""
        return next(self.tracker.look().indexes(*GOOD), None) is not None

    def any_failed(self: CompatJob) -> bool:
        """True where some run has failed; a cancelled one has not."""
        failed = [status for status in BAD if status is not RunStatus.CANCELLED]
        return next(self.tracker.look().indexes(*failed), None) is not None

    def results_now(self: CompatJob, return_exceptions: bool = False) -> dict[int, Any]:
        """The values that there are by now, by index. Raises the first `RunFailed` unless `return_exceptions`."""
        check_flags(return_exceptions=return_exceptions)
        found: dict[int, Any] = {}
        for index in self.tracker.look().indexes(*GOOD, *BAD):
            error = self.error(index)
            if error is not None and not return_exceptions:
                raise error
            found[index] = error or self._value(index)
        return found

    def success(self: CompatJob) -> dict[int, Any]:
        """The values that there are by now, by index."""
        return {index: self._value(index) for index in self.tracker.look().indexes(*GOOD)}

    def first_log(self: CompatJob) -> str | None:
        """What the first run that has ended has printed; None where none has."""
        first = next(self.tracker.look().indexes(*GOOD, *BAD), None)
        return None if first is None else logs.text(self.contents, first)

    def logs_df(self: CompatJob) -> pd.DataFrame:
        """One row a run: its arguments, `status`, `result` (or its error), `time` in seconds and `logs`."""
        from fanfold.job.results import argument_frame

        state, printed = self.tracker.look(), logs.by_run(self.contents)
        ended = self.results_now(return_exceptions=True)
        runs = range(len(self))
        columns: dict[str, list[Any]] = {
            "status": [OLDER_WORDS[state.status_of(index)] for index in runs],
            "result": [ended.get(index) for index in runs],
            "time": [state.duration_s(index) for index in runs],
            "logs": [printed.get(index, "") if index in ended else None for index in runs],
        }
        return argument_frame([self.contents.own_arguments(index) for index in runs]).assign(**columns)

    def tail(self: CompatJob, stop_on_exception: bool = False, timeout: float | None = None) -> None:
        """Wait, and print a line for each run as it ends. Raises `WaitTimeout`."""
        check_flags(stop_on_exception=stop_on_exception)
        for run in self.as_completed(timeout):
            print(f"run {run.index} {OLDER_WORDS[run.status]}: {run.input}")  # noqa: T201  what it is for
            if stop_on_exception and run.error is not None:
                raise run.error
