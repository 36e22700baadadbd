"""Workers that import numpy or pandas are forked from a process that has: less CPU, and memory that they share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd  # which loads numpy's random numbers, from version 2 on a part of its own
import psutil
import pytest

import fanfold
from fanfold.engines.base import engine_for
from fanfold.execution.calls import Assignment
from fanfold.execution.pool.spawn import interpreter_of
from fanfold.source.capture import capture
from tests.conftest import is_gone

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
pytestmark = linux_only


def has_numpy(x: int):
    from sys import modules

    had = "numpy" in modules
    return [had, float(np.float64(x)), os.getppid(), os.getpid()]


def drawn(x: int):
    import time

    time.sleep(0.05)  # else one worker would perform all
    return float(pd.Series([np.random.random()]).sum()), os.getpid()


def in_a_frame(x: int):
    return pd.DataFrame({"x": [x]})["x"].sum() and os.getppid()


def drawn_in_a_frame(x: int):
    return pd.DataFrame({"x": np.random.default_rng(x).random(1)})["x"].sum() and os.getppid()


def sets_up(x: int):
    os.environ["NUMPY_EXPERIMENTAL_ARRAY_FUNCTION"] = "0"
    return float(np.float64(x))


def threads_of(x: int):
    return os.environ["OPENBLAS_NUM_THREADS"], float(np.float64(x))


def lone(x: int):
    return x


def interpreter(udf, folder: Path, *, workers: int = 2, **options):
    bundle = folder / "bundle"
    bundle.write_bytes(capture(udf).to_bytes())
    return interpreter_of(Assignment("job", bundle, folder, **options), workers=workers, threads=3)


def test_numpy_and_pandas_are_imported_before_workers_are_forked(tmp_path):
    assert interpreter(has_numpy, tmp_path).preloaded == ("numpy",)
    assert interpreter(has_numpy, tmp_path).threads == 3
    assert interpreter(has_numpy, tmp_path, workers=1, fresh=True).preloaded == ("numpy",)


def test_a_lone_worker_imports_for_itself_and_so_does_what_sets_up_its_environment_first(tmp_path):
    assert not interpreter(has_numpy, tmp_path, workers=1).preloaded
    assert not interpreter(sets_up, tmp_path).preloaded
    assert not interpreter(lone, tmp_path).preloaded


def test_a_damaged_bundle_is_left_to_its_runs_to_tell_of(tmp_path):
    bundle = tmp_path / "bundle"
    bundle.write_bytes(capture(has_numpy).to_bytes()[:-20])
    assert b'"numpy"' in bundle.read_bytes()
    assert not interpreter_of(Assignment("job", bundle, tmp_path), workers=2, threads=3).preloaded


def test_a_run_finds_them_imported_and_its_threads_as_they_were_to_be():
    told = fanfold.submit(has_numpy, range(4), collect=False, cache=False).results()
    assert all(had for had, *_ in told)
    assert {threads for threads, _ in fanfold.submit(threads_of, range(2), collect=False, cache=False).results()} == {
        str(max(1, (os.cpu_count() or 1) // min(2, os.cpu_count() or 1)))
    }


def test_all_that_import_pandas_come_from_one_process_whatever_else_of_numpy_they_use():
    parents = [fanfold.submit(udf, [1, 2], collect=False).results() for udf in (drawn_in_a_frame, in_a_frame)]
    assert len({*parents[0], *parents[1]}) == 1


def test_workers_draw_other_random_numbers_than_each_other():
    told = fanfold.submit(drawn, range(40), collect=False, cache=False).results()
    assert len({number for number, _ in told}) == 40


def test_each_run_in_a_process_of_its_own_has_them_and_draws_its_own_numbers():
    alone = fanfold.udf(fresh=True)(drawn)
    told = fanfold.submit(alone, range(6), collect=False, cache=False).results()
    assert len({number for number, _ in told}) == len({pid for _, pid in told}) == 6


def test_a_job_goes_on_when_the_process_is_killed_that_its_workers_come_from():
    def once(x: int, mark: str):
        import signal

        float(np.float64(x))
        if x == 3 and not os.path.exists(mark):
            with open(mark, "w") as file:
                file.write(str(os.getppid()))
            os.kill(os.getppid(), signal.SIGKILL)
        return x

    mark = Path(os.environ["FANFOLD_HOME"]) / "killed"
    values = fanfold.submit(once, range(8), mark=str(mark), max_retry=3, collect=False, cache=False).results()
    assert values == list(range(8))
    assert is_gone(int(mark.read_text()))


PROGRAM = """
import os, sys, time
import numpy as np
import fanfold

def told(x: int, folder: str):
    with open(f"{folder}/{x}", "w") as file:
        file.write(f"{os.getpid()} {os.getppid()} {float(np.float64(x))}")
    time.sleep(60)

fanfold.submit(told, range(2), folder=sys.argv[1], collect=False, cache=False).wait()
"""


def test_nothing_is_left_of_them_when_the_caller_is_killed(tmp_path, eventually):
    script, folder = tmp_path / "script.py", tmp_path / "told"
    folder.mkdir()
    script.write_text(PROGRAM)
    with subprocess.Popen([sys.executable, str(script), str(folder)], stderr=subprocess.DEVNULL) as caller:
        eventually(lambda: len([path for path in folder.iterdir() if path.stat().st_size]) == 2)
        pids = {int(pid) for path in folder.iterdir() for pid in path.read_text().split()[:2]}
        os.kill(caller.pid, signal.SIGKILL)
    assert len(pids) == 3
    eventually(lambda: all(is_gone(pid) for pid in pids))


def importers():
    """The processes below this one that have numpy."""

    def has_it(pid: int) -> bool:
        try:
            return "numpy" in Path(f"/proc/{pid}/maps").read_text()
        except OSError:  # it has ended
            return False

    return {child.pid for child in psutil.Process().children(recursive=True) if has_it(child.pid)}


def test_new_code_has_its_packages_imported_while_its_inputs_are_still_read():
    before, found = importers(), set()

    def inputs():
        deadline = time.monotonic() + 200
        while not found and time.monotonic() < deadline:
            found.update(importers() - before)
            time.sleep(0.01)
        yield from range(2)

    assert len(fanfold.submit(has_numpy, inputs(), max_workers=2, collect=False).results()) == 2
    assert found


def test_nothing_is_imported_for_code_whose_results_may_be_cached():
    fanfold.submit(has_numpy, range(2), max_workers=2, collect=False).wait()
    expected = []
    driver = engine_for()._ready_driver()
    driver.expect = lambda *asked: expected.append(asked)
    fanfold.submit(has_numpy, range(2), max_workers=2, collect=False).wait()
    assert expected == []
    fanfold.submit(has_numpy, range(2), max_workers=2, collect=False, cache=False).wait()
    assert expected == [(("numpy",), 2)]
