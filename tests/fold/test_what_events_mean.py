"""Each rule of the fold, told as a short story."""

from __future__ import annotations

import pytest

from fanfold.core.fold import JobState, fold
from fanfold.core.models import GOES_ON, THROTTLED, Event, EventKind, JobStatus, RunStatus
from fanfold.errors import StoreError
from tests.fold.stories import JOB, a_job, an_error, event, killed, throttled


def run_of(*events: Event, **facts) -> JobState:
    return fold(a_job(**facts), events)


class TestARun:
    def test_is_queued_before_anything_happened(self):
        state = run_of()
        assert state.status_of(0) is RunStatus.QUEUED
        assert (state.attempt_of(0), state.next_attempt(0)) == (0, 0)
        assert (
            state.output(0) is state.error(0) is state.usage(0) is state.started_at(0) is state.finished_at(0) is None
        )

    def test_is_running_once_started(self):
        state = run_of(event("started", at=7.0))
        assert state.status_of(0) is RunStatus.RUNNING
        assert (state.attempt_of(0), state.next_attempt(0)) == (0, 1)
        assert (state.started_at(0), state.finished_at(0)) == (7.0, None)

    def test_has_its_output_and_times_once_finished(self):
        end = event("succeeded", id=8, at=10.0)
        state = run_of(event("started", at=7.0), end)
        assert state.status_of(0) is RunStatus.SUCCEEDED
        assert state.output(0) == end.output
        assert state.usage(0) == end.usage
        assert (state.started_at(0), state.finished_at(0), state.duration_s(0)) == (8.0, 10.0, 2.0)

    def test_that_two_workers_started_has_run_since_the_first(self):
        assert run_of(event("started", at=8.0), event("started", at=7.0), event("started", at=9.0)).started_at(0) == 7.0

    def test_whose_result_is_an_object_has_its_key(self):
        end = event("succeeded", id=2)
        assert end.output.key
        assert run_of(end).output(0) == end.output

    def test_tells_the_usage_of_the_end_that_counts_alone(self):
        state = run_of(event("timed_out", id=8), event("succeeded", attempt=1, id=9, at=3.0))
        assert state.usage(0) is None
        assert state.started_at(0) == state.finished_at(0) == 3.0

    def test_that_failed_by_its_own_code_is_final(self):
        state = run_of(event("started"), event("failed"))
        assert state.status_of(0) is RunStatus.FAILED
        assert state.error(0) == an_error()
        assert state.output(0) is None
        assert state.next_attempt(0) == 1

    @pytest.mark.parametrize("status", ["timed_out", "out_of_memory", "cancelled"])
    def test_that_met_a_limit_or_was_cancelled_is_final(self, status):
        assert run_of(event(status)).status_of(0) is RunStatus(status)

    @pytest.mark.parametrize("end", [event("lost"), killed()], ids=["lost", "killed"])
    def test_whose_surroundings_failed_waits_for_its_next_attempt(self, end):
        state = run_of(event("started"), end)
        assert state.status_of(0) is RunStatus.QUEUED
        assert (state.attempt_of(0), state.next_attempt(0)) == (1, 1)
        assert state.error(0) == end.error

    def test_is_running_again_in_its_next_attempt(self):
        state = run_of(event("started"), event("lost"), event("started", attempt=1, at=9.0))
        assert state.status_of(0) is RunStatus.RUNNING
        assert (state.attempt_of(0), state.started_at(0)) == (1, 9.0)

    def test_is_final_when_its_attempts_are_used_up(self):
        state = run_of(killed(), killed(attempt=1), event("lost", attempt=2))
        assert state.status_of(0) is RunStatus.LOST
        assert state.attempt_of(0) == 2
        assert state.missing() == []

    def test_that_the_user_wants_tried_again_is(self):
        refused = event("failed", error=an_error("socket.Refused", "builtins.ConnectionError", "builtins.Exception"))
        assert run_of(refused).status_of(0) is RunStatus.FAILED
        assert run_of(refused, retry_on=("ConnectionError",)).status_of(0) is RunStatus.QUEUED


class TestAThrottledStart:
    def test_is_no_try_however_often_it_happens(self):
        refused = [throttled(attempt=attempt, id=attempt) for attempt in range(20)]
        state = run_of(*refused)
        assert state.status_of(0) is RunStatus.QUEUED
        assert state.next_attempt(0) == 20
        assert state.error(0).type == THROTTLED

    def test_leaves_the_whole_budget_to_the_tries_after_it(self):
        refused = [throttled(attempt=attempt, id=attempt) for attempt in range(5)]
        tries = [killed(attempt=attempt, id=attempt) for attempt in (5, 6)]
        assert run_of(*refused, *tries).status_of(0) is RunStatus.QUEUED
        assert run_of(*refused, *tries, killed(attempt=7, id=7)).status_of(0) is RunStatus.FAILED

    def test_ends_the_run_when_it_goes_on_for_hours(self):
        assert run_of(throttled(attempt=300)).status_of(0) is RunStatus.FAILED


