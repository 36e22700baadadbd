"""`@fanfold.cache`: results of a function that are kept beside the runs that call it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

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
