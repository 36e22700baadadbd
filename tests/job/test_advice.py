"""The summary's advice: given where it would help, in words that say what to do."""

from __future__ import annotations

import pytest

from fanfold.core.fold import fold
from fanfold.core.models import Event, EventKind, JobHeader, Output, RunError, RunStatus, Usage
from fanfold.job.display import say_lost_files
from fanfold.job.failures import run_failure
from fanfold.job.summary import summarise
from tests.job.conftest import BEGAN

LIMIT_S, LIMIT_MIB = 120.0, 4096


def advice(state):
    return " ".join(summarise(state).advice)


def test_runs_near_the_time_limit_are_counted_with_what_to_do(state_of):
    told = advice(state_of((40.0, 10.0), (110.0, 10.0), (119.0, 10.0)))
    assert "2 of 3 runs came within 10% of 120 s" in told
    assert 'instance_type="small"' in told


def test_so_are_runs_that_passed_it(state_of):
    assert "1 of 1 runs came within 10%" in advice(state_of((120.0, 10.0, RunStatus.TIMED_OUT)))


@pytest.mark.parametrize("mib", [3700.0, 4200.0])
def test_runs_near_the_memory_limit_are_told_of_a_machine_that_would_help(state_of, mib):
    told = advice(state_of((35.0, mib), (35.0, 100.0)))
    assert "1 of 2 runs came within 10% of 4,096 MiB" in told
    assert 'instance_type="medium"' in told


def test_many_short_runs_are_better_put_together(state_of):
    assert "put about 15 inputs into each" in advice(state_of(*[(2.0, 10.0)] * 100))


def test_a_few_short_runs_are_no_matter(state_of):
    assert advice(state_of(*[(2.0, 10.0)] * 99)) == ""


def test_long_runs_are_better_made_smaller(state_of):
    assert "runs took 1 min; 30 to 45 s are best: make the inputs smaller" in advice(state_of((60.0, 10.0)))


def test_runs_of_the_right_length_need_no_advice(state_of):
    assert advice(state_of(*[(35.0, 100.0)] * 200)) == ""


def test_machines_have_no_limit_to_come_near_to(state_of):
    assert advice(state_of((500.0, 9000.0), instance_type="medium")) == ""


OWN_LIMITS = [
    ((1.0, 10.0, RunStatus.TIMED_OUT), {"timeout_s": 1.0}, "10% of 1 s, which is timeout_s of @udf", "raise timeout_s"),
    ((0.5, 190.0), {"memory_mib": 200}, "10% of 200 MiB, which is memory_mib of @udf", "raise memory_mib"),
]


@pytest.mark.parametrize("where", [{}, {"instance_type": "medium"}])
@pytest.mark.parametrize(("run", "own", "says", "to_do"), OWN_LIMITS)
def test_a_limit_that_the_udf_set_itself_is_raised_there_not_by_a_machine(state_of, run, own, says, to_do, where):
    told = advice(state_of(run, (0.1, 10.0), **own, **where))
    assert f"1 of 2 runs came within {says}" in told
    assert to_do in told
    assert "instance_type" not in told
    assert ("escalate=" in told) == (not where)  # it names another machine than the one that they run on


def test_runs_that_pass_the_path_s_limits_are_told_of_those(state_of):
    same = {"timeout_s": LIMIT_S, "memory_mib": LIMIT_MIB}
    told = advice(state_of((119.0, 4000.0), **same))
    assert "10% of 120 s or passed it" in told
    assert "10% of 4,096 MiB or passed it" in told


def next_step(status, **header):
    asked = {"engine": "aws", "owner": "me", "bundle_sha256": "", "code_hash": "", **header}
    head = JobHeader(id="job-1", name="told", count=1, created_at=BEGAN, **asked)
    return run_failure(head, 0, status=status, error=RunError("Limit", "met")).next_step


@pytest.mark.parametrize(
    ("status", "header", "says", "never"),
    [
        (RunStatus.TIMED_OUT, {"timeout_s": LIMIT_S}, 'instance_type="small"', "@udf"),
        (
            RunStatus.TIMED_OUT,
            {"timeout_s": 1.0},
            "raise timeout_s of @udf, which is 1 s; for more than 120 s",
            "limit",
        ),
        (RunStatus.TIMED_OUT, {"timeout_s": 1.0, "instance_type": "small"}, "raise timeout_s of @udf", "instance_type"),
        (RunStatus.OUT_OF_MEMORY, {"memory_mib": LIMIT_MIB}, 'instance_type="medium"', "@udf"),
        (
            RunStatus.OUT_OF_MEMORY,
            {"memory_mib": 200},
            "raise memory_mib of @udf, which is 200 MiB",
            "with more memory",
        ),
        (RunStatus.OUT_OF_MEMORY, {"memory_mib": 59183, "instance_type": "medium"}, "more memory than medium", "@udf"),
        (RunStatus.OUT_OF_MEMORY, {"memory_mib": 9, "instance_type": "its-own"}, "more memory than its-own", "@udf"),
    ],
)
def test_a_run_that_met_a_limit_is_told_what_lifts_it(status, header, says, never):
    told = next_step(status, **header)
    assert says in told
    assert never not in told