class TestATryThatGoesOnLater:
    """It has ended between two steps, near its time limit (`fanfold.step`)."""

    def test_is_followed_by_another_whatever_the_budget_and_leaves_that_whole(self):
        tries = [event("failed", attempt=n, id=n, error=an_error(GOES_ON)) for n in range(300)]
        state = run_of(*tries, max_retry=0)
        assert (state.status_of(0), state.next_attempt(0)) == (RunStatus.QUEUED, 300)
        state = run_of(*tries, *(killed(attempt=attempt, id=attempt) for attempt in (300, 301)))
        assert state.status_of(0) is RunStatus.QUEUED
        assert run_of(*tries, killed(attempt=300, id=300), max_retry=0).status_of(0) is RunStatus.FAILED


class TestOfSeveralEnds:
    def test_a_good_one_beats_any_failure(self):
        good = event("succeeded", attempt=0, id=9)
        state = run_of(good, event("failed", attempt=1, id=1), event("cancelled", attempt=2))
        assert state.status_of(0) is RunStatus.SUCCEEDED
        assert state.output(0) == good.output
        assert state.error(0) is None

    def test_the_first_good_attempt_counts(self):
        first, second = event("succeeded", attempt=0, id=9), event("succeeded", attempt=1, id=1)
        assert run_of(second, first).output(0) == first.output

    def test_of_one_attempt_told_twice_the_lowest_id_counts(self):
        low, high = event("succeeded", id=3), event("cached", id=4)
        assert run_of(high, low).output(0) == low.output
        assert run_of(low, high).status_of(0) is RunStatus.SUCCEEDED

    def test_of_failures_the_last_attempt_counts(self):
        state = run_of(event("failed", attempt=1, id=1), event("timed_out", attempt=0, id=9))
        assert (state.status_of(0), state.attempt_of(0)) == (RunStatus.FAILED, 1)

    def test_of_two_failures_of_one_attempt_the_lowest_id_counts(self):
        assert run_of(event("failed", id=2), event("timed_out", id=1)).status_of(0) is RunStatus.TIMED_OUT
        assert run_of(event("timed_out", id=2), event("failed", id=1)).status_of(0) is RunStatus.FAILED

    def test_a_later_attempt_that_is_running_keeps_the_run_open(self):
        state = run_of(event("failed"), event("started", attempt=1))
        assert state.status_of(0) is RunStatus.RUNNING

    def test_a_late_start_of_an_attempt_that_has_ended_changes_nothing(self):
        assert run_of(event("failed", attempt=1), event("started", attempt=1)).status_of(0) is RunStatus.FAILED
        assert run_of(event("succeeded"), event("started", attempt=3)).status_of(0) is RunStatus.SUCCEEDED


class TestANewBudget:
    def test_opens_a_run_that_had_failed(self):
        state = run_of(event("failed"), event("queued", attempt=1))
        assert state.status_of(0) is RunStatus.QUEUED
        assert state.attempt_of(0) == 1
        assert state.missing() == [0]

    def test_counts_its_attempts_afresh(self):
        tried = [killed(), killed(attempt=1), killed(attempt=2), event("queued", attempt=3)]
        assert run_of(*tried, killed(attempt=3), killed(attempt=4)).status_of(0) is RunStatus.QUEUED
        assert run_of(*tried, *(killed(attempt=n) for n in (3, 4, 5))).status_of(0) is RunStatus.FAILED

    def test_leaves_a_good_run_alone(self):
        good, queued = event("succeeded"), event("queued", attempt=5)
        for state in (run_of(good, queued), run_of(queued, good)):
            assert (state.status_of(0), state.next_attempt(0)) == (RunStatus.SUCCEEDED, 1)

    def test_reaches_from_the_highest_attempt_that_was_queued(self):
        state = run_of(event("queued", attempt=4), event("queued", attempt=2), event("failed", attempt=3))
        assert (state.status_of(0), state.next_attempt(0)) == (RunStatus.QUEUED, 4)

    def test_is_not_spent_by_an_attempt_from_before(self):
        assert run_of(event("queued", attempt=2), event("started", attempt=1)).status_of(0) is RunStatus.QUEUED

    def test_can_still_be_answered_by_an_attempt_from_before(self):
        late = event("succeeded", attempt=0)
        assert run_of(event("failed", attempt=1), event("queued", attempt=2), late).output(0) == late.output


