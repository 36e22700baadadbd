"""The local home holds what it may: beyond it the oldest jobs go that have ended, and nothing that is still needed."""

from __future__ import annotations

import os
import time

import pytest

import fanfold
from fanfold.engines.base import engine_for
from fanfold.errors import ConfigurationError, JobNotFound
from fanfold.job.room import make_room, size_of_home


def large(seed: int) -> bytes:
    import random

    return random.Random(seed).randbytes(400_000)


@pytest.fixture
def hours_pass(monkeypatch):
    """Let what has been stored be older than an hour."""

    def pass_hours(home):
        now = time.time() + 2 * 3600
        monkeypatch.setattr(time, "time", lambda: now)
        for path in home.rglob("*"):
            if path.is_file():
                os.utime(path, (now - 7000, now - 7000))

    return pass_hours


def test_the_oldest_jobs_go_and_a_result_that_a_newer_one_uses_stays(home, hours_pass, capsys, monkeypatch):
    jobs = [fanfold.submit(large, [seed], collect=False).wait() for seed in range(4)]
    again = fanfold.submit(large, [0], collect=False).wait()
    assert again.counts() == {"cached": 1}
    engine = engine_for("local")
    assert make_room(engine, home, size_of_home(home) / 1e9 + 1) == []
    assert make_room(engine, home, 1e-6) == []  # none of them is an hour old
    hours_pass(home)
    held = size_of_home(home)
    monkeypatch.setattr("fanfold.job.room._JOBS", 1)
    removed = make_room(engine, home, (held - 500_000) / 1e9 / 0.9)
    assert removed == [job.id for job in jobs[: len(removed)]]
    assert 2 <= len(removed) < 4
    assert "home_limit_gb" in capsys.readouterr().err
    with pytest.raises(JobNotFound):
        fanfold.get_job(jobs[0].id)
    assert fanfold.get_job(again.id).results() == [large(0)]
    assert fanfold.get_job(jobs[3].id).results() == [large(3)]
    assert size_of_home(home) < held - 400_000


def test_a_job_that_was_submitted_hours_ago_and_has_just_ended_stays_until_it_is_collected(home, monkeypatch):
    ago = time.time() - 3 * 3600
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: ago)
        job = fanfold.submit(large, [0, 1], collect=False)
    job.wait()
    os.utime(home / "objects" / "jobs" / job.id, (ago, ago))
    assert make_room(engine_for("local"), home, 1e-6) == []
    assert job.results() == [large(0), large(1)]


def test_what_was_just_read_stays_however_long_ago_it_ended(home, hours_pass):
    read, left = (fanfold.submit(large, [seed], collect=False).wait() for seed in range(2))
    hours_pass(home)
    for job in (read, left):
        os.utime(home / "objects" / "jobs" / job.id, (time.time() - 7000,) * 2)
    assert fanfold.get_job(read.id).results() == [large(0)]
    assert make_room(engine_for("local"), home, 1e-6) == [left.id]
    assert fanfold.get_job(read.id).results() == [large(0)]


def test_a_submit_looks_once_an_hour(home, eventually):
    fanfold.run(large, seed=1)
    stamp = home / "room-looked-at"
    os.utime(stamp, (time.time() - 7200,) * 2)
    fanfold.run(large, seed=2)
    eventually(lambda: time.time() - stamp.stat().st_mtime < 3600)


def test_what_is_no_number_of_gigabytes_is_refused():
    with pytest.raises(ConfigurationError, match="home_limit_gb"):
        fanfold.configure(home_limit_gb=-1)
    assert fanfold.configure(home_limit_gb=0).home_limit_gb == 0
