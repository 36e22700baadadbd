"""`job.retry(udf=fixed)`: only what failed runs again, with the new code; the other results stay."""

from __future__ import annotations

import subprocess
import sys

import pytest

import fanfold


def flaky(x: int, add: int = 0):
    if x in (3, 7):
        raise ValueError(f"no data for tile {x}")
    return x * 2 + add


def fixed(x: int, add: int = 0):
    return -1 if x in (3, 7) else x * 2 + add


def still_wrong(x: int, add: int = 0):
    raise KeyError(x)


@pytest.fixture
def job():
    return fanfold.submit(flaky, range(10), add=100, collect=False).wait()


def test_only_what_failed_runs_and_the_rest_stays(job):
    before = {index: job[index].usage for index in range(10) if index not in (3, 7)}
    assert job.retry(fixed).wait().results() == [100, 102, 104, -1, 108, 110, 112, -1, 116, 118]
    assert {index: job[index].usage for index in before} == before
    assert job.counts() == {"succeeded": 10}


def test_only_the_runs_that_are_named_run_again(job):
    with pytest.raises(fanfold.InputError, match=r"Run 0 .* has not failed"):
        job.retry(runs=[0, 7])
    assert job.retry(fixed, runs=[7]).wait().counts() == {"succeeded": 9, "failed": 1}
    assert (job[7].result(), job[3].status) == (-1, "failed")


def test_each_run_knows_its_code_in_every_process(job):
    first = job[0].code_hash
    job.retry(udf=fixed).wait()
    again = fanfold.get_job(job.id)
    assert {index for index in range(10) if again[index].code_hash != first} == {3, 7}
    receipt = again.verify()
    assert receipt.complete
    assert list(receipt.code_hashes.values()) == [8, 2]
    assert f"8 runs with code {first[:8]}, 2 runs with the fix " in str(receipt)
    assert "2 runs with the fix" in " ".join(str(again.summary()).split())


def test_the_fix_may_be_fixed(job):
    job.retry(still_wrong).wait()
    assert [error.error_type for error in job.errors().values()] == ["KeyError", "KeyError"]
    job.retry(fixed).wait()
    assert list(job.verify().code_hashes.values()) == [8, 0, 2]


def test_a_retry_without_code_runs_the_last(job):
    job.retry(still_wrong).wait()
    job.retry().wait()
    assert job.errors()[3].error_type == "KeyError"


def test_results_of_fixed_code_are_not_cached_under_the_first(job):
    job.retry(fixed).wait()
    again = fanfold.submit(flaky, range(10), add=100, collect=False).wait()
    assert again.counts() == {"cached": 8, "failed": 2}


def test_code_that_takes_other_inputs_is_refused_and_changes_nothing(job):
    def renamed(y: int, add: int = 0):
        return y

    def as_text(x: str, add: int = 0):
        return x

    for wrong in (renamed, as_text):
        with pytest.raises(fanfold.InputError):
            job.retry(wrong)
    assert job.counts() == {"succeeded": 8, "failed": 2}
    assert list(fanfold.get_job(job.id).verify().code_hashes) == [job.header.code_hash]


def test_what_was_stopped_goes_on_with_the_fix():
    job = fanfold.submit(still_wrong, range(200), max_workers=1, collect=False).wait()
    assert job.status == "Failed"
    job.retry(fixed).wait()
    assert job.status == "Completed"
    assert job.summary().stop_reason == ""


def test_on_a_machine_a_runner_takes_the_new_code():
    job = fanfold.submit(flaky, range(10), instance_type="small", collect=False).wait()
    assert job.counts() == {"succeeded": 8, "failed": 2}
    assert job.retry(fixed).wait().results()[3] == -1


def test_the_error_says_how(job):
    with pytest.raises(fanfold.RunFailed) as raised:
        job.collect()
    assert f'`fanfold.get_job("{job.id}").retry(udf=fixed)`' in raised.value.next_step


FLAKY = """
import fanfold

@fanfold.udf
def tile(x: int):
    if x == 2:
        raise ValueError("no data")
    return x
"""


def test_the_command_line_takes_the_file_with_the_fix(tmp_path):
    file = tmp_path / "tiles.py"
    file.write_text(FLAKY)

    def call(*arguments):
        command = [sys.executable, "-m", "fanfold.cli", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)

    assert call("submit", "tiles.py", "1", "2", "3").returncode == 1
    job = fanfold.get_jobs(limit=1)[0]
    file.write_text(FLAKY.replace("x == 2", "x == 99"))
    done = call("retry", job.id, "--with", "tiles.py:tile")
    assert done.returncode == 0, done.stderr
    assert job.results() == [1, 2, 3]


_STOPPED_AND_RETRIED = """
import fanfold
from pathlib import Path

def wrong(x: int, log: str):
    with open(log, "a") as file:
        file.write("w")
    import time
    time.sleep(0.05)
    raise ValueError(x)

def right(x: int, log: str):
    return x

if __name__ == "__main__":
    job = fanfold.submit(wrong, range(60), log="log", collect=False, max_retry=0).wait()
    assert "cancelled" in job.counts(), job.counts()
    assert job.retry(udf=right).wait().results() == list(range(60))
"""


def test_after_a_job_has_stopped_by_itself_the_wrong_code_runs_no_more(tmp_path):
    (tmp_path / "stopped.py").write_text(_STOPPED_AND_RETRIED)
    # The end of the process waits for whatever still runs.
    subprocess.run([sys.executable, "stopped.py"], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    assert len((tmp_path / "log").read_text()) < 40
