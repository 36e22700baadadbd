"""What comes of a job: waiting for it, its results and its failures."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from fanfold.engines.protocol import Engine
from fanfold.errors import CodecError, ResultDamaged, RunFailed
from fanfold.fold import JobState
from fanfold.job import display
from fanfold.job.contents import Contents
from fanfold.job.failures import failure, not_concatenated
from fanfold.job.progress import Progress
from fanfold.job.run import Run
from fanfold.job.tracker import Tracker
from fanfold.models import BAD, GOOD, JobHeader, Output
from fanfold.options import check_flags, check_number

if TYPE_CHECKING:
    import pandas as pd
    from typing_extensions import Self


class Outcome:
    """A job's runs as they end. `Job` is what users hold."""

    def __init__(self, header: JobHeader, engine: Engine) -> None:
        self._tracker = Tracker(header, engine)
        self.contents = Contents(header, engine.stores)

    @property
    def id(self) -> str:
        """What `fanfold.get_job` takes."""
        return self.header.id

    @property
    def header(self) -> JobHeader:
        """What was known when it started, and whether it has been cancelled."""
        return self._tracker.header

    @property
    def state(self) -> JobState:
        """Its state as it was last read; `status` and others read it anew."""
        return self._tracker.state

    def __len__(self) -> int:
        return self.header.count

    # --- waiting ---------------------------------------------------------------------------------------------------

    def wait(self, timeout: float | None = None, *, progress: bool | None = None) -> Self:
        """Wait until every run has ended; `timeout` in seconds. Returns the job itself.

        `progress` None shows a bar where there is a terminal or a notebook. Raises `WaitTimeout`.
        """
        check_flags(progress=progress)
        with Progress(self.header, shown=progress) as bar:
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
        return self._tracker.changes(timeout, idle=idle)

    def as_completed(self, timeout: float | None = None) -> Iterator[Run]:
        """Each run as it ends, good or bad, in the order in which they end. Raises `WaitTimeout`."""
        return self._ended(self.changes(timeout))  # whatever is wrong with the timeout is told at once

    def _ended(self, changes: Iterator[JobState]) -> Iterator[Run]:
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
        for state in self._tracker.changes():
            if state.status_of(position).final:
                break
        return self._value(position)

    def results(self, return_exceptions: bool = False, *, ignore_exceptions: bool = False) -> list[Any]:
        """All values in the order of the inputs, when all runs have ended.

        Raises the first `RunFailed`; with `return_exceptions` each stands in its run's place instead, and with
        `ignore_exceptions` failed runs are left out.
        """
        check_flags(return_exceptions=return_exceptions, ignore_exceptions=ignore_exceptions)
        early = self._values_while_waiting(progress=None)
        failed = list(self.state.indexes(*BAD))
        if failed and not (return_exceptions or ignore_exceptions):
            raise self._failure(failed[0], others=len(failed) - 1)
        try:
            if return_exceptions:
                return early + [self.error(index) or self._value(index) for index in range(len(early), len(self))]
            return early + [self._value(index) for index in self.state.indexes(*GOOD) if index >= len(early)]
        except ResultDamaged as error:
            raise self._all_damaged(error) from error

    def collect(
        self,
        ignore_exceptions: bool = False,
        flatten: bool = True,
        drop_index: bool = False,
        *,
        verbose: bool = True,
    ) -> pd.DataFrame:
        """All results as one frame, indexed by the arguments, when all runs have ended.

        Frames are concatenated; other values stand in a column `result`. Raises the first `RunFailed` unless
        `ignore_exceptions`, which leaves failed runs out and says how many. `drop_index` numbers the runs instead of
        naming their arguments; `verbose=False` shows no progress.
        """
        from fanfold.job.collect import collected

        check_flags(ignore_exceptions=ignore_exceptions, flatten=flatten, drop_index=drop_index, verbose=verbose)
        if not verbose:
            self.wait(progress=False)
        values = self.results(ignore_exceptions=ignore_exceptions)
        kept = list(self.state.indexes(*GOOD))
        display.say_left_out(self.state)
        inputs = kept if drop_index else [self.contents.own_arguments(index) for index in kept]
        try:
            return collected(inputs, values, flatten=flatten)
        except Exception as error:  # whatever the libraries of the user's frames raise
            raise not_concatenated(self.id, error) from error

    df = collect

    # --- failures --------------------------------------------------------------------------------------------------

    def errors(self) -> dict[int, RunFailed]:
        """Why each failed run failed, by index."""
        state = self._tracker.look()
        return {index: self._failure(index) for index in state.indexes(*BAD)}

    def first_error(self) -> RunFailed | None:
        """The first failed run's error, by index; None where none has failed."""
        return next((self._failure(index) for index in self._tracker.look().indexes(*BAD)), None)

    def error(self, index: int) -> RunFailed | None:
        """Why one run failed, as far as has been read; None where it has not."""
        position = self._position(index)
        return self._failure(position) if self.state.status_of(position) in BAD else None

    def _values_while_waiting(self, *, progress: bool | None) -> list[Any]:
        """Wait until every run has ended, and meanwhile decode: the values of the first runs, up to one that has none.

        Most runs end about in order, so this is most of the work, and of the imports that it takes.
        """
        values: list[Any] = []
        with Progress(self.header, shown=progress) as bar:
            for state in self._tracker.changes(idle=bar.show):
                bar.show(state)
                try:
                    while len(values) < len(self) and (output := state.output(len(values))) is not None:
                        values.append(self._decoded(len(values), output))
                except (ResultDamaged, CodecError):
                    continue  # whoever asks for it is told, when all have ended
        return values

    def _value(self, index: int) -> Any:
        output = self.state.output(index)
        if output is None:
            raise self._failure(index)
        return self._decoded(index, output)

    def _decoded(self, index: int, output: Output) -> Any:
        try:
            return self.contents.value(index, output)
        except ResultDamaged:
            self.contents.forget([index])
            raise

    def _all_damaged(self, first: ResultDamaged) -> ResultDamaged:
        """The error for a damaged result that tells how many others are; none of them is found in the cache again."""
        from fanfold.job.verify import verified

        others = len(verified(self.id, self.state, self.contents).damaged) - 1
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

    def _failure(self, index: int, *, others: int = 0) -> RunFailed:
        return failure(
            self.header,
            index,
            status=self.state.status_of(index),
            error=self.state.error(index),
            input=self.contents.arguments(index),
            others=others,
        )
