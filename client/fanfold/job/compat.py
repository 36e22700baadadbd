"""The older spelling of a job: names of the system this follows, in terms of today's (see docs/compatibility.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fanfold.core.models import BAD, GOOD, OLDER_WORDS, RunStatus
from fanfold.core.options import check_flags
from fanfold.errors import FanfoldError
from fanfold.job import logs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    import pandas as pd

    from fanfold.errors import RunFailed
    from fanfold.job.results import Contents
    from fanfold.job.run import Run
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


class JobCompat:
    """Questions and words that today's names answer as well."""

    if not TYPE_CHECKING:  # type checkers are to know each name

        def __getattr__(self, name: str) -> Any:
            from fanfold.core.elsewhere import OF_JOB, attribute_hint

            said = attribute_hint(name, OF_JOB)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{said}", name=name, obj=self)

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

    @property
    def n_jobs(self: CompatJob) -> int:
        """How many runs there are."""
        return len(self)

    @property
    def arg_list(self: CompatJob) -> list[dict[str, Any]]:
        """The arguments of each run."""
        return [self.contents.own_arguments(index) for index in range(len(self))]

    def logs_df(
        self: CompatJob,
        status_column: str | None = "status",
        time_column: str | None = "time",
        result_column: str | None = "result",
        logs_column: str | None = "logs",
        *,
        exception_column: str | None = None,
        include_exceptions: bool = True,
    ) -> pd.DataFrame:
        """One row a run: its arguments, `status`, `time` in seconds, `result` (or its error) and `logs`.

        The columns can have other names, or be left out by None; `exception_column` puts errors in one of their own.
        """
        from fanfold.job.results import argument_frame

        state, printed = self.tracker.look(), logs.by_run(self.contents)
        ended = self.results_now(return_exceptions=True)
        runs = range(len(self))
        errors = {index: value for index, value in ended.items() if isinstance(value, FanfoldError)}
        shown = {**ended, **dict.fromkeys(errors)} if exception_column or not include_exceptions else ended
        columns: dict[str | None, list[Any]] = {
            status_column: [OLDER_WORDS[state.status_of(index)] for index in runs],
            time_column: [state.duration_s(index) for index in runs],
            result_column: [shown.get(index) for index in runs],
            logs_column: [printed.get(index, "") if index in ended else None for index in runs],
            exception_column: [errors.get(index) for index in runs],
        }
        own: dict[str, list[Any]] = {name: values for name, values in columns.items() if name is not None}
        return argument_frame([self.contents.own_arguments(index) for index in runs]).assign(**own)

    def tail(self: CompatJob, stop_on_exception: bool = False, timeout: float | None = None) -> None:
        """Wait, and print a line for each run as it ends. Raises `WaitTimeout`."""
        check_flags(stop_on_exception=stop_on_exception)
        for run in self.as_completed(timeout):
            print(f"run {run.index} {OLDER_WORDS[run.status]}: {run.input}")  # noqa: T201  what it is for
            if stop_on_exception and run.error is not None:
                raise run.error
