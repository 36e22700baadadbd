"""Who submits what another job computes already waits for its results, and computes what that one leaves."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import fanfold
from fanfold.core.models import RunStatus
from fanfold.engines.base import engine_for
from tests.local.conftest import script
from tests.stores.event_log_contract import read_all

__all__ = ["script"]


@fanfold.udf
def held(x: int, folder: str):
    """Notes that it was performed, and goes on when it may; a run that finds its flag fails."""
    import pathlib
    import time

    place = pathlib.Path(folder)
    with (place / "performed").open("a") as notes:
        notes.write(f"{x}\n")
    while not (place / "go").exists():
        time.sleep(0.01)
    flag = place / f"fail-{x}"
    if flag.exists():
        flag.unlink()
        raise OSError("once")
    return x * x


def performed(folder: Path) -> list[int]:
    notes = folder / "performed"
    return sorted(int(line) for line in notes.read_text().split()) if notes.exists() else []


@pytest.fixture
def pair(tmp_path, eventually):
    """Two jobs of the same runs; the first has begun, and both are held."""
    first = fanfold.submit(held, range(4), folder=str(tmp_path), collect=False)
    eventually(lambda: performed(tmp_path))
    yield first, fanfold.submit(held, range(4), folder=str(tmp_path), collect=False)
    (tmp_path / "go").touch()


def test_the_second_of_two_equal_jobs_takes_the_results_of_the_first(engine, pair, tmp_path):
    first, second = pair
    assert second.counts() == {"queued": 4}
    assert second.summary().waits_for == f"waiting for job {first.id}, which runs the same"
    (tmp_path / "go").touch()
    assert second.results() == first.results() == [0, 1, 4, 9]
    assert (first.counts(), second.counts()) == ({"succeeded": 4}, {"cached": 4})
    assert performed(tmp_path) == [0, 1, 2, 3]
    assert second.verify()


def test_a_job_runs_itself_what_nobody_else_does(pair, tmp_path):
    other = fanfold.submit(held, [2, 7, 3, 2], folder=str(tmp_path), collect=False)
    (tmp_path / "go").touch()
    assert other.results() == [4, 49, 9, 4]
    assert other.counts() == {"cached": 3, "succeeded": 1}
    pair[0].wait()
    assert performed(tmp_path) == [0, 1, 2, 3, 7]


def test_a_run_that_fails_there_is_run_here(engine, pair, tmp_path):
    (tmp_path / "fail-2").touch()
    first, second = pair
    (tmp_path / "go").touch()
    assert second.results() == [0, 1, 4, 9]
    assert (first.wait().counts(), second.counts()) == (
        {"succeeded": 3, "failed": 1},
        {"cached": 3, "succeeded": 1},
    )
    assert performed(tmp_path) == [0, 1, 2, 2, 3]


def test_a_job_whose_leader_is_cancelled_goes_on_by_itself(pair, tmp_path):
    first, second = pair
    first.cancel()
    (tmp_path / "go").touch()
    assert second.results() == [0, 1, 4, 9]
    assert second.counts() == {"succeeded": 4}


def test_a_job_that_waits_for_another_is_cancelled_by_itself(pair, tmp_path):
    first, second = pair
    assert second.cancel().counts() == {"cancelled": 4}
    (tmp_path / "go").touch()
    assert first.results() == [0, 1, 4, 9]
    assert performed(tmp_path) == [0, 1, 2, 3]


def test_a_job_that_wants_it_computed_afresh_waits_for_nobody(pair, tmp_path):
    afresh = [
        fanfold.submit(held, [1], folder=str(tmp_path), collect=False, **asked)
        for asked in ({"cache": False}, {"cache_max_age": 0})
    ]
    (tmp_path / "go").touch()
    assert [job.wait().counts() for job in afresh] == [{"succeeded": 1}] * 2
    pair[0].wait()
    assert performed(tmp_path) == [0, 1, 1, 1, 2, 3]


SUBMIT = """
import os, pathlib, sys, time
import fanfold

@fanfold.udf
def noting(x: int, folder: str):
    import os, time
    while x >= 50 and not os.path.exists(folder + "/all"):
        time.sleep(0.01)
    notes = os.open(folder + "/performed", os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    os.write(notes, b"%d\\n" % x)
    os.close(notes)
    return x * x

folder = pathlib.Path(sys.argv[1])
(folder / f"ready-{os.getpid()}").touch()
while not (folder / "go").exists():
    time.sleep(0.001)
job = fanfold.submit(noting, range(100), folder=str(folder), collect=False)
print(sum(job.results()), flush=True)
"""


def test_processes_that_submit_the_same_at_the_same_moment_run_it_once(script, tmp_path, eventually):
    started = [script(SUBMIT, tmp_path) for _ in range(3)]
    eventually(lambda: len(list(tmp_path.glob("ready-*"))) == 3)
    (tmp_path / "all").touch()
    (tmp_path / "go").touch()
    assert [(one.line(), one.end()) for one in started] == [(str(sum(x * x for x in range(100))), (0, "", ""))] * 3
    assert performed(tmp_path) == list(range(100))


def test_a_job_whose_leader_is_killed_goes_on_by_itself(script, tmp_path, eventually):
    leader = script(SUBMIT, tmp_path)
    (tmp_path / "go").touch()
    eventually(lambda: performed(tmp_path))
    follower = script(SUBMIT, tmp_path)  # half of what the leader does goes on until it is killed
    log = engine_for(None).stores.log
    eventually(lambda: len(log.list_jobs()) == 2 and "following" in repr(log.read_since(log.list_jobs()[0].id)[0]))
    leader.process.kill()
    (tmp_path / "all").touch()
    assert follower.line() == str(sum(x * x for x in range(100)))
    times = Counter(performed(tmp_path))
    assert times.keys() == set(range(100))
    leaders_job = log.list_jobs()[1].id
    recorded = {event.index for event in read_all(log, leaders_job) if event.status is RunStatus.SUCCEEDED}
    assert recorded
    assert [index for index in recorded if times[index] > 1] == []  # only what it had not recorded ran again


def test_a_job_that_has_ended_leads_nobody(tmp_path):
    (tmp_path / "go").touch()
    job = fanfold.submit(held, [1], folder=str(tmp_path), collect=False).wait()
    cache = engine_for(None).stores.cache
    assert cache.join_flight(job.header.flight, "20300101-000000-river-7f3a") == []
    assert fanfold.submit(held, [1], folder=str(tmp_path), collect=False).wait(100).counts() == {"cached": 1}
