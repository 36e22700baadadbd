"""A job, as its caller sees it, from whichever process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, overload

from fanfold.amounts import Dollars, Seconds
from fanfold.errors import InputError
from fanfold.job import display, logs
from fanfold.job.older import OlderSpelling, Status
from fanfold.job.run import Run
from fanfold.models import BAD, Event, EventKind, RunRef, RunStatus
from fanfold.options import check_flags

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from fanfold.job.summary import Summary
    from fanfold.job.verify import Receipt


class Job(OlderSpelling):
    """One UDF over many inputs: what `submit(..., collect=False)` and `get_job` give.

    Everything is read from the event log, so any number of processes may hold the same job; each call reads what is
    new first.
    """

    # --- what it is ------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The UDF's name."""
        return self.header.name

    @property
    def status(self) -> Status:
        """Queued, Running, Completed, Failed or Cancelled."""
        state = self._tracker.look()
        return Status.of(state.status.value, state.counts())

    def counts(self) -> dict[str, int]:
        """How many runs there are of each status, without the zeros."""
        return {status.value: count for status, count in self._tracker.look().counts().items() if count}

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> list[Run]: ...
    def __getitem__(self, index: int | slice) -> Run | list[Run]:
        """The run of one input, negative counts from the end; or a list of those in a slice."""
        if isinstance(index, slice):
            return list(self)[index]
        position = self._position(index)
        self._tracker.look()
        return Run(self, position)

    def __iter__(self) -> Iterator[Run]:
        """Its runs in the order of the inputs, as they are now."""
        self._tracker.look()
        return (Run(self, index) for index in range(len(self)))

    def __repr__(self) -> str:
        return display.line(self._tracker.refresh())

    def _repr_html_(self) -> str:
        return display.html(self._tracker.refresh(), self.contents)

    def _ipython_display_(self) -> None:
        """In a notebook, show an open job and keep it up to date; all else IPython shows by the other two."""
        from fanfold.job.notebook import shown_live

        if not shown_live(self.header, self._tracker.engine):
            raise NotImplementedError

    def arg_df(self) -> pd.DataFrame:
        """The inputs as a frame, one row a run."""
        from fanfold.job.collect import argument_frame

        return argument_frame([self.contents.own_arguments(index) for index in range(len(self))])

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
        state = self._tracker.look()
        took = (state.duration_s(index) for index in range(len(self)))
        return [None if seconds is None else Seconds(seconds) for seconds in took]

    def total_time(self) -> Seconds:
        """Seconds from the submit to the last run's end, or until now."""
        from fanfold.job.summary import wall_s

        return wall_s(self._tracker.look())

    def usage(self, *, samples: bool = False) -> pd.DataFrame:
        """Seconds, CPU seconds and peak MiB of each run; with `samples`, a dedicated job's load over time."""
        state = self._tracker.look()
        from fanfold.job.summary import usage_frame

        return logs.usage_samples(self.contents) if samples else usage_frame(state)

    def cost(self) -> Dollars:
        """Dollars so far; runs on this machine cost nothing."""
        from fanfold.job.summary import cost

        return cost(self._tracker.look())

    def summary(self) -> Summary:
        """Times, memory, cache and cost in a few lines, with advice where there is any."""
        from fanfold.job.summary import summarised

        return summarised(self._tracker.look())

    def timeline(self) -> Figure:
        """A picture of the runs over time (needs matplotlib: `pip install fanfold[plot]`)."""
        from fanfold.job.timeline import drawn

        return drawn(self._tracker.look())

    def verify(self) -> Receipt:
        """Prove from the stored bytes that the job is complete, or say what is missing or damaged."""
        from fanfold.job.verify import verified

        return verified(self.id, self._tracker.look(), self.contents)

    # --- output ----------------------------------------------------------------------------------------------------

    @overload
    def logs(self) -> logs.Logs: ...
    @overload
    def logs(self, index: int) -> str: ...
    def logs(self, index: int | None = None) -> logs.Logs | str:
        """What one run has printed; without `index` what each has, a list that prints line by line, run by run."""
        if index is not None:
            return logs.text(self.contents, self._position(index))
        return logs.Logs.of(len(self), logs.by_run(self.contents))

    def tail_logs(self, index: int | None = None) -> None:
        """Print what the runs print, as they print it, until the job ends; Ctrl-C stops looking, not the job."""
        logs.follow(self._tracker, self.contents, None if index is None else self._position(index))

    # --- steering --------------------------------------------------------------------------------------------------

    def cancel(self, wait: bool = True) -> Job:
        """End what runs and start nothing more; what has finished stays finished.

        Returns when nothing runs any more, or at once with `wait=False`.
        """
        check_flags(wait=wait)
        tracker = self._tracker
        if tracker.look().done:
            return self
        tracker.engine.stores.log.request_cancel(self.id, time.time())
        tracker.refresh()
        tracker.engine.cancel(tracker.header)
        return self.wait(progress=False) if wait else self

    def retry(self) -> Job:
        """Start again what failed, was cancelled or was lost, and only that. Returns at once.

        A Ctrl-C before it returns cancels what it has started. Raises `InputError` while the job still runs.
        """
        state = self._tracker.look()
        if not state.done:
            shell = f"from a shell: `fanfold status --watch {self.id}` or `fanfold cancel {self.id}`."
            raise InputError(f"Job {self.id} still runs.", next_step=f"`job.wait()` or `job.cancel()` first; {shell}")
        runs = [RunRef(index, state.next_attempt(index)) for index in state.indexes(*BAD)]
        if not runs:
            return self
        try:
            self._start_again(runs)
        except BaseException:  # a Ctrl-C, perhaps, after which nobody would run what is queued, nor could it be retried
            self._tracker.restart()
            self.cancel(wait=False)
            raise
        return self

    def _start_again(self, runs: list[RunRef]) -> None:
        log = self._tracker.engine.stores.log
        log.append([Event.new(self.id, run.index, run.attempt, EventKind.QUEUED) for run in runs])
        log.request_cancel(self.id, None)
        self._tracker.restart()
        self._tracker.engine.start(self.header, runs)

    def _arguments(self, status: RunStatus) -> dict[int, dict[str, Any]]:
        return {index: self.contents.arguments(index) for index in self._tracker.look().indexes(status)}
