"""What a script learns from a command's exit code, and what a person reads on stderr."""

from __future__ import annotations

import pytest

from fanfold import errors
from fanfold.cli.exits import MEANINGS, ExitCode, code_for
from tests.cli.conftest import eventually, interrupt

OURS = "fanfold/cli/"  # a line of a traceback of ours


def test_0_for_what_succeeded(fanfold):
    ended = fanfold("run", "squares.py:square", "x=5")
    assert (ended.returncode, ended.stdout) == (ExitCode.OK, "25\n")


def test_1_for_a_failed_run_with_its_traceback_and_no_line_of_fanfold_s(fanfold):
    ended = fanfold("run", "squares.py:square", "x=13")
    assert ended.returncode == ExitCode.FAILED
    assert ended.stdout == ""
    assert 'squares.py", line 13, in square' in ended.stderr
    assert 'raise ValueError("13 is unlucky [red]here[/red]")' in ended.stderr
    assert "  Next: " in ended.stderr
    assert OURS not in ended.stderr


def test_1_for_a_job_with_failures_whose_first_is_shown(fanfold):
    ended = fanfold("submit", "squares.py", "--range", "12:15")
    assert ended.returncode == ExitCode.FAILED
    assert "2 succeeded, 1 failed" in ended.stdout
    assert "ValueError: 13 is unlucky" in ended.stderr
    assert "fanfold errors" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "squares.py", "x=five"], "x          'five'"),
        (["run", "squares.py", "five"], "name=value"),
        (["run", "squares.py", "y=1"], "y"),
        (["run", "nowhere.py"], "There is no file nowhere.py."),
        (["run", "squares.py:circle"], "squares.py:square"),
        (["run", "squares.py", "x=1", "--engine", "moon"], "There is no engine 'moon'."),
        (["submit", "squares.py"], "exactly one"),
        (["submit", "squares.py", "1", "--range", "1:3"], "exactly one"),
        (["submit", "squares.py", "--range", "3:1"], "is empty"),
        (["submit", "squares.py", "1", "--instance-type", "huge"], "small, medium, large"),
        (["submit", "squares.py", "1", "--instance-type", "lrge"], "did you mean large? Else it knows"),
        (["submit", "squares.py", "1", "--workers", "0"], "--workers"),
        (["submit", "squares.py", "1", "--set", "engine=x"], "cannot be called 'engine'"),
        (["collect", "x", "-o", "out.xlsx"], ".parquet"),
        (["collect", "x", "-o", "nowhere/out.csv"], "There is no directory"),
        (["cache", "clear", "--older-than", "soon"], "--older-than soon"),
        (["cache", "clear", "--older-than", "5"], "--older-than 5 is not an age.\n  Next: write 30s, 5m"),
        (["remove", "--older-than", "7"], "--older-than 7 is not an age.\n  Next: write 30s, 5m, 12h, 7d or 2w."),
        (["jobs", "--limit", "0"], "--limit"),
        (["statsu"], "No such command"),
    ],
)
def test_2_for_what_is_not_right_and_nothing_is_started(jobs, monkeypatch, arguments, said):
    monkeypatch.chdir(jobs.fanfold.directory)
    before = jobs.json("jobs")
    ended = jobs(*arguments)
    assert ended.exit_code == ExitCode.USAGE, ended.output
    assert said in ended.stderr
    assert ended.stdout == ""
    assert jobs.json("jobs") == before


@pytest.mark.parametrize("command", ["status", "logs", "times", "errors", "verify", "cancel", "retry"])
def test_3_for_a_job_that_is_not_there(jobs, command):
    ended = jobs(command, "nope")
    assert ended.exit_code == ExitCode.NOT_FOUND
    assert "There is no job 'nope'" in ended.stderr
    assert "the latest jobs are 20" in ended.stderr


