"""Which failed attempt is followed by another."""

from __future__ import annotations

from itertools import permutations

import pytest

from fanfold.core import duplicates
from fanfold.core.fold import JobState, fold
from fanfold.core.models import Event, RunStatus
from fanfold.core.options import Retry, pause_s, should_retry
from fanfold.errors import InputError
from tests.fold.stories import a_job, an_error, event, throttled

KILLED = an_error("WorkerDied", infrastructure=True)
REFUSED = an_error("requests.exceptions.ConnectTimeout", "requests.exceptions.Timeout", "builtins.OSError")
FAILED, LOST, TIMED_OUT = RunStatus.FAILED, RunStatus.LOST, RunStatus.TIMED_OUT


@pytest.mark.parametrize(("status", "error"), [(LOST, KILLED), (FAILED, KILLED)])
def test_what_the_surroundings_broke_is_retried_within_the_budget(status, error):
    header = a_job(max_retry=2)
    assert [should_retry(header, status, error, attempt, 0) for attempt in range(4)] == [True, True, False, False]
    assert [should_retry(header, status, error, attempt, 3) for attempt in (3, 4, 5)] == [True, True, False]
    assert not should_retry(a_job(max_retry=0), status, error, 0, 0)


@pytest.mark.parametrize(
    "named",
    [
        "requests.exceptions.ConnectTimeout",
        "ConnectTimeout",
        "requests.exceptions.Timeout",
        "requests.Timeout",  # the name by which the package passes it on
        "Timeout",
        "OSError",
        "Exception",
    ],
)
def test_an_error_is_retried_by_the_name_of_its_class_or_of_a_base(named):
    assert should_retry(a_job(retry_on=("KeyError", named)), FAILED, REFUSED, 0, 0)
    assert not should_retry(a_job(retry_on=(named,)), FAILED, REFUSED, 2, 0)


@pytest.mark.parametrize("named", ["ValueError", "exceptions.Timeout", "timeout", "Connect", "TimeoutError", ""])
def test_an_error_is_not_retried_by_another_name(named):
    assert not should_retry(a_job(retry_on=(named,)), FAILED, REFUSED, 0, 0)


@pytest.mark.parametrize(
    ("status", "named"), [(TIMED_OUT, "TimeoutError"), (RunStatus.OUT_OF_MEMORY, "MemoryError"), (FAILED, "Exception")]
)
def test_limits_are_retried_by_the_name_of_the_error_they_are_known_by(status, named):
    assert should_retry(a_job(retry_on=(named,)), status, None, 0, 0)
    assert not should_retry(a_job(), status, None, 0, 0)
    assert not should_retry(a_job(retry_on=("KeyError",)), status, None, 0, 0)


@pytest.mark.parametrize("error", [None, an_error("Lost")])
def test_a_lost_run_is_final_where_nobody_says_that_it_can_go_on(error):
    assert not should_retry(a_job(), LOST, error, 0, 0)
    assert not should_retry(a_job(retry_on=("Exception",)), LOST, error, 0, 0)


@pytest.mark.parametrize("status", [RunStatus.CANCELLED, RunStatus.SUCCEEDED, RunStatus.CACHED, RunStatus.RUNNING])
def test_what_was_cancelled_or_did_not_fail_is_never_retried(status):
    assert not should_retry(a_job(retry_on=("Exception",)), status, KILLED, 0, 0)


def test_a_name_may_want_words_of_the_message():
    refused = an_error("urllib.error.HTTPError")._replace(message="HTTP Error 429: Too Many Requests")
    gone = refused._replace(message="HTTP Error 4290: Gone")
    header = a_job(retry_on=("HTTPError 429", "KeyError"))
    assert should_retry(header, FAILED, refused, 0, 0)
    assert not should_retry(header, FAILED, gone, 0, 0)
    assert not should_retry(a_job(retry_on=("URLError 429",)), FAILED, refused, 0, 0)


def test_pauses_double_up_to_the_longest_and_begin_anew_with_a_new_budget():
    header = a_job(backoff_s=(2.0, 9.0), max_retry=5)
    assert [pause_s(header, 0, attempt) for attempt in range(4)] == [2, 4, 8, 9]
    assert pause_s(header, 0, 7, 7) == 2
    assert pause_s(a_job(), 0, 3) == 0


