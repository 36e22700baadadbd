"""`job[17].profile()`: which lines of a run take its time and hold its memory, when it is called again here."""

from __future__ import annotations

import sys
import time

import pytest

import fanfold
from fanfold.job.profile import Profile, ProfiledLine


def looped(n: int):
    total = 0
    for number in range(n):
        total += number * number
    return total


def deep(steps: int, n: int):
    return deep(steps - 1, n) if steps else looped(n)


def work(n: int, fails: bool = False):
    held = bytearray(64 * 2**20)
    time.sleep(0.2)
    total = deep(5, n)
    if fails:
        raise ValueError("password=hunter2-and-more")
    return total + len(held)


@pytest.fixture
def job():
    return fanfold.submit(work, [{"n": 400_000}, {"n": 10, "fails": True}], collect=False).wait()


def lines(profile: Profile) -> dict[str, ProfiledLine]:
    return {line.code: line for line in profile.lines}


def test_it_says_which_lines_take_the_time_each_once_however_deep_it_calls_itself(job):
    found = job[0].profile()
    told = lines(found)
    asleep, called, looped_in = told["time.sleep(0.2)"], told["total = deep(5, n)"], told["total += number * number"]
    assert asleep.seconds >= 0.15
    assert 0 < looped_in.seconds <= called.seconds < found.seconds
    assert asleep.seconds + called.seconds <= found.seconds
    assert told["return deep(steps - 1, n) if steps else looped(n)"].seconds <= called.seconds
    assert (asleep.file, asleep.function, asleep.mib) == (__file__, "work", None)
    assert [line.seconds for line in found.lines] == sorted((line.seconds for line in found.lines), reverse=True)


def test_it_says_which_lines_hold_the_memory_at_the_peak(job):
    found = job[0].profile(memory=True)
    assert found.peak_mib >= 64
    assert lines(found)["held = bytearray(64 * 2**20)"].mib == pytest.approx(64, abs=1)
    assert "64.0 MiB" in str(found)
    assert "<td" in found._repr_html_()


def test_a_run_that_fails_is_measured_up_to_its_failure_and_secrets_stay_masked(job):
    found = job[1].profile()
    assert found.error.startswith("ValueError: password=")
    assert "hunter2" not in found.error + str(found)
    assert lines(found)["time.sleep(0.2)"].seconds > 0


def test_the_whole_call_tree_is_a_page_of_its_own(job, tmp_path):
    page = job[0].profile().save(tmp_path / "run.html").read_text(encoding="utf-8")
    assert "looped" in page
    with pytest.raises(fanfold.FanfoldError, match="cannot be written"):
        job[0].profile().save(tmp_path / "none" / "run.html")


def test_without_its_package_it_says_what_to_install(job, monkeypatch):
    monkeypatch.setitem(sys.modules, "memray", None)
    with pytest.raises(fanfold.MissingPackage, match=r"memray.*\n.*pip install 'fanfold\[profile\]'"):
        job[0].profile(memory=True)