def test_2_for_a_run_that_the_job_does_not_have(jobs):
    for command in ("logs", "errors"):
        ended = jobs(command, jobs.done, "--run", "3")
        assert ended.exit_code == ExitCode.USAGE
        assert "numbered from 0 to 2" in ended.stderr


def test_4_while_a_job_is_not_complete(fanfold):
    job, until = fanfold.waiting("1")
    assert fanfold("status", job).returncode == ExitCode.INCOMPLETE
    assert fanfold("verify", job).returncode == ExitCode.INCOMPLETE
    waited = fanfold("collect", job, "-o", "out.csv", "--timeout", "0.1")
    assert f"`fanfold status --watch {job}` shows how it goes." in waited.stderr
    assert waited.returncode == ExitCode.INCOMPLETE
    assert "not complete yet" in waited.stderr
    until.touch()
    assert fanfold("collect", job, "-o", "out.csv").returncode == ExitCode.OK
    assert fanfold("status", job).returncode == ExitCode.OK


def test_130_for_ctrl_c_which_cancels_the_job_that_the_command_waits_for(fanfold):
    process = fanfold.start("submit", "squares.py", "1", "2", "3", "--set", "until=never", "--workers", "1")
    eventually(lambda: any("running" in job["counts"] for job in fanfold.json("jobs")))
    _, said = interrupt(process)
    assert process.returncode == ExitCode.INTERRUPTED
    (job,) = fanfold.json("jobs")
    assert job["status"] == "Cancelled"
    assert f"fanfold retry {job['id']}" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(("how", "runs"), [("--ramp", 3), pytest.param("--debug", 1, marks=pytest.mark.long)])
def test_130_for_ctrl_c_in_a_ramp_or_a_trial_which_is_cancelled_too(fanfold, how, runs):
    process = fanfold.start("submit", "squares.py", "1", "2", "3", "--set", "until=never", how)
    eventually(lambda: any("running" in job["counts"] for job in fanfold.json("jobs")))
    _, said = interrupt(process)
    assert process.returncode == ExitCode.INTERRUPTED
    (job,) = fanfold.json("jobs")
    assert job["counts"] == {"cancelled": runs}
    assert job["id"] in said
    assert "retry" in said
    assert "Traceback" not in said


def test_130_for_ctrl_c_on_logs_which_leaves_the_job_alone(fanfold):
    job, until = fanfold.waiting("1")
    process = fanfold.start("logs", "-f", job)
    assert process.stdout.readline() == "[0] squaring 1\n"
    _, said = interrupt(process)
    assert process.returncode == ExitCode.INTERRUPTED
    assert "goes on" in said
    assert "Traceback" not in said
    assert fanfold("status", job).returncode == ExitCode.INCOMPLETE
    until.touch()
    eventually(lambda: fanfold.json("status", job)["status"] == "Completed")


@pytest.mark.parametrize(
    "command",
    [["jobs"], ["logs"], *(pytest.param(one, marks=pytest.mark.long) for one in (["times"], ["instance-types"]))],
)
def test_141_and_silence_when_the_reader_goes_away(jobs, command):
    name, *rest = command
    job = [] if name in ("jobs", "instance-types") else [jobs.done]
    process = jobs.fanfold.start(name, *job, *rest)
    process.stdout.close()  # before the first line comes: as `| head -0`
    said = process.stderr.read()
    assert process.wait(timeout=60) == ExitCode.PIPE_CLOSED
    assert said == ""
    process.stdin.close()
    process.stderr.close()


def test_every_error_has_a_code_and_every_code_a_meaning():
    tree = [error for error in vars(errors).values() if isinstance(error, type)]
    codes = {code_for(error("x")) for error in tree if issubclass(error, errors.FanfoldError)}
    assert codes == {ExitCode.FAILED, ExitCode.USAGE, ExitCode.NOT_FOUND, ExitCode.INCOMPLETE}
    assert set(MEANINGS) == set(ExitCode)
