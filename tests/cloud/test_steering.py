"""What is done with a job that is there: cancel it in each of its phases, run again what failed, look at it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

import fanfold
from fanfold.cli.app import app
from fanfold.engines.base import engine_for
from tests.cloud.udfs import begun, held, prints_as_told, squared

pytestmark = pytest.mark.usefixtures("on_cloud")

ATTACHED = """
import fanfold, pathlib
job = fanfold.get_job({id!r})
print(job.status)
pathlib.Path({go!r}).touch()
print(sum(job.results()))
"""


def cancelled(job, eventually):
    def is_over() -> bool:
        counts = job.counts()  # one reading: between two of them a run may be heard of that missed the flag
        return counts.get("cancelled", 0) > 0 and set(counts) <= {"cancelled", "succeeded"}

    job.cancel()
    eventually(is_over)
    eventually(lambda: job.status == "Cancelled")


@pytest.mark.parametrize(
    "max_workers", [pytest.param(None, id="Express"), pytest.param(40, marks=pytest.mark.long, id="Distributed Map")]
)
def test_a_job_that_is_throttled_is_cancelled_before_anything_of_it_ran(on_cloud, eventually, max_workers):
    on_cloud.limit_concurrency(0)
    job = fanfold.submit(squared, range(20), max_workers=max_workers, collect=False)
    eventually(on_cloud.throttled)
    cancelled(job, eventually)
    on_cloud.limit_concurrency(None)
    assert job.counts() == {"cancelled": 20}
    assert job.retry().results() == [x * x for x in range(20)]


@pytest.mark.parametrize("max_workers", [2, pytest.param(1, marks=pytest.mark.long)])
def test_a_job_is_cancelled_while_its_machines_do_not_come_up(on_cloud, eventually, max_workers):
    on_cloud.limit_machines(0)
    job = fanfold.submit(squared, range(4), instance_type="small", max_workers=max_workers, collect=False)
    eventually(lambda: on_cloud.machines_of(job.id))
    cancelled(job, eventually)
    assert job.counts() == {"cancelled": 4}
    eventually(lambda: [one["status"] for one in on_cloud.machines_of(job.id)] == ["FAILED"])


def test_a_job_is_cancelled_between_a_run_s_death_and_its_next_try(on_cloud, eventually, tmp_path):
    job = fanfold.submit(held, range(2), folder=str(tmp_path), collect=False)
    eventually(lambda: len(begun(tmp_path)) == 2)
    on_cloud.limit_concurrency(0)  # the next try is refused for as long as that lasts
    assert on_cloud.crash_environments() == 2
    eventually(lambda: job.counts() == {"queued": 2})
    cancelled(job, eventually)
    assert job.counts() == {"cancelled": 2}


def test_cancel_ends_machines_that_run(on_cloud, eventually, tmp_path):
    job = fanfold.submit(held, range(4), folder=str(tmp_path), instance_type="small", max_workers=2, collect=False)
    eventually(lambda: begun(tmp_path))
    cancelled(job, eventually)
    eventually(lambda: [one["status"] for one in on_cloud.machines_of(job.id)] == ["FAILED"])


@pytest.mark.parametrize("count", [30, pytest.param(130, marks=pytest.mark.long)])
def test_cancel_ends_a_job_in_mid_run(on_cloud, eventually, count):
    @fanfold.udf
    def napping(x: int):
        import time

        time.sleep(60 if x >= 10 else 0)
        return x

    workers = 80 if count > 100 else None
    job = fanfold.submit(napping, range(count), max_workers=workers, collect=False)
    eventually(lambda: job.counts().get("succeeded"))
    cancelled(job, eventually)


def test_only_what_failed_is_run_again(tmp_path):
    @fanfold.udf
    def fixed(x: int, flag: str):
        import pathlib

        if x % 2 and not pathlib.Path(flag).exists():
            raise OSError("not there yet")
        return x

    flag = tmp_path / "flag"
    job = fanfold.submit(fixed, range(10), flag=str(flag), collect=False).wait()
    assert job.counts() == {"succeeded": 5, "failed": 5}
    flag.touch()
    assert job.retry().results() == list(range(10))


@pytest.mark.parametrize("instance_type", [None, pytest.param("small", marks=pytest.mark.long)])
def test_another_process_takes_a_job_up_while_it_runs(eventually, tmp_path, instance_type):
    job = fanfold.submit(held, range(3), folder=str(tmp_path), instance_type=instance_type, collect=False)
    eventually(lambda: begun(tmp_path))
    program = ATTACHED.format(id=job.id, go=str(tmp_path / "go"))
    told = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert told.split() == ["Running", "3"]


FORGETFUL = """
import fanfold

def note(path: str):
    open(path, "w").close()

