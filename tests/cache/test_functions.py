"""`@fanfold.cache`: results of a function that are kept beside the runs that call it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import fanfold
from fanfold.source import capture as capturing


def test_a_function_with_a_cache_of_its_own_is_computed_by_one_thread_or_process_at_a_time(tmp_path):
    """Others that ask for the same wait for it; for something else they do not."""
    program = (
        "import sys, time, threading, fanfold\n"
        "@fanfold.cache\n"
        "def dear(x):\n"
        "    with open(sys.argv[1], 'a') as file:\n"
        "        file.write(f'{x} ')\n"
        "    time.sleep(0.5)\n"
        "    return dear(x - 1) + x if x > 1 else x\n"
        "threads = [threading.Thread(target=dear, args=(2,)) for _ in range(3)]\n"
        "[one.start() for one in threads] + [one.join() for one in threads]\n"
        "assert dear(2) == 3\n"
    )
    (tmp_path / "program.py").write_text(program)
    command = [sys.executable, str(tmp_path / "program.py"), str(tmp_path / "computed")]
    both = [subprocess.Popen(command, env={**os.environ, "FANFOLD_HOME": str(tmp_path / "home")}) for _ in range(2)]
    assert [one.wait(60) for one in both] == [0, 0]
    assert (tmp_path / "computed").read_text() == "2 1 "


def test_what_several_threads_call_first_at_once_is_known_by_one_code(monkeypatch):
    captured, all_here = [], threading.Barrier(3)
    real = capturing.capture

    def capture(function):
        captured.append(real(function))
        time.sleep(0.05)  # time for the others to come
        return captured[-1]

    @fanfold.cache
    def half(x):
        return x / 2

    def call(x):
        all_here.wait(timeout=60)
        return half(x)

    monkeypatch.setattr(capturing, "capture", capture)
    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(call, [2, 4, 6])) == [1, 2, 3]
    assert len(captured) == 1


def older(path):
    """Make a file older, so that writing it again within a tick of the clock is seen."""
    about = path.stat()
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns - 10**11))


@pytest.mark.parametrize("given", [Path, str, lambda path: [Path(path)]], ids=["path", "text", "list"])
def test_a_file_that_it_is_given_counts_as_in_a_run(tmp_path, given):
    path, computed = tmp_path / "scene", []

    @fanfold.cache(cache_key_exclude="log")
    def read(scene: str | Path, log):
        log.append(scene)
        return Path(scene[0] if isinstance(scene, list) else scene).read_text()

    for content in ("old", "new"):
        path.write_text(content)
        assert [read(given(str(path)), computed) for _ in range(2)] == [content] * 2
        older(path)
    assert len(computed) == 2


def test_a_path_that_it_has_returned_and_that_is_gone_is_made_again(tmp_path):
    @fanfold.cache
    def downloaded(name: str) -> Path:
        path = tmp_path / name
        with path.open("a") as file:
            file.write("x")
        return path

    assert [downloaded("a").read_text() for _ in range(2)] == ["x", "x"]
    downloaded("a").unlink()
    assert downloaded("a").read_text() == "x"


def test_what_writes_the_file_that_it_is_given_serves_again_once_nobody_else_has(tmp_path):
    computed = []

    @fanfold.cache(cache_key_exclude="log")
    def downloaded(to: Path, log):
        log.append(to)
        to.write_text("scene")
        return len(log)

    assert [downloaded(tmp_path / "scene", computed) for _ in range(3)] == [1, 1, 1]
    (tmp_path / "scene").unlink()
    assert downloaded(tmp_path / "scene", computed) == 2


def test_a_file_where_nobody_can_look_is_read_each_time(tmp_path):
    computed = []

    @fanfold.cache(cache_key_exclude="log")
    def read(scene, log):
        log.append(scene)
        return len(log)

    import fsspec

    place = fsspec.open("memory://scene")
    assert [read(place, computed) for _ in range(2)] == [1, 2]
