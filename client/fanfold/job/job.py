"""A job, as its caller sees it, from whichever process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fanfold.engines.protocol import Engine
from fanfold.errors import InputError, ResultDamaged, RunFailed
from fanfold.fold import JobState
from fanfold.job import display, logs, summary
from fanfold.job.contents import Contents
from fanfold.job.failures import failure
from fanfold.job.progress import Progress
from fanfold.job.run import Run
from fanfold.job.tracker import Tracker
from fanfold.job.verify import Receipt, verified
from fanfold.models import BAD, GOOD, Event, EventKind, JobHeader, RunRef, RunStatus

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class Job:
    """One UDF over many inputs: what `submit(..., collect=False)` and `get_job` give.

    Everything is read from the event log, so any number of processes may hold the same job; each call reads what is
    new first.
    """

    def __init__(self, header: JobHeader, engine: Engine) -> None:
        self._tracker = Tracker(header, engine)
        self.contents = Contents(header, engine.stores)

    # --- what it is ------------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """What `fanfold.get_job` takes."""
        return self.header.id

    @property
    def name(self) -> str:
        """The UDF's name."""
        return self.header.name

    @property
    def header(self) -> JobHeader:
        """What was known when it started, and whether it has been cancelled."""
        return self._tracker.header

    @property
    def state(self) -> JobState:
        """Its state as it was last read; `status` and others read it anew."""
        return self._tracker.state

    @property
    def status(self) -> str:
        """Queued, Running, Completed, Failed or Cancelled."""
        return self._tracker.look().status.value

    def counts(self) -> dict[str, int]:
        """How many runs there are of each status, without the zeros."""
        return {status.value: count for status, count in self._tracker.look().counts().items() if count}

    def __len__(self) -> int:
        return self.header.count

    def __getitem__(self, index: int) -> Run:
        """The run of one input; negative counts from the end."""
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"job {self.id} has {len(self)} runs, numbered from 0; there is no run {index}")
        self._tracker.refresh()
        return Run(self, position)

    def __iter__(self) -> Iterator[Run]:
        self._tracker.refresh()
        return (Run(self, index) for index in range(len(self)))

    def __repr__(self) -> str:
        return display.line(self._tracker.refresh())

    def _repr_html_(self) -> str:
        return display.html(self._tracker.refresh(), self.contents)

    # --- waiting ---------------------------------------------------------------------------------------------------

    def wait(self, timeout: float | None = None, *, progress: bool | None = None) -> Job:
        """Wait until every run has ended; `timeout` in seconds. Returns the job itself.

        `progress` None shows a bar where there is a terminal or a notebook. Raises `WaitTimeout`.
        """
        with Progress(self.header, shown=progress) as bar:
            for state in self._tracker.changes(timeout):
                bar.show(state)
        return self

    def changes(self, timeout: float | None = None) -> Iterator[JobState]:
        """The job's state now, and after each change, until it is done. Raises `WaitTimeout`."""
        return self._tracker.changes(timeout)

    def as_completed(self, timeout: float | None = None) -> Iterator[Run]:
        """Each run as it ends, good or bad, in the order in which they end."""
        told = bytearray(len(self))
        for state in self._tracker.changes(timeout):
            for index in state.indexes(*GOOD, *BAD):
                if not told[index]:
                    told[index] = 1
                    yield Run(self, index)

    # --- results ---------------------------------------------------------------------------------------------------

    def result(self, index: int) -> Any:
        """The value of one run; waits where it has not ended. Raises `RunFailed`, or `ResultDamaged`."""
        for state in self._tracker.changes():
            output = state.output(index)
            if output is not None:
                return self._value(index)
            if state.status_of(index).final:
                break
        raise self._failure(index)

    def results(self, *, ignore_exceptions: bool = False, return_exceptions: bool = False) -> list[Any]:
        """All values in the order of the inputs, when all runs have ended.

        Raises the first `RunFailed`; with `return_exceptions` each stands in its run's place instead, and with
        `ignore_exceptions` failed runs are left out.
        """
        self.wait()
        failed = [] if return_exceptions else list(self.state.indexes(*BAD))
        if failed and not ignore_exceptions:
            raise self._failure(failed[0], others=len(failed) - 1)
        if return_exceptions:
            return [self.error(index) or self._value(index) for index in range(len(self))]
        return [self._value(index) for index in self.state.indexes(*GOOD)]

    def collect(self, *, ignore_exceptions: bool = False, flatten: bool = True) -> pd.DataFrame:
        """All results as one frame, indexed by the arguments, when all runs have ended.

        Frames are concatenated; other values stand in a column `result`. Raises the first `RunFailed` unless
        `ignore_exceptions`, which leaves failed runs out and says how many.
        """
        from fanfold.job.collect import collected

        values = self.results(ignore_exceptions=ignore_exceptions)
        inputs = [self.contents.own_arguments(index) for index in self.state.indexes(*GOOD)]
        display.say_left_out(self.state)
        return collected(inputs, values, flatten=flatten)

    df = collect

    def arg_df(self) -> pd.DataFrame:
        """The inputs as a frame, one row a run."""
        from fanfold.job.collect import argument_frame

        return argument_frame([self.contents.own_arguments(index) for index in range(len(self))])

    # --- failures --------------------------------------------------------------------------------------------------

    def errors(self) -> dict[int, RunFailed]:
        """Why each failed run failed, by index."""
        state = self._tracker.look()
        return {index: self._failure(index) for index in state.indexes(*BAD)}

    def first_error(self) -> RunFailed | None:
        """The first failed run's error, by index; None where none has failed."""
        return next((self._failure(index) for index in self._tracker.look().indexes(*BAD)), None)

    def error(self, index: int) -> RunFailed | None:
        """Why one run failed, or None where it has not."""
        return self._failure(index) if self.state.status_of(index) in BAD else None

    def verify(self) -> Receipt:
        """Prove from the stored bytes that the job is complete, or say what is missing or damaged."""
        return verified(self.id, self._tracker.look(), self.contents)

    # --- what it took ----------------------------------------------------------------------------------------------

    def times(self) -> list[float | None]:
        """Seconds that each run took; None for a run that has not ended or came from the cache."""
        state = self._tracker.refresh()
        return [state.duration_s(index) for index in range(len(self))]

    def total_time(self) -> float:
        """Seconds from the submit to the last run's end, or until now."""
        state = self._tracker.refresh()
        return summary.wall_s(state)

    def usage(self, *, samples: bool = False) -> pd.DataFrame:
        """Seconds, CPU seconds and peak MiB of each run; with `samples`, a dedicated job's load over time."""
        self._tracker.refresh()
        return logs.usage_samples(self.contents) if samples else summary.usage_frame(self.state)

    def cost(self) -> summary.Dollars:
        """Dollars so far; runs on this machine cost nothing."""
        return summary.cost(self._tracker.refresh())

    def summary(self) -> summary.Summary:
        """Times, memory, cache and cost in a few lines, with advice where there is any."""
        return summary.summarised(self._tracker.look())

    def timeline(self) -> Figure:
        """A picture of the runs over time (needs matplotlib: `pip install fanfold[plot]`)."""
        from fanfold.job.timeline import drawn

        return drawn(self._tracker.refresh())

    def pending(self) -> list[Run]:
        """The runs that have not begun."""
        return [Run(self, index) for index in self._tracker.look().indexes(RunStatus.QUEUED)]

    def running(self) -> list[Run]:
        """The runs that are being performed now."""
        return [Run(self, index) for index in self._tracker.look().indexes(RunStatus.RUNNING)]

    # --- output ----------------------------------------------------------------------------------------------------

    def logs(self, index: int | None = None) -> str:
        """What one run has printed; without `index`, what all have, each line after its run's number."""
        return logs.text(self.contents, index)

    def tail_logs(self, index: int | None = None) -> None:
        """Print what the runs print, as they print it, until the job ends; Ctrl-C stops looking, not the job."""
        logs.follow(self._tracker, self.contents, index)

    # --- steering --------------------------------------------------------------------------------------------------

    def cancel(self) -> Job:
        """End what runs and start nothing more. What has finished stays finished. Returns when nothing runs."""
        tracker = self._tracker
        tracker.engine.stores.log.request_cancel(self.id, time.time())
        tracker.refresh()
        tracker.engine.cancel(tracker.header)
        for _ in tracker.changes():
            continue
        return self

    def retry(self) -> Job:
        """Start again what failed, was cancelled or was lost, and only that. Returns at once.

        Raises `InputError` while the job still runs.
        """
        state = self._tracker.look()
        if not state.done:
            raise InputError(f"Job {self.id} still runs.", next_step="`job.wait()` or `job.cancel()` first.")
        runs = [RunRef(index, state.next_attempt(index)) for index in state.indexes(*BAD)]
        log = self._tracker.engine.stores.log
        log.append([Event.new(self.id, run.index, run.attempt, EventKind.QUEUED) for run in runs])
        log.request_cancel(self.id, None)
        self._tracker.restart()
        if runs:
            self._tracker.engine.start(self.header, runs)
        return self

    def _value(self, index: int) -> Any:
        output = self.state.output(index)
        if output is None:
            raise self._failure(index)
        try:
            return self.contents.value(index, output)
        except ResultDamaged:
            self.contents.forget(index)  # so that the next submit computes it instead of finding it
            raise

    def _failure(self, index: int, *, others: int = 0) -> RunFailed:
        return failure(
            self.id,
            index,
            status=self.state.status_of(index),
            error=self.state.error(index),
            input=self.contents.arguments(index),
            others=others,
        )
