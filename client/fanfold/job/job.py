"""A job, as its caller sees it, from whichever process."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, overload

from fanfold.core.fold import JobState
from fanfold.core.formatting import Seconds
from fanfold.core.models import BAD, GOOD, Event, EventKind, JobHeader, Output, RunRef, RunStatus
from fanfold.core.options import check_flags, check_number
from fanfold.engines.base import Engine
from fanfold.errors import (
    CodecError,
    ConfigurationError,
    InputError,
    ResultDamaged,
    RunFailed,
    StoreError,
    StoreUnavailable,
    WaitTimeout,
)
from fanfold.job import logs
from fanfold.job.compat import JobCompat, Status
from fanfold.job.results import Contents
from fanfold.job.run import Run
from fanfold.job.waiting import Pace, Progress, Tracker
from fanfold.settings import WithoutOwnFrames
from fanfold.stores.state import Brief, wall_s

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow.dataset as ds
    from matplotlib.figure import Figure
    from typing_extensions import Self

    from fanfold.core.cost import Cost
    from fanfold.job.cache_reasons import CacheReasons
    from fanfold.job.diff import Difference
    from fanfold.job.map import JobMap
    from fanfold.job.summary import Summary
    from fanfold.job.upstream import By, Grouped
    from fanfold.job.verify import Receipt

#: Runs of a cancelled job have ended after so many seconds, unless something is wrong.
_ENDING_S = 30.0


class Job(JobCompat):
    """One UDF over many inputs: what `submit(..., collect=False)` and `get_job` give.

    Everything is read from the event log, so any number of processes may hold the same job; each call reads what is
    new first.
    """

    def __init__(self, header: JobHeader, engine: Engine) -> None:
        #: Reads the job's events as they come.
        self.tracker = Tracker(header, engine)
        #: Its inputs, results and output.
        self.contents = Contents(header, engine.stores)

    @property
    def id(self) -> str:
        """What `fanfold.get_job` takes."""
        return self.header.id

    @property
    def header(self) -> JobHeader:
        """What was known when it started, and whether it has been cancelled."""
        return self.tracker.header

    @property
    def state(self) -> JobState:
        """Its state as it was last read; `status` and others read it anew."""
        return self.tracker.state

    def __len__(self) -> int:
        return self.header.count

    # --- waiting ---------------------------------------------------------------------------------------------------

    def wait(self, timeout: float | None = None, *, progress: bool | None = None) -> Self:
        """Wait until every run has ended; `timeout` in seconds. Returns the job itself.

        `progress` None shows a bar where there is a terminal or a notebook. Raises `WaitTimeout`.
        """
        check_flags(progress=progress)
        with self.tracker.waiting(), Progress(self.header, shown=progress) as bar:
            for state in self.changes(timeout, idle=bar.show):
                bar.show(state)
        return self

    def changes(
        self, timeout: float | None = None, *, idle: Callable[[JobState], None] | None = None
    ) -> Iterator[JobState]:
        """The job's state now, and after each change, until it is done. Raises `WaitTimeout`.

        `idle` is called with the state some times a second while nothing changes.
        """
        check_number("timeout", timeout, zero=True)
        return self.tracker.changes(timeout, idle=idle)

    def as_completed(self, timeout: float | None = None) -> Iterator[Run]:
        """Each run as it ends, good or bad, in the order in which they end. Raises `WaitTimeout`."""
        return self._completed_runs(self.changes(timeout))  # whatever is wrong with the timeout is told at once

    def _completed_runs(self, changes: Iterator[JobState]) -> Iterator[Run]:
        told = bytearray(len(self))
        for state in changes:
            for index in state.indexes(*GOOD, *BAD):
                if not told[index]:
                    told[index] = 1
                    yield Run(self, index)

    # --- results ---------------------------------------------------------------------------------------------------

    def result(self, index: int) -> Any:
        """The value of one run; waits where it has not ended. Raises `RunFailed`, or `ResultDamaged`."""
        position = self._position(index)
        with self.tracker.waiting():
            for state in self.tracker.changes():
                if state.status_of(position).final:
                    break
            return self.tracker.patiently(lambda: self._value(position))

    def results(
        self, return_exceptions: bool = False, *, ignore_exceptions: bool = False, allow_pickle: bool = False
    ) -> list[Any]:
        """All values in the order of the inputs, when all runs have ended.

        Raises the first `RunFailed`; with `return_exceptions` each stands in its run's place instead, and with
        `ignore_exceptions` failed runs are left out. `allow_pickle` reads what another has written with pickle,
        or as objects of classes that have to be rebuilt: reading that runs code that the results bring along. Results
        of jobs that you have submitted from this machine are read without it.
        """
        check_flags(return_exceptions=return_exceptions, ignore_exceptions=ignore_exceptions, allow_pickle=allow_pickle)
        self._opt_in(allow_pickle)
        with self.tracker.waiting():
            return self._results(return_exceptions, ignore_exceptions, progress=None)

    def _opt_in(self, allow_pickle: bool) -> None:
        self.contents.opted_in |= allow_pickle

    def _results(self, return_exceptions: bool, ignore_exceptions: bool, *, progress: bool | None) -> list[Any]:
        self.contents.load_pandas_meanwhile(self.state)
        early = self._decode_while_waiting(progress)
        if not (return_exceptions or ignore_exceptions) and any(True for _ in self.state.indexes(*BAD)):
            raise self.tracker.patiently(self._first_failure)
        indexes = list(range(len(self)) if return_exceptions else self.state.indexes(*GOOD))
        self.contents.read_plain(self.state, indexes, early)
        try:
            return [early.pop(index) if index in early else self._end_of(index) for index in indexes]
        except ResultDamaged as error:
            raise self._all_damaged(error) from error

    def collect(
        self,
        to: str | os.PathLike[str] | bool | None = None,
        flatten: bool = True,
        drop_index: bool = False,
        *,
        ignore_exceptions: bool = False,
        verbose: bool = True,
        progress: bool | None = None,
        allow_pickle: bool = False,
        log_timeout: float | None = None,  # noqa: ARG002  the older spelling
    ) -> pd.DataFrame:
        """All results as one frame, indexed by the arguments, when all runs have ended; `to` is a file to write it to.

        The file is CSV, Parquet, GeoParquet, GPKG, GeoJSON or JSONL by its ending, with the arguments as leading
        columns; `.tif` is a COG of the runs' rasters, `.vrt` a mosaic of the files they wrote (and the frame says where
        each lies in it), `.zarr` and `.nc` one dataset of theirs. What is named `s3://...` is uploaded. Frames are
        concatenated, dicts make a row each; other values stand in a column `result`.
        Results are decoded while other runs still run. Raises the first `RunFailed` unless `ignore_exceptions`, which
        leaves failed runs out and says how many. `drop_index` numbers the runs instead of naming their arguments;
        `progress` is that of `wait`, and `verbose=False` shows none; `allow_pickle` is that of `results`.
        """
        path = Path(to) if isinstance(to, (str, os.PathLike)) else None
        if path is None and to is not None:  # the older spelling's first argument
            ignore_exceptions = cast("bool", to)
        check_flags(ignore_exceptions=ignore_exceptions, flatten=flatten, drop_index=drop_index, verbose=verbose)
        check_flags(progress=progress, allow_pickle=allow_pickle)
        self._opt_in(allow_pickle)
        shown = progress if verbose else False
        with self.tracker.waiting():
            if path is None:
                return self._fold(ignore_exceptions, shown, flatten=flatten, drop_index=drop_index)[0]
            from fanfold.job.export import collect_into

            return collect_into(
                self,
                path,
                lambda: self._fold(ignore_exceptions, shown, flatten=flatten, drop_index=drop_index),
                ignore_exceptions=ignore_exceptions,
                progress=shown,
            )

    def _fold(
        self, ignore_exceptions: bool, progress: bool | None, *, flatten: bool, drop_index: bool
    ) -> tuple[pd.DataFrame, Sequence[Any], list[Any]]:
        """All results as one frame, and the labels and values that it is made of."""
        from fanfold.job.results import fold_results

        self.contents.may_be_frames = True  # by then
        values = self._results(False, ignore_exceptions, progress=progress)
        kept = list(self.state.indexes(*GOOD))
        if len(kept) < len(self) or self.header.costs_money:
            from fanfold.job.display import say_left_out, say_lost_files

            say_left_out(self.state)
            say_lost_files(self.state)
        inputs = kept if drop_index else self.tracker.patiently(lambda: self.contents.labels(kept))
        try:
            return fold_results(inputs, values, flatten=flatten), inputs, values
        except Exception as error:  # whatever the libraries of the user's frames raise
            from fanfold.job.failures import concatenation_error

            raise concatenation_error(self.id, error) from error

    df = collect

    # --- failures --------------------------------------------------------------------------------------------------

    def errors(self) -> dict[int, RunFailed]:
        """Why each failed run failed, by index."""
        state = self.tracker.look()
        return {index: self._failure(index) for index in state.indexes(*BAD)}

    def first_error(self) -> RunFailed | None:
        """The first failed run's error, by index; None where none has failed."""
        return next((self._failure(index) for index in self.tracker.look().indexes(*BAD)), None)

    def error(self, index: int) -> RunFailed | None:
        """Why one run failed, as far as has been read; None where it has not."""
        position = self._position(index)
        return self._failure(position) if self.state.status_of(position) in BAD else None

    def _decode_while_waiting(self, progress: bool | None) -> dict[int, Any]:
        """Wait until every run has ended, and meanwhile decode what has: the values by index."""
        values: dict[int, Any] = {}
        pace = Pace()
        with Progress(self.header, shown=progress) as bar:
            for state in self.tracker.changes(idle=bar.show):
                bar.show(state)
                if not state.done and pace.is_due():  # when all have ended there is nothing to decode beside
                    self._decode_into(values, state)
                    pace.note()
        return values

    def _end_of(self, index: int) -> Any:
        """The error or the value of a run that has ended, as soon as the store gives it out."""
        tell = self._failure if self.state.status_of(index) in BAD else self._value
        return self.tracker.patiently(lambda: tell(index))

    def _decode_into(self, values: dict[int, Any], state: JobState) -> None:
        good = list(state.indexes(*GOOD))
        self.contents.read_plain(state, good, values)
        for index in good:
            output = state.output(index) if index not in values else None
            if output is not None:
                with suppress(ResultDamaged, CodecError, StoreUnavailable):  # tried again when all have ended
                    values[index] = self._decode(index, output)

    def _value(self, index: int) -> Any:
        output = self.state.output(index)
        if output is None:
            raise self._failure(index)
        return self._decode(index, output)

    def _decode(self, index: int, output: Output) -> Any:
        try:
            return self.contents.value(index, output, cached=self.state.status_of(index) is RunStatus.CACHED)
        except ResultDamaged:
            self.contents.forget([index])
            raise

    def _all_damaged(self, first: ResultDamaged) -> ResultDamaged:
        """The error for a damaged result that tells how many others are; none of them is found in the cache again."""
        from fanfold.job.verify import verify_results

        others = len(verify_results(self.id, self.state, self.contents).damaged) - 1
        more = (
            f" {others:,} other {'results are' if others > 1 else 'result is'} damaged as well." if others > 0 else ""
        )
        return ResultDamaged(f"{first.message}{more}", next_step=first.next_step)

    def _position(self, index: int) -> int:
        """The run's number; negative counts from the end. Raises `IndexError`, or `TypeError` for what is no number."""
        try:
            number = operator.index(index)
        except TypeError:
            raise TypeError(f"a run of job {self.id} is asked for by its number, not by {index!r}") from None
        position = number + len(self) if number < 0 else number
        if not 0 <= position < len(self):
            raise IndexError(f"job {self.id} has {len(self)} runs, numbered from 0; there is no run {number}")
        return position

    def _failure(self, index: int) -> RunFailed:
        from fanfold.job.failures import failure_of

        return failure_of(self.state, self.contents, index)

    def _first_failure(self) -> RunFailed:
        from fanfold.job.failures import first_failure

        return first_failure(self.state, self.contents)

    # --- what it is ------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The UDF's name."""
        return self.header.name

    @property
    def status(self) -> Status:
        """Queued, Running, Completed, Failed or Cancelled."""
        state = self.tracker.look()
        return Status.of(state.status.value, state.counts())

    def brief(self) -> Brief:
        """How it stands in a list: status, counts, seconds, dollars. Of one that is kept no event is read again."""
        return self.tracker.brief()

    def counts(self) -> dict[str, int]:
        """How many runs there are of each status, without the zeros."""
        return {status.value: count for status, count in self.tracker.look().counts().items() if count}

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> list[Run]: ...
    def __getitem__(self, index: int | slice) -> Run | list[Run]:
        """The run of one input, negative counts from the end; or a list of those in a slice."""
        if isinstance(index, slice):
            return list(self)[index]
        position = self._position(index)
        self.tracker.look()
        return Run(self, position)

    def __iter__(self) -> Iterator[Run]:
        """Its runs in the order of the inputs, as they are now; a store that does not answer is waited for."""
        self.tracker.patiently(self.tracker.look)
        return (Run(self, index) for index in range(len(self)))

    def __repr__(self) -> str:
        from fanfold.job.display import line

        return line(self.tracker.refresh())

    def _repr_html_(self) -> str:
        from fanfold.job.display import html

        return html(self.tracker.refresh(), self.contents)

    def _ipython_display_(self) -> None:
        """In a notebook, show an open job and keep it up to date; all else IPython shows by the other two."""
        from fanfold.job.display import show_live

        if not show_live(self.header, self.tracker.engine):
            raise NotImplementedError

    def arg_df(self) -> pd.DataFrame:
        """The inputs as a frame, one row a run."""
        from fanfold.job.results import argument_frame

        return argument_frame(self.contents.labels(range(len(self))))

    def pending(self) -> dict[int, dict[str, Any]]:
        """The arguments of the runs that have not begun, by index."""
        return self._arguments(RunStatus.QUEUED)

    def running(self) -> dict[int, dict[str, Any]]:
        """The arguments of the runs that are being performed now, by index."""
        return self._arguments(RunStatus.RUNNING)

    def cancelled(self) -> dict[int, dict[str, Any]]:
        """The arguments of the runs that were cancelled, by index."""
        return self._arguments(RunStatus.CANCELLED)

    # --- what it took ----------------------------------------------------------------------------------------------

    def times(self) -> list[Seconds | None]:
        """Seconds that each run took; None for a run that has not ended or came from the cache."""
        state = self.tracker.look()
        took = (state.duration_s(index) for index in range(len(self)))
        return [None if seconds is None else Seconds(seconds) for seconds in took]

    def total_time(self, since_retry: bool = False) -> Seconds:  # noqa: ARG002  the older spelling
        """Seconds from the submit to the last run's end, or until now."""
        return wall_s(self.tracker.look())

    def usage(self, *, samples: bool = False) -> pd.DataFrame:
        """Seconds, CPU seconds and peak MiB of each run; with `samples`, a dedicated job's load over time."""
        state = self.tracker.look()
        from fanfold.job.summary import usage_frame

        return logs.usage_samples(self.contents) if samples else usage_frame(state)

    def cost(self) -> Cost:
        """Dollars so far, for every attempt and machine: `unknown` of it says what is not known of them.

        Runs on this machine cost nothing.
        """
        from fanfold.core.cost import cost

        return cost(self.tracker.look())

    def summary(self) -> Summary:
        """Times, memory, cache and cost in a few lines, with advice where there is any."""
        from fanfold.job.summary import summarise

        return summarise(self.tracker.look())

    def map(self, *, ignore_exceptions: bool = False) -> JobMap:
        """The runs' rasters or shapes as one map, when all runs have ended: a notebook shows it, `save(path)` keeps it.

        Raises the first `RunFailed` unless `ignore_exceptions`, and `CodecError` for results that lie nowhere.
        """
        from fanfold.job.map import map_of

        with WithoutOwnFrames():
            return map_of(self, ignore_exceptions)

    def timeline(self) -> Figure:
        """A picture of the runs over time (needs matplotlib: `pip install fanfold[plot]`)."""
        from fanfold.job.display import draw_timeline

        return draw_timeline(self.tracker.look())

    def report(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Write the job as one HTML file, and return its path; without one, `<id>.html` in the current folder.

        It holds how the job stands, its failures by cause, times, runs, code and history, and needs nothing else: no
        account, no connection. Raises `InputError` where it cannot be written.
        """
        from fanfold.job.report import write_report

        return write_report(self, path)

    def diff(self, other: Job) -> Difference:
        """What differs from this job to another: code, inputs, environment, results and times."""
        from fanfold.job.diff import find_difference

        return find_difference(self, other)

    def explain_cache(self, earlier: Job) -> CacheReasons:
        """Why runs of this job came from the cache, or did not, beside an earlier one, and how their keys differ."""
        from fanfold.job.cache_reasons import explain_reuse

        return explain_reuse(earlier, self)

    def export(self, path: str | os.PathLike[str]) -> Path:
        """Write all of it into a new folder for other programs, and return it. Raises `InputError`, `ResultDamaged`."""
        from fanfold.job.open_bundle import export_job

        return export_job(self, path)

    def grouped(self, by: By | None = None) -> Grouped:
        """Its runs in groups, as inputs of another job: `submit(reduce, job.grouped(by="year"))`.

        Each group is one input, a list of results; `by` is a parameter, several, or a function of a run's arguments,
        and None puts all into one group. What it was grouped by is an argument too, where the UDF has a parameter of
        that name (of a function, `key`). Raises `InputError`.
        """
        from fanfold.job.upstream import Grouped

        return Grouped(self, by)

    def dataset(self, *, ignore_exceptions: bool = False) -> ds.Dataset:
        """The frames that its runs gave as one pyarrow dataset, with a column `run`, read lazily where they lie.

        Waits for the end. Raises the first `RunFailed` unless `ignore_exceptions`, and `InputError` for no frame.
        """
        from fanfold.job.dataset import open_dataset

        return open_dataset(self, ignore_exceptions=ignore_exceptions)

    def verify(self) -> Receipt:
        """Prove from the stored bytes that the job is complete, or say what is missing or damaged."""
        from fanfold.job.verify import verify_results

        return verify_results(self.id, self.tracker.look(), self.contents)

    # --- output ----------------------------------------------------------------------------------------------------

    @overload
    def logs(self) -> logs.Logs: ...
    @overload
    def logs(self, index: int) -> str: ...
    def logs(self, index: int | None = None) -> logs.Logs | str:
        """What one run has printed; without `index` what each has, a list that prints line by line, run by run."""
        with self.tracker.naming_job("`fanfold logs {job}` prints them"):
            if index is not None:
                return logs.text(self.contents, self._position(index))
            return logs.Logs.of(len(self), logs.by_run(self.contents))

    def tail_logs(self, index: int | None = None) -> None:
        """Print what the runs print, as they print it, until the job ends; Ctrl-C stops looking, not the job."""
        logs.follow(self.tracker, self.contents, None if index is None else self._position(index))

    # --- steering --------------------------------------------------------------------------------------------------

    def cancel(self, wait: bool = True) -> Job:
        """End what runs and start nothing more; what has finished stays finished.

        Returns when nothing runs any more, or at once with `wait=False`.
        """
        check_flags(wait=wait)
        return self.wait(progress=False) if self.tracker.cancel() and wait else self

    def retry(
        self,
        udf: Callable[..., Any] | None = None,
        *,
        runs: Iterable[int] | None = None,
        budget_usd: float | None = None,
    ) -> Job:
        """Start again what failed, was cancelled or was lost, and only that. Returns at once.

        `udf` is the fixed function that runs from now on, in place of the job's own; all results that there are stay.
        `runs`: only these of them, by their numbers. `budget_usd` is what the whole job may cost from now on, with what
        it has cost already. A Ctrl-C before it returns cancels what it has started. Raises `InputError` while the job
        still runs, where one of `runs` has not failed, where the budget is spent, or where the fixed function does not
        take the inputs of these runs; and `CaptureError`.
        """
        again = self.tracker.naming_job("`fanfold retry {job}` starts what is left of it", "has not started again")
        with WithoutOwnFrames(), again:
            return self._retry(udf, None if runs is None else sorted(set(runs)), budget_usd)

    def _retry(self, udf: Callable[..., Any] | None, chosen: list[int] | None, budget_usd: float | None) -> Job:
        if (header := self.tracker.look().header).cancelled_at is not None:
            self.tracker.engine.cancel(header)  # who serves it may not have seen the flag, which is taken away now
            with suppress(WaitTimeout):  # a run that had missed the cancel, or is heard of late, ends within seconds
                while not self.wait(_ENDING_S, progress=False).tracker.look().done:
                    pass
        state = self.tracker.look()
        if not state.done:
            shell = f"from a shell: `fanfold status --watch {self.id}` or `fanfold cancel {self.id}`."
            raise InputError(f"Job {self.id} still runs.", next_step=f"`job.wait()` or `job.cancel()` first; {shell}")
        failed = list(state.indexes(*BAD))
        if chosen is not None:
            failed = self._chosen(failed, chosen)
        runs = [RunRef(index, state.next_attempt(index)) for index in failed]
        if not runs:
            return self
        if self.header.budget_usd or budget_usd is not None:
            from fanfold.core.cost import with_budget

            self.tracker.engine.stores.log.replace_header(with_budget(state, budget_usd))
            self.tracker.refresh()
        fixed = None
        if udf is not None:  # capture and its checks are in a room above this one, which is asked for by name
            fix_code = import_module("fanfold.submission.fixing").fix_code
            fixed = fix_code(self.header, self.contents, self.tracker.engine, udf, [run.index for run in runs])
        try:
            self._start_again(runs, fixed)
        except BaseException:  # a Ctrl-C, perhaps: nobody would run what is queued, nor could it be retried
            with suppress(StoreError, ConfigurationError):  # the first error is the one to tell
                self.tracker.restart()
                self.cancel(wait=False)
            raise
        return self

    def _chosen(self, failed: list[int], chosen: list[int]) -> list[int]:
        """The runs that are chosen. Raises `InputError` for one that has not failed, and where all must be run."""
        wrong = sorted(set(chosen) - set(failed))
        if wrong:
            raise InputError(
                f"Run {wrong[0]} of job {self.id} has not failed.",
                next_step=f"`job.errors()`, or `fanfold errors {self.id}`, names those that have.",
            )
        if self.header.cancelled_at is not None and len(chosen) < len(failed):
            raise InputError(f"Job {self.id} was cancelled.", next_step="`job.retry()` runs all that has no result.")
        return chosen

    def _start_again(self, runs: list[RunRef], fixed: JobHeader | None) -> None:
        log = self.tracker.engine.stores.log
        log.drop_brief(self.id)
        if fixed is not None:
            log.replace_header(fixed)
        data = {} if fixed is None else {"fix": len(fixed.fixed_hashes)}
        log.append([Event.new(self.id, run.index, run.attempt, EventKind.QUEUED, data=data) for run in runs])
        log.request_cancel(self.id, None)
        self.tracker.restart()
        header = self.header
        if fixed is None and next(self.state.indexes(*GOOD), None) is not None:
            header = header._replace(stop_on_error="never")  # this code has succeeded before
        if not (header.stages or header.ladder):
            self.tracker.engine.start(header, runs)
            return
        import_module("fanfold.engines.steward").start_again(self.tracker.engine, header, runs)

    def _arguments(self, status: RunStatus) -> dict[int, dict[str, Any]]:
        return {index: self.contents.arguments(index) for index in self.tracker.look().indexes(status)}