def test_jitter_takes_up_to_half_off_and_is_the_same_for_every_reader():
    header = a_job(1000, backoff_s=(8.0, 60.0), jitter=True)
    pauses = [pause_s(header, index, 0) for index in range(1000)]
    assert 4 <= min(pauses) < 4.1
    assert 7.9 < max(pauses) <= 8
    assert pauses == [pause_s(header, index, 0) for index in range(1000)]


def test_a_pause_below_none_is_refused_by_name():
    for wrong in ((5, 1), (1,), (-1, 2), "soon"):
        with pytest.raises(InputError, match="backoff_s"):
            _ = Retry(backoff_s=wrong).bounds_s


def test_the_events_say_when_a_run_is_due_again_in_whatever_order_they_come():
    header = a_job(backoff_s=(2.0, 60.0), retry_on=("ValueError",), max_retry=3)
    story = [event("started", id=1, at=10), event("failed", id=2, at=11), event("failed", 0, 1, id=3, at=20)]
    assert [fold(header, order).due_at(0) for order in permutations(story)] == [24.0] * 6
    assert fold(header, story[:2]).due_at(0) == 13
    assert fold(header, story[:1]).due_at(0) is None
    assert fold(header, [*story, event("succeeded", 0, 2, id=4, at=30)]).due_at(0) is None
    assert fold(header.cancelled(15.0), story[:2]).due_at(0) is None
    assert fold(header, [throttled(id=2)]).due_at(0) is None
    assert fold(header, [*story, event("queued", 0, 2, id=5, at=22)]).due_at(0) is None  # somebody asked for it now


class TestARunWithADuplicate:
    """`submit(hedge=True)`: two of its tries go on at once."""

    STARTS = (event("started", at=1.0), event("started", attempt=1, at=5.0))

    def told(self, *ends: Event) -> JobState:
        return fold(a_job(hedge=True, max_retry=0), [*self.STARTS, *ends])

    def test_has_the_result_of_the_one_that_ended_first(self):
        first, later = event("succeeded", attempt=1, id=7, at=6.0), event("succeeded", id=8, at=9.0)
        for ends in ([first], [first, later], [later, first]):
            state = self.told(*ends)
            assert (state.status_of(0), state.attempt_of(0)) == (RunStatus.SUCCEEDED, 1)
            assert state.output(0) == first.output
        assert len(self.told(first, later).measured_s()) == 2

    @pytest.mark.parametrize(("failing", "open_"), [(0, 1), (1, 0)])
    def test_runs_on_where_one_of_the_two_has_failed(self, failing, open_):
        state = self.told(event("failed", attempt=failing, id=3, at=7.0))
        assert (state.status_of(0), state.attempt_of(0)) == (RunStatus.RUNNING, open_)
        assert state.next_attempt(0) == 2

    def test_has_failed_when_both_have(self):
        state = self.told(event("failed", attempt=1, id=3, at=7.0), event("failed", id=4, at=8.0))
        assert state.status_of(0) is RunStatus.FAILED

    def test_runs_on_where_its_duplicate_was_not_taken(self):
        state = fold(a_job(hedge=True), [self.STARTS[0], throttled(attempt=1)])
        assert (state.status_of(0), state.attempt_of(0)) == (RunStatus.RUNNING, 0)


@pytest.mark.parametrize(
    ("durations_s", "running", "patience_s"),
    [
        ([1.0, 1.0], 0, None),  # too few
        ([1.0] * 3, 1, 2.0),
        ([1.0] * 3, 2, None),  # whether the fourth of five is slow is not known
        ([0.1] * 9, 1, 0.5),  # a duplicate takes a while to start
        ([1.0, 2.0, 3.0, 9.0], 0, 6.0),
    ],
)
def test_a_run_is_slow_beside_three_of_four_of_those_that_have_begun(durations_s, running, patience_s):
    assert duplicates.patience_s(durations_s, running) == patience_s
