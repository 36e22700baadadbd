"""`job[17].debug()`: a failed run is called again here, with its own code, down to the values it failed on."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import fanfold

scale = 10


def inner(tile: int, rows: list[int]):
    password, header = "hunter2-and-more", {"api_key": "k-123456789", "page": tile}
    copied = password
    if tile >= 2:
        raise ValueError(f"no data for tile {tile} with {copied} and {header['api_key']}")
    return len(password) + len(header) + len(copied) + sum(rows)


def outer(tile: int, add: int = 0):
    print("looking at", tile)
    return inner(tile, list(range(1000))) * scale + add


def slow(x: int):
    while x:
        pass


def fixed(tile: int, add: int = 0):
    raise KeyError(tile)


@pytest.fixture
def job():
    return fanfold.submit(outer, range(4), add=7, collect=False).wait()


def test_it_shows_the_failing_frame_and_its_values(job):
    found = job[3].debug()
    assert found.same
    assert [frame.function for frame in found.frames] == ["outer", "inner"]
    failing = found.failing
    assert failing.function == "inner"
    assert failing.file == __file__
    assert failing.code.startswith("raise ValueError(")
    assert failing.values["tile"] == "3"
    assert failing.values["rows"].startswith("[0, 1, 2, ")
    assert len(failing.values["rows"]) < 200
    assert found.frames[0].values == {"tile": "3", "add": "7"}
    text = str(found)
    assert "fails the same way" in text
    assert "tile = 3" in text


def test_secrets_are_masked_wherever_they_stand(job):
    found = job[3].debug()
    assert found.failing.values["password"] == "<masked>"
    assert found.failing.values["copied"] == "'<masked>'"
    assert "'page': 3" in found.failing.values["header"]
    assert found.message == "no data for tile 3 with <masked> and <masked>"
    assert "hunter2" not in str(found)
    assert "k-123456789" not in str(found)


def test_nothing_of_it_stays_in_this_process(job):
    modules, environment, module = set(sys.modules), dict(os.environ), sys.modules[__name__]
    job[2].debug()
    assert dict(os.environ) == environment
    assert sys.modules[__name__] is module
    assert {name for name in set(sys.modules) - modules if name.startswith("tests")} == set()


def test_the_code_is_that_of_the_runs_last_attempt(job):
    job.retry(fixed).wait()
    assert job[3].debug().error_type == "KeyError"


def test_a_run_that_passes_here_says_so(tmp_path):
    flag = tmp_path / "there"

    def needs(path: str):
        with open(path) as file:
            return file.read()

    job = fanfold.submit(needs, [str(flag)], collect=False).wait()
    flag.write_text("now")
    found = job[0].debug()
    assert (found.error, found.value, found.same) == (None, "now", False)
    assert "does not fail" in str(found)


def test_a_run_that_met_its_time_limit_is_shown_where_it_stood():
    job = fanfold.submit(fanfold.udf(slow, timeout_s=0.5), [1], collect=False).wait()
    found = job[0].debug()
    assert found.same
    assert found.failing.function == "slow"
    assert found.failing.values == {"x": "1"}


def test_what_has_not_failed_or_would_end_this_process_is_refused_by_name(job):
    with pytest.raises(fanfold.InputError, match=r"Run 0 .* has not failed: it is succeeded"):
        job[0].debug()

    def dies(x: int):
        import os

        os._exit(x)

    died = fanfold.submit(dies, [3], max_retry=0, collect=False).wait()
    with pytest.raises(fanfold.InputError, match="ended its process"):
        died[0].debug()


def test_the_command_prints_the_frames_as_json(job, home):
    environment = {**os.environ, "FANFOLD_HOME": str(home)}
    command = [sys.executable, "-m", "fanfold", "debug", job.id, "3", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    document = json.loads(done.stdout)
    assert document["same"] is True
    assert document["frames"][-1]["values"]["tile"] == "3"
    assert "hunter2" not in done.stdout
    assert "looking at 3" in done.stderr