def test_a_realtime_run_costs_its_whole_four_gigabytes(state_of):
    full, lowered = (summarise(state_of((100.0, 10.0), memory_mib=mib)).cost for mib in (None, 512))
    assert full == lowered == pytest.approx(100 * 4 * 0.0000166667, rel=0.01)


def test_a_machine_costs_its_hours(state_of):
    state = state_of((1800.0, 10.0), (1800.0, 10.0), instance_type="medium", n_processes_per_worker=2)
    assert summarise(state).cost == pytest.approx(0.768 / 2)


def test_the_summary_s_lines(state_of):
    told = str(summarise(state_of((30.0, 100.0), (40.0, 200.0))))
    assert told.splitlines()[0] == "told · job-1 · Completed"
    assert "2 succeeded" in told
    assert "40.0 s (1 min 10 s of work)" in told
    assert "median 35.0 s, longest 40.0 s (30 to 45 s are best in the cloud)" in told
    assert "200 MiB at its peak" in told


def test_memory_is_told_against_its_limit(state_of):
    assert "200 MiB at its peak, the limit is 4,096 MiB" in str(summarise(state_of((1.0, 200.0))))
    assert "the limit is 512 MiB" in str(summarise(state_of((1.0, 200.0), memory_mib=512)))
    machine = {"instance_type": "medium", "memory_mib": 59183}
    assert "the limit is 59,183 MiB" in str(summarise(state_of((1.0, 200.0), **machine)))


@pytest.fixture
def cancelled():
    """A job of three runs, cancelled after a minute; the events tell of what began before."""

    def make(*events):
        asked = {"engine": "aws", "owner": "me", "bundle_sha256": "", "code_hash": ""}
        header = JobHeader(id="job-1", name="told", count=3, created_at=BEGAN, cancelled_at=BEGAN + 60, **asked)
        return summarise(fold(header, events))

    return make


def ended(index, attempt, status, **facts):
    return Event.new("job-1", index, attempt, EventKind.FINISHED, at=BEGAN + 5, status=status, **facts)


def test_what_never_began_was_not_tried_again(cancelled):
    lost = RunError("Lost", "gone", infrastructure=True)
    told = cancelled(ended(0, 0, RunStatus.SUCCEEDED), ended(1, 0, RunStatus.LOST, error=lost))
    assert (told.counts, told.retried) == ({"succeeded": 1, "cancelled": 2}, 0)
    assert cancelled(ended(0, 1, RunStatus.SUCCEEDED)).retried == 1


def test_a_job_that_was_cancelled_ended_then(cancelled):
    assert cancelled().wall_s == 60
    assert cancelled(ended(0, 0, RunStatus.SUCCEEDED)).wall_s == 60


def test_a_job_that_waits_says_what_for(state_of):
    job = JobHeader("job-1", "told", 2, "local", "me", BEGAN, "", "")
    assert "waiting  to be started" in str(summarise(fold(job, [])))
    assert "waiting" not in str(summarise(state_of((1.0, 1.0))))


def test_a_summary_fits_80_columns(state_of):
    told = str(summarise(state_of(*[(2.0, 3900.0)] * 100, (119.0, 4000.0))))
    assert told.count("inputs") == 2
    assert max(map(len, told.splitlines())) <= 80


def test_a_message_of_several_lines_stands_in_a_failure_once(state_of):
    told = RunError(
        "ValueError", "All fits failed.\nBelow are details", "ValueError: All fits failed.\nBelow are details"
    )
    text = str(run_failure(state_of((1.0, 10.0)).header, 0, status=RunStatus.FAILED, error=told))
    assert "failed: ValueError: All fits failed. ...\n" in text
    assert text.count("Below are details") == 1


@pytest.mark.parametrize(
    ("engine", "codec", "stored", "told"),
    [
        ("aws", "json/1", b'["/tmp/out/7.tif"]', True),
        ("aws", "json/1", b'{"$path":"/var/tmp/out/7.tif"}', True),
        ("aws", "json/1", b'"file:///tmp/out/7.tif"', True),
        ("aws", "json/1", b'"see /tmp/out/7.tif for more"', False),
        ("aws", "json/1", rb'"open(\"/tmp/out/7.tif\").read()"', False),
        ("aws", "json/1", b'"s3://bucket/tmp/out/7.tif"', False),
        ("aws", "parquet-pandas/1", b"PAR1\x00\x0f/tmp/out/7.tif\x15", True),
        ("local", "json/1", b'["/tmp/out/7.tif"]', False),
    ],
)
def test_a_path_of_the_worker_s_own_disk_is_said_to_be_lost(engine, codec, stored, told, capsys):
    head = JobHeader(
        id="job-1", name="told", count=1, created_at=BEGAN, engine=engine, owner="", bundle_sha256="", code_hash="",
        costs_money=engine == "aws",
    )  # fmt: skip
    output = Output(codec, "", 18, stored)
    ended = Event.new(
        head.id, 0, 0, EventKind.FINISHED, at=BEGAN, status=RunStatus.SUCCEEDED, output=output, usage=Usage(9.0, 9.0, 9)
    )
    state = fold(head, [ended])
    advice = " ".join(summarise(state).advice)
    assert ("tmp/out/7.tif, a file of the worker" in advice) == told
    say_lost_files(state)
    assert ("fanfold: run 0 returned /" in capsys.readouterr().err) == told
