"""A fault of the code is told after ten runs, not after all of them: no more are started."""

from __future__ import annotations

import time

import pytest

import fanfold
from fanfold.core.fold import fold
from fanfold.core.models import Event, EventKind, JobHeader, RunError, RunStatus
from fanfold.core.options import FailureWatch
from fanfold.engines.base import reason_to_stop
from fanfold.execution.pool.process import WorkerProcess

#: Runs from this one on end with the job only: how soon it is stopped depends on the machine.
HOLDS_FROM = 30


def with_a_typo(i: int, holds_from: int = 1000):
    time.sleep(60 if i >= holds_from else 0)
    return undefined_name + i  # type: ignore[name-defined]  # noqa: F821


def each_in_its_own_way(i: int):
    raise [ValueError, KeyError][i % 2](i)


def bad_after_the_first(i: int, holds_from: int = 1000):
    time.sleep(60 if i >= holds_from else 0)
    if i:
        raise ValueError(i)
    return i


def test_a_typo_ends_the_job_after_ten_runs():
    job = fanfold.submit(with_a_typo, range(200), holds_from=HOLDS_FROM, max_workers=1, collect=False).wait()
    counts = job.counts()
    assert 10 <= counts["failed"] <= HOLDS_FROM
    assert job.status == "Failed"
    with pytest.raises(fanfold.RunFailed, match="more runs were started: the first 10 runs all failed with NameError"):
        job.collect()
    assert "the first 10 runs all failed with NameError at " in " ".join(str(job.summary()).split())


@pytest.mark.parametrize("fails", [each_in_its_own_way, bad_after_the_first])
def test_failures_of_inputs_do_not(fails):
    job = fanfold.submit(fails, range(30), max_workers=1, collect=False).wait()
    assert job.counts().get("cancelled", 0) == 0


def test_never_runs_all():
    job = fanfold.submit(with_a_typo, range(30), stop_on_error="never", collect=False).wait()
    assert job.counts() == {"failed": 30}


def test_first_stops_at_the_first_failure():
    asked = {"max_workers": 1, "stop_on_error": "first"}
    job = fanfold.submit(bad_after_the_first, range(200), holds_from=HOLDS_FROM, collect=False, **asked).wait()
    assert job.counts()["succeeded"] == 1
    assert job.counts()["cancelled"] >= 200 - HOLDS_FROM
    assert 'a run failed, and stop_on_error is "first"' in str(job.summary())


def test_nothing_is_said_to_have_been_left_where_all_runs_had_begun():
    job = fanfold.submit(with_a_typo, range(10), max_workers=1, collect=False).wait()
    assert job.counts() == {"failed": 10}
    assert job.summary().stop_reason == ""
    assert "No more runs were started" not in str(job.first_error())


def test_a_rule_that_is_none_is_refused():
    with pytest.raises(fanfold.InputError, match="stop_on_error='frist' is unknown"):
        fanfold.submit(with_a_typo, [1], stop_on_error="frist")


def test_a_cancel_by_its_caller_after_a_retry_is_a_cancel():
    job = fanfold.submit(with_a_typo, range(40), max_workers=1, collect=False).wait()
    log = job.tracker.engine.stores.log
    log.request_cancel(job.id, None)
    log.request_cancel(job.id, 1.0)
    assert fanfold.get_job(job.id).status == "Cancelled"


def failing(count, type="NameError", line=7, **header):
    """A job of which so many runs have failed, as a reader of the log sees it."""
    facts = {"engine": "aws", "owner": "me", "bundle_sha256": "", "code_hash": "", "created_at": 0.0, **header}
    job = JobHeader(id="20260131-141502-river-7f3a", name="f", count=50, **facts)
    error = RunError(type, "no such name", f'Traceback:\n  File "tiles.py", line {line}, in f\nNameError: no')
    return job, [
        Event.new(job.id, index, 0, EventKind.FINISHED, status=RunStatus.FAILED, error=error) for index in range(count)
    ]


def test_an_engine_far_away_stops_by_what_the_log_tells():
    job, events = failing(10)
    assert reason_to_stop(fold(job, events)) == "the first 10 runs all failed with NameError at tiles.py:7"
    assert reason_to_stop(fold(job, events[:9])) == ""
    good = Event.new(job.id, 20, 0, EventKind.FINISHED, status=RunStatus.SUCCEEDED)
    assert reason_to_stop(fold(job, [good, *events])) == ""
    assert reason_to_stop(fold(job.cancelled(1.0), events)) == ""
    assert reason_to_stop(fold(job._replace(stop_on_error="never"), events)) == ""


