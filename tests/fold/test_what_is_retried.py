"""Which failed attempt is followed by another."""

from __future__ import annotations

import pytest

from fanfold.core.models import RunStatus
from fanfold.core.options import should_retry
from tests.fold.stories import a_job, an_error

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