class TestAJob:
    def test_goes_from_queued_to_running_to_completed(self):
        state = JobState(a_job(2))
        assert (state.status, state.done) == (JobStatus.QUEUED, False)
        state.apply([event("started", 0)])
        assert state.status is JobStatus.RUNNING
        state.apply([event("succeeded", 0)])
        assert (state.status, state.done) == (JobStatus.RUNNING, False)
        state.apply([event("cached", 1)])
        assert (state.status, state.done) == (JobStatus.COMPLETED, True)

    def test_has_failed_when_all_is_final_and_some_is_bad(self):
        assert run_of(event("succeeded", 0), event("failed", 1), count=2).status is JobStatus.FAILED

    def test_is_running_while_a_failed_run_waits_for_its_next_attempt(self):
        state = run_of(event("lost"))
        assert (state.status, state.done) == (JobStatus.RUNNING, False)

    def test_once_cancelled_starts_nothing_but_lets_what_runs_end(self):
        state = fold(a_job(3, cancelled_at=5.0), [event("succeeded", 0), event("started", 1)])
        assert [state.status_of(index).value for index in range(3)] == ["succeeded", "running", "cancelled"]
        assert (state.status, state.done) == (JobStatus.RUNNING, False)
        state.apply([event("cancelled", 1)])
        assert (state.status, state.done) == (JobStatus.CANCELLED, True)
        assert list(state.indexes(RunStatus.CANCELLED)) == [1, 2]
        assert list(state.indexes(RunStatus.QUEUED)) == []
        assert state.counts()[RunStatus.CANCELLED] == 2

    def test_once_said_to_be_cancelled_stays_so_when_a_start_is_heard_of_that_missed_the_flag(self):
        state = fold(a_job(3, cancelled_at=5.0), [event("succeeded", 0), event("cancelled", 1, at=5.1)])
        assert (state.status, state.done) == (JobStatus.CANCELLED, True)
        state.apply([event("started", 2, at=5.2)])
        assert (state.status, state.done) == (JobStatus.CANCELLED, True)
        assert state.counts() == {**dict.fromkeys(RunStatus, 0), RunStatus.SUCCEEDED: 1, RunStatus.CANCELLED: 2}
        assert (list(state.indexes(RunStatus.CANCELLED)), list(state.indexes(RunStatus.RUNNING))) == ([1, 2], [])
        assert (state.status_of(2), state.missing(), state.next_attempt(2)) == (RunStatus.CANCELLED, [2], 1)
        state.apply([event("succeeded", 2, at=5.3)])  # it had been faster than the flag: its result is good
        assert state.status_of(2) is RunStatus.SUCCEEDED

    def test_that_was_cancelled_and_goes_on_runs_what_had_missed_the_flag(self):
        state = fold(a_job(1, cancelled_at=5.0), [event("started", at=5.2)])
        state.header = state.header.cancelled(None)
        assert (state.status, state.status_of(0)) == (JobStatus.RUNNING, RunStatus.RUNNING)

    def test_cancelled_too_late_is_completed(self):
        assert run_of(event("succeeded"), cancelled_at=5.0).status is JobStatus.COMPLETED

    def test_goes_on_when_the_cancel_is_taken_back(self):
        state = fold(a_job(2, cancelled_at=5.0), [event("succeeded", 0)])
        version = state.version
        state.header = state.header.cancelled(None)
        assert state.version > version
        assert (state.status, state.status_of(1)) == (JobStatus.RUNNING, RunStatus.QUEUED)

    def test_misses_the_runs_without_an_end_that_counts(self):
        state = fold(a_job(4, cancelled_at=5.0), [event("succeeded", 0), event("started", 1), event("lost", 2)])
        assert state.missing() == [1, 2, 3]

    def test_keeps_the_latest_event_of_each_kind_and_name(self):
        def about(kind: EventKind, name: str, number: int) -> Event:
            return Event(JOB, -1, 0, kind, 0.0, f"{number:028x}", data={"name": name, "state": number})

        machine, queue = EventKind.MACHINE, EventKind.QUEUE
        state = run_of(about(machine, "m1", 1), about(machine, "m2", 2), about(machine, "m1", 4), about(queue, "m1", 3))
        assert [event.data["state"] for event in state.job_events()] == [2, 3, 4]
        assert [event.data["state"] for event in state.job_events(machine)] == [2, 4]

    def test_refuses_an_event_of_a_run_that_it_does_not_have(self):
        with pytest.raises(StoreError, match="has 1 runs, but an event tells of run 1"):
            run_of(event("started", 1))

    def test_ignores_telemetry(self):
        assert run_of(Event(JOB, 0, 0, EventKind.LOG, 0.0, "0", data={"text": "x"})).status is JobStatus.QUEUED

    def test_tells_by_its_version_that_something_is_new(self):
        state = run_of()
        before = state.version
        state.apply([])
        assert state.version == before
        state.apply([event("started")])
        assert state.version > before