def test_another_line_is_another_failure():
    watch = FailureWatch("same")
    _, first = failing(9)
    _, other = failing(9, line=8)
    assert not any(watch.note(event.status, event.error) for event in [*first, *other])


def of_a_library(*lines):
    """The failure of a run whose own line called a library, which raised at another of its lines."""
    frames = "".join(f'  File "{name}", line {line}, in f\n' for name, line in lines)
    error = RunError(
        "JSONDecodeError", "no JSON", f"Traceback (most recent call last):\n{frames}JSONDecodeError: no JSON"
    )
    return RunStatus.FAILED, error


def test_the_line_is_that_of_the_users_own_code_wherever_in_a_library_it_is_raised():
    library = "/usr/lib/python3.12/json/decoder.py"
    watch = FailureWatch("same")
    ends = [watch.note(*of_a_library(("tiles.py", 7), (library, line))) for line in range(10)]
    assert ends[-1] == "the first 10 runs all failed with JSONDecodeError at tiles.py:7"
    watch = FailureWatch("same")
    assert not any(watch.note(*of_a_library(("tiles.py", 7 + line % 2), (library, 338))) for line in range(30))


def ended_at(*lines, status=RunStatus.TIMED_OUT, type="TimeoutError"):
    """The end of a run at a limit, which stood at these lines, the innermost first."""
    dump = "\n".join(f'  File "{name}", line {line} in f' for name, line in lines)
    return status, RunError(type, "the limit", f"Current thread 0x1 (most recent call first):\n{dump}")


@pytest.mark.parametrize(
    ("status", "type"), [(RunStatus.TIMED_OUT, "TimeoutError"), (RunStatus.OUT_OF_MEMORY, "MemoryError")]
)
def test_runs_that_all_hang_or_run_out_of_memory_at_one_place_end_the_job(status, type):
    hangs = ended_at(("socket.py", 718), ("tiles.py", 7), status=status, type=type)
    watch = FailureWatch("same")
    assert [watch.note(*hangs) for _ in range(10)][-1] == f"the first 10 runs all failed with {type} at tiles.py:7"
    climbing = FailureWatch("same", escalates=True)
    assert not any(climbing.note(*hangs) for _ in range(20))


def test_a_run_that_met_its_limit_before_the_udf_began_says_nothing_of_the_code():
    hangs, begins = ended_at(("tiles.py", 7)), ended_at(("<frozen importlib._bootstrap>", 1147))
    watch = FailureWatch("same")
    ends = [watch.note(*one) for _ in range(10) for one in (begins, ended_at(), hangs)]
    assert ends[-1] == "the first 10 runs all failed with TimeoutError at tiles.py:7"
    assert not any(ends[:-1])
    without_a_dump = RunStatus.OUT_OF_MEMORY, RunError("MemoryError", "killed", "")
    watch = FailureWatch("same")
    assert [watch.note(*without_a_dump) for _ in range(10)][-1] == "the first 10 runs all failed with MemoryError"


def test_runs_that_compute_for_too_long_each_stand_elsewhere():
    watch = FailureWatch("same")
    assert not any(watch.note(*ended_at(("solver.py", 30 + n % 3), ("tiles.py", 7))) for n in range(20))


def hangs(i: int):
    time.sleep(60)


@pytest.fixture
def begun_before_the_limit(monkeypatch):
    """What meets its limit of time stands in the UDF by then, however late the machine has let it begin."""
    where = WorkerProcess._where

    def stands(worker):
        deadline = time.monotonic() + 60
        while "in hangs" not in (stack := where(worker)):
            assert time.monotonic() < deadline
        return stack

    monkeypatch.setattr(WorkerProcess, "_where", stands)


@pytest.mark.usefixtures("begun_before_the_limit")
def test_what_hangs_ends_the_job_after_ten_runs():
    udf = fanfold.udf(hangs, timeout_s=0.1)
    job = fanfold.submit(udf, range(1000), max_workers=2, collect=False).wait(timeout=120)
    assert job.counts()["timed_out"] >= 10
    assert "cancelled" in job.counts()
    with pytest.raises(fanfold.RunTimedOut, match="the first 10 runs all failed with TimeoutError at "):
        job.results()