executor = fanfold.Executor()
for n in range({count}):
    executor.submit(note, {folder!r} + f"/{{n}}")
"""


@pytest.mark.parametrize("count", [1, 60])
def test_a_script_that_forgets_to_wait_has_its_calls_made(tmp_path, count):
    """Python lets no thread begin anything once a script has come to its end."""
    (tmp_path / "notes").mkdir()
    script = tmp_path / "script.py"
    script.write_text(FORGETFUL.format(count=count, folder=str(tmp_path / "notes")))
    subprocess.run([sys.executable, script], check=True)
    assert len(list((tmp_path / "notes").iterdir())) == count


def test_two_jobs_of_two_people_go_on_at_once(monkeypatch):
    monkeypatch.setenv("FANFOLD_OWNER", "ada")
    first = fanfold.submit(squared, range(20), collect=False)
    monkeypatch.setenv("FANFOLD_OWNER", "grace")
    second = fanfold.submit(squared, range(20, 40), collect=False)
    assert second.results() == [x * x for x in range(20, 40)]
    assert first.results() == [x * x for x in range(20)]
    assert [job.id for job in fanfold.get_jobs()] == [second.id]
    monkeypatch.setenv("FANFOLD_OWNER", "ada")
    assert [job.id for job in fanfold.get_jobs()] == [first.id]


def refuses_three(x: int) -> int:
    if x == 3:
        raise ValueError("no data")
    return x


def takes_three(x: int) -> int:
    return x


@pytest.mark.parametrize("instance_type", [None, pytest.param("small", marks=pytest.mark.long)])
def test_what_failed_runs_again_with_fixed_code(engine, instance_type):
    job = fanfold.submit(refuses_three, range(5), instance_type=instance_type, collect=False).wait()
    assert job.counts() == {"succeeded": 4, "failed": 1}
    assert job.retry(takes_three).wait().results() == [0, 1, 2, 3, 4]
    assert list(fanfold.get_job(job.id).verify().code_hashes.values()) == [4, 1]


def has_a_typo(x: int) -> int:
    time.sleep(60 if x >= 70 else 0.3)  # these end with the job, however late that is stopped
    return undefined_name + x  # type: ignore[name-defined]  # noqa: F821


def test_a_typo_stops_the_job(engine, eventually):
    job = fanfold.submit(has_a_typo, range(100), max_workers=2, collect=False).wait()
    eventually(lambda: job.status == "Failed")
    assert job.counts()["cancelled"] > 20
    assert "the first 10 runs all failed with NameError" in job.summary().stop_reason


@pytest.mark.parametrize(
    "instance_type", [pytest.param(None, id="function"), pytest.param("small", marks=pytest.mark.long, id="machine")]
)
def test_a_run_in_aws_is_asked_where_it_stands_and_goes_on(eventually, tmp_path, instance_type):
    job = fanfold.submit(held, [7], folder=str(tmp_path), instance_type=instance_type, collect=False, cache=False)
    eventually(lambda: job.counts() == {"running": 1})
    assert "in held" in job[0].stack()
    (tmp_path / "go").touch()
    assert job.wait(progress=False).results() == [7]


@pytest.mark.parametrize("follow", [pytest.param("tail_logs", marks=pytest.mark.long), "logs -f"])
def test_what_a_run_prints_is_followed_to_its_end_and_told_once(eventually, tmp_path, capsys, follow):
    job = fanfold.submit(prints_as_told, [0], folder=str(tmp_path), cache=False, collect=False)
    look = job.tail_logs if follow == "tail_logs" else lambda: app(["logs", "-f", job.id], standalone_mode=False)
    follower = threading.Thread(target=look)
    follower.start()
    printed = ""

    def is_told(line: str) -> bool:
        nonlocal printed
        printed += capsys.readouterr().out
        return line in printed

    for n in range(3):
        eventually(lambda n=n: is_told(f"[0] line {n}"))
        (tmp_path / str(n + 1)).touch()
    follower.join(timeout=120)
    assert not follower.is_alive()
    printed += capsys.readouterr().out
    assert printed.splitlines() == ["[0] line 0", "[0] line 1", "[0] line 2"]


def test_a_client_that_knows_a_function_which_a_deploy_has_removed_takes_the_others():
    """By then the roles no longer allow to call it, so AWS does not say that it is gone."""
    engine = engine_for()
    known = engine.context.deployment
    gone = {**known.descriptor, "functions": [*known.descriptor["functions"][:1], "fanfold-main-run-9"]}
    engine.context.deployment = known._replace(descriptor=gone)
    job = fanfold.submit(squared, range(4), cache=False, collect=False)
    assert job.wait(timeout=60).results() == [0, 1, 4, 9]
    assert engine.context.descriptor["functions"] == known.descriptor["functions"]
