"""Runs that may have two tries at once on the machines of a job (`submit(hedge=True)`): who makes which try.

A duplicate is laid out by who looks after the job (`Work.offer_try`), and taken by a machine that has room. Each try
after the first has a number of its own, which one machine alone gets. Where a try ends badly while another goes on, the
other one is the run's; the machine whose try ends last tries it again, where that is due.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fanfold.core.duplicates import enough_have_ended
from fanfold.core.fold import JobState
from fanfold.core.models import Event, EventKind, JobHeader, RunError, RunRef, RunStatus
from fanfold.engines.aws.dispatch import Dispatch, of_event
from fanfold.engines.aws.work import Holding, Work, is_offered_try
from fanfold.stores.aws.log import DynamoEventLog
from fanfold_runtime.superseded import Superseded

_LOST = RunError("Lost", "the machine that it ran on is gone", infrastructure=True)
#: How long a machine that has nothing to do stays for a duplicate before it says so anew.
_STAYS_S = 60.0


class RivalTries:
    """What one machine makes of runs that others may be at as well."""

    def __init__(self, header: JobHeader, log: DynamoEventLog, work: Work, machine: str) -> None:
        self._header, self._log, self._work, self._machine = header, log, work, machine
        self.superseded = Superseded(log, header)

    def after_failure(self, index: int) -> RunRef | None:
        """The try that is due after one has failed, where it is this machine's to make."""
        state = self._read([index])
        if state.status_of(index) is not RunStatus.QUEUED or index in state.too_large:
            return None  # it has its result, another try goes on, or it is not tried again
        due = RunRef(index, state.attempt_of(index), state.first_attempt_of(index))
        return due if self._work.claim_try(due, self._machine) else None

    def taken_over(self, held: Holding, runs: Sequence[RunRef]) -> list[RunRef]:
        """What is to be begun of runs that were taken over: of a machine that is gone, or as duplicates."""
        state, events = self._read([run.index for run in runs]), list[Event]()
        dispatches = [of_event(event) for event in state.job_events(EventKind.DISPATCH)]
        missing, due = set(state.missing()), list[RunRef]()
        for run in (one for one in runs if one.index in missing):
            if is_offered_try(held.machine):
                due += [run] if _may_be_second(state, run, dispatches) else []
            elif run.attempt in _open_tries(state, run.index):
                events += self._lose(state, [run])
                due += self._after_loss(state, run.index, dispatches, events)
            else:
                due += self._not_begun(state, run, dispatches)
        self._log.append(events)
        return due

    def left_over(self, runs: Iterable[RunRef]) -> list[RunRef]:
        """What is to be begun of runs that no machine holds: all their tries are lost."""
        indexes = [run.index for run in runs]
        state, events = self._read(indexes), list[Event]()
        missing, due = set(state.missing()), list[RunRef]()
        for index in (one for one in indexes if one in missing):
            lost = self._lose(state, [RunRef(index, one) for one in _open_tries(state, index)])
            first = None if lost else state.first_attempt_of(index)
            due.append(RunRef(index, state.next_attempt(index), first))
            events += [*lost, Event.new(self._header.id, *due[-1][:2], EventKind.QUEUED)] if lost else []
        self._log.append(events)
        return due

    def may_come(self) -> bool:
        """Whether this machine is the one to stay for duplicates of what others have not ended.

        Not before it is known which runs are slow, nor longer than one of them may get a duplicate. What another has
        claimed and not begun counts as ended: it is short, or would not have been claimed with others, and the slow one
        among them could find no machine that has room if all others were gone by then.
        """
        others = [one for one in self._work.held_by_all() if one.machine != self._machine]
        held = [one.runs for one in others if not is_offered_try(one.machine)]
        open_ = {run.index for runs in held for run in runs}
        had = {index for one in others if (index := _index_of_try(one.machine)) is not None}
        at_work = sum(min(len(runs), self._header.n_processes_per_worker) for runs in held)
        is_known = enough_have_ended(self._work.total() - at_work, at_work)
        return is_known and not open_ <= had and self._work.stay(self._machine, _STAYS_S)

    def _after_loss(
        self, state: JobState, index: int, dispatches: Sequence[Dispatch], events: list[Event]
    ) -> list[RunRef]:
        """The try that follows one that was lost, where no other goes on; it takes nothing of the run's budget.

        Told together with the loss, or a reader might take that for the run's end.
        """
        following = RunRef(index, state.next_attempt(index))
        if _open_tries(state, index) or any(one.covers(*following[:2]) for one in dispatches):
            return []
        if not self._work.claim_try(following, self._machine):
            return []
        events.append(Event.new(self._header.id, *following[:2], EventKind.QUEUED))
        return [following]

    def _not_begun(self, state: JobState, run: RunRef, dispatches: Sequence[Dispatch]) -> list[RunRef]:
        """What is due of a try that nobody is at: itself where nobody has begun it, else the one after it."""
        if _open_tries(state, run.index):
            return []
        due = RunRef(run.index, max(run.attempt, state.attempt_of(run.index)), run.first_attempt)
        later = range(run.attempt + 1, due.attempt + 1)
        if any(one.covers(due.index, again) for one in dispatches for again in later):
            return []
        return [due] if due.attempt == run.attempt or self._work.claim_try(due, self._machine) else []

    def _lose(self, state: JobState, runs: Iterable[RunRef]) -> list[Event]:
        """The events that tell of lost tries, which `state` takes into account."""
        facts: dict[str, Any] = {"status": RunStatus.LOST, "error": _LOST}
        events = [Event.new(self._header.id, *run[:2], EventKind.FINISHED, **facts) for run in runs]
        state.apply(events)
        return events

    def _read(self, indexes: Sequence[int]) -> JobState:
        state = JobState(self._header)
        state.apply(self._log.read_runs(self._header.id, [-1, *indexes]))
        return state


def _may_be_second(state: JobState, run: RunRef, dispatches: Sequence[Dispatch]) -> bool:
    """Whether a try that was laid out as a duplicate still is one: the first goes on, and nobody has made it since."""
    highest = -1 if state.tries is None else state.tries.highest(run.index)
    given_anew = any(one.covers(*run[:2]) for one in dispatches)
    return bool(_open_tries(state, run.index)) and highest < run.attempt and not given_anew


def _open_tries(state: JobState, index: int) -> dict[int, float]:
    return {} if state.tries is None else state.tries.open(index)


def _index_of_try(name: str) -> int | None:
    return int(name.rpartition("/")[2].partition(".")[0]) if is_offered_try(name) else None
