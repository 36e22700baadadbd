"""`--no-wait`: the job outlives the command."""

from __future__ import annotations

from tests.cli.conftest import eventually


def ended(fanfold, job: str) -> bool:
    return fanfold.json("status", job)["status"] not in ("Queued", "Running")


def test_a_job_goes_on_when_its_command_has_ended_and_only_its_id_is_on_stdout(fanfold):
    job, until = fanfold.waiting("1", "2", "3")
    assert fanfold.json("status", job)["status"] == "Running"
    until.touch()
    eventually(lambda: ended(fanfold, job))
    assert fanfold.json("status", job)["counts"] == {"succeeded": 3}


def test_cancel_ends_it_and_retry_runs_the_rest(fanfold):
    job, until = fanfold.waiting("1", "2", "3")
    cancelled = fanfold("cancel", job)
    assert cancelled.returncode == 0
    assert "Cancelled" in cancelled.stdout
    until.touch()
    retried = fanfold("retry", job, "--no-wait")
    assert retried.stdout == f"{job}\n"
    eventually(lambda: ended(fanfold, job))
    assert fanfold.json("status", job)["counts"] == {"succeeded": 3}


def test_retry_waits_and_has_the_job_s_exit_code(fanfold):
    job = fanfold.json("submit", "squares.py", "13")["id"]
    assert fanfold("retry", job).returncode == 1
    running, until = fanfold.waiting("1")
    refused = fanfold("retry", running)
    assert refused.returncode == 2
    assert "still runs" in refused.stderr
    assert f"from a shell: `fanfold status --watch {running}` or `fanfold cancel {running}`." in refused.stderr
    until.touch()
    eventually(lambda: ended(fanfold, running))


def test_retry_runs_only_the_runs_that_are_named(fanfold):
    job = fanfold.json("submit", "squares.py", "13", "2", "13")["id"]
    refused = fanfold("retry", job, "--run", "1")
    assert refused.returncode == 2
    assert "Run 1 of job" in refused.stderr
    assert f"`fanfold errors {job}`" in refused.stderr
    assert fanfold("retry", job, "--run", "2").returncode == 1
    attempts = {run["run"]: run["attempt"] for run in fanfold.json("times", job)}
    assert attempts[0] < attempts[2]


def test_what_has_ended_is_not_cancelled(jobs):
    told = jobs("cancel", jobs.failed)
    assert told.exit_code == 0
    assert "has ended already" in told.stderr
    assert jobs.json("status", jobs.failed)["status"] == "Failed"


def test_a_ramp_waits_for_its_stages_and_lets_the_rest_go_on(fanfold):
    job = fanfold("submit", "squares.py", "--range", "0:12", "--ramp", "--no-wait").stdout.strip()
    eventually(lambda: ended(fanfold, job))
    assert fanfold.json("status", job)["counts"] == {"succeeded": 12}


def test_a_job_that_is_all_in_the_cache_needs_no_process(fanfold):
    fanfold("submit", "squares.py", "1", "2")
    job = fanfold("submit", "squares.py", "1", "2", "--no-wait").stdout.strip()
    assert fanfold.json("status", job)["counts"] == {"cached": 2}
    assert not list((fanfold.directory / "home").glob("runners/*"))


def test_a_run_that_never_began_was_not_tried(fanfold):
    job, _ = fanfold.waiting("1", "2", "3", "--workers", "1")
    fanfold("cancel", job)
    rows = [line.split() for line in fanfold("times", job).stdout.splitlines()[1:]]
    assert [row[2] for row in rows] == ["1", "0", "0"]
    assert "retries" not in fanfold("status", job).stdout
