"""The progress bar: in a real terminal it tells what a job waits for, also while nothing happens."""

from __future__ import annotations

import os
import sys
import time

import pexpect
import pytest

from fanfold.core.fold import fold
from fanfold.core.models import (
    THROTTLED,
    DispatchRecord,
    Event,
    EventKind,
    ExecutionFailureRecord,
    JobHeader,
    MachineRecord,
    ProcessRecord,
    QueueRecord,
    RunError,
    RunnerRecord,
    RunStatus,
    ThrottleRecord,
    to_event,
)
from fanfold.job.waiting import Progress, waiting_for
from tests.conftest import end_in_terminal
from tests.stores.samples import a_job

SUBMITS = """
import fanfold, pathlib, sys, time

def hold(x: int, folder: str):
    while x % 2 == 0 and not (pathlib.Path(folder) / str(x)).exists():
        time.sleep(0.01)
    return x

print(fanfold.submit(hold, range(6), folder=sys.argv[1], max_workers=1, ramp=eval(sys.argv[2])))
"""
#: More than a loaded machine takes for anything here.
WITHIN_S = 60


@pytest.fixture
def terminal(tmp_path, home):
    """A job of six runs, submitted in a terminal of 80 columns; every other run waits for a file to be released."""
    (tmp_path / "holding.py").write_text(SUBMITS)
    started = []

    def submit(ramp=None):
        child = pexpect.spawn(
            sys.executable,
            [str(tmp_path / "holding.py"), str(tmp_path), repr(ramp)],
            env={**os.environ, "FANFOLD_HOME": str(home), "PYTHONPATH": ""},
            dimensions=(24, 80),
            encoding="utf-8",
            timeout=WITHIN_S,
        )
        started.append(child)
        return child, lambda run: (tmp_path / str(run)).touch()

    yield submit
    for child in started:
        end_in_terminal(child)


def test_the_bar_comes_and_time_goes_on_while_nothing_changes(terminal):
    child, release = terminal()
    child.expect_exact("1 running")
    child.expect(r"0/6 \[00:(?!00)\d\d<")  # drawn again later, with no run ended in between
    for run in (0, 2, 4):
        release(run)
    child.expect_exact("6/6")


def test_a_long_name_pushes_nothing_off_the_bar(capsys):
    header = a_job(name="a_very_long_function_name_that_somebody_wrote_on_a_rainy_day")
    with Progress(header, shown=True) as bar:
        bar.show(fold(header, [Event.new(header.id, 0, 0, EventKind.STARTED)]))
    (shown,) = (line for line in capsys.readouterr().err.splitlines() if "1 running" in line)
    assert shown.strip().startswith("a_very_long_functio…:")


def test_a_ramp_shows_its_stages_on_the_job_s_bar(terminal):
    child, release = terminal((1, 3))
    child.expect(r"0/6 .*ramp: the first 1,")
    release(0)
    child.expect(r"2/6 .*ramp: the first 3,")
    release(2)
    child.expect_exact("1 running")
    release(4)
    child.expect_exact("6/6")


def test_a_file_gets_a_line_now_and_then_not_with_every_look(state_of, capsys):
    state = state_of((1.0, 1.0))
    with Progress(state.header, shown=True) as bar:
        for _ in range(50):
            bar.show(state)
        drawn = capsys.readouterr().err
    assert 1 <= drawn.count("1/1") <= 2


def told(*events, **header):
    """What a job of two runs waits for, of which these events tell."""
    asked = {"engine": "aws", "owner": "me", "bundle_sha256": "", "code_hash": "", **header}
    head = JobHeader(id="job-1", name="told", count=2, created_at=0.0, **asked)
    return waiting_for(fold(head, events))


def dispatch(state, at=None):
    return to_event("job-1", DispatchRecord("dispatch-1", "direct", state), at=NOW if at is None else at)


def machine(state, after_s=0.0, **facts):
    return to_event("job-1", MachineRecord("machine-1", state, **facts), at=NOW + after_s)


def runner(state):
    return to_event("job-1", RunnerRecord("runner-1", "here", state), at=NOW)


def queue(reason, after_s=0.0):
    return to_event("job-1", QueueRecord("AWS Batch", reason), at=NOW + after_s)


def refused(index):
    error = RunError(THROTTLED, "AWS throttled its start (Rate Exceeded.)", infrastructure=True)
    return Event.new("job-1", index, 0, EventKind.FINISHED, at=2.0, status=RunStatus.FAILED, error=error)


NOW = time.time()
SMALL = {"instance_type": "small"}


@pytest.mark.parametrize(
    ("events", "header", "says"),
    [
        ([], {}, "waiting to be started"),
        ([dispatch("starting")], {}, "being handed to AWS Lambda"),
        ([dispatch("started")], {}, "waiting for AWS Lambda to begin"),
        ([dispatch("started"), refused(1)], {}, "AWS throttled its start (Rate Exceeded.)"),
        ([dispatch("starting")], SMALL, "waiting for a small to start"),
        ([machine("up")], SMALL, "waiting for a free worker"),
        ([machine("failed", reason="no room")], SMALL, "no room"),
        ([to_event("job-1", ProcessRecord("process-1"))], {}, "waiting for a free worker"),
        ([runner("starting")], {}, "waiting for a process to start"),
        ([runner("starting")], SMALL, "waiting for a process to start"),
        ([runner("started")], SMALL, "waiting for a free worker"),
        ([dispatch("starting"), queue("no capacity", 1)], SMALL, "no capacity"),
        ([queue("no capacity"), machine("up", 1)], SMALL, "waiting for a free worker"),
        ([to_event("job-1", ThrottleRecord("AWS Lambda", "too many"))], {}, "too many"),
        ([to_event("job-1", ExecutionFailureRecord("execution-1", "no queue"))], SMALL, "no queue"),
    ],
)
def test_what_a_job_waits_for_is_said_in_words(monkeypatch, events, header, says):
    monkeypatch.setattr(time, "time", lambda: NOW)  # however long ago this file was read
    assert told(*events, **header) == says


def test_realtime_runs_that_do_not_begin_are_said_to_wait_for_the_account_s_limit(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: NOW)
    assert told(dispatch("started", NOW - 3600)).startswith("AWS Lambda begins none for 1 h: most likely as many runs")
