"""A run that exceeds its time or memory fails alone, and says where it stood."""

from __future__ import annotations

import inspect

import pytest

from fanfold.core.models import RunStatus
from tests.conftest import LIMIT_S, is_gone


def hang(how: str):
    import ctypes
    import threading
    import time

    if how == "python":
        while True:
            time.sleep(0.01)  # hangs here
    if how == "native code that keeps the interpreter's lock":
        ctypes.PyDLL(None).sleep(1000)  # hangs in C
    if how == "a lock":
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()  # hangs at a lock
    if how == "a signal handler":
        import signal

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)
        time.sleep(1000)  # hangs deaf
    return how


def line_of(text: str) -> str:
    source, start = inspect.getsourcelines(hang)
    return str(start + next(number for number, line in enumerate(source) if text in line))


def test_the_deadline_ends_only_that_run_and_tells_the_line_where_it_hung(work):
    ways = {
        "python": "hangs here",
        "native code that keeps the interpreter's lock": "hangs in C",
        "a lock": "hangs at a lock",
        "a signal handler": "hangs deaf",
    }
    inputs = [{"how": how} for way in ways for how in (way, "fine")]
    told = work(hang, inputs, workers=2, timeout_s=LIMIT_S)
    assert [one.value for one in told[1::2]] == ["fine"] * len(ways)
    for way, one in zip(ways, told[::2], strict=True):
        assert one.status is RunStatus.TIMED_OUT
        assert one.error.message == f"still running after {LIMIT_S} s, which is the limit"
        assert "TimeoutError" in one.error.types[0]
        assert f'{__file__}", line {line_of(ways[way])} in hang' in one.error.traceback
        assert "fanfold/execute" not in one.error.traceback
        assert one.usage.duration_s >= LIMIT_S


def test_a_run_within_its_time_is_left_alone(work):
    def wait(seconds: float):
        import time

        time.sleep(seconds)
        return seconds

    assert [told.value for told in work(wait, [{"seconds": 0.3}] * 4, timeout_s=60.0)] == [0.3] * 4


def test_memory_beyond_the_limit_ends_only_that_run(work):
    def take(mib: int):
        import time

        block = bytearray(mib * 2**20)
        for start in range(0, len(block), 4096):
            block[start] = 1
        time.sleep(0.3 if mib < 100 else 60)
        return mib

    told = work(take, [{"mib": mib} for mib in (10, 300, 20)], memory_mib=200)
    assert [one.status for one in told] == [RunStatus.SUCCEEDED, RunStatus.OUT_OF_MEMORY, RunStatus.SUCCEEDED]
    assert "the limit is 200 MiB" in told[1].error.message
    assert told[1].usage.peak_memory_mib > 200
    assert "in take\n" in told[1].error.traceback
    assert 10 < told[0].usage.peak_memory_mib < 100


def test_memory_that_a_child_process_takes_counts_and_the_child_ends_as_well(work, eventually):
    def take_in_child(path: str):
        import subprocess
        import sys

        program = (
            f"import os, time; open({path!r}, 'w').write(str(os.getpid())); x = b'x' * 300 * 2**20; time.sleep(60)"
        )
        subprocess.run([sys.executable, "-c", program], check=False)

    import tempfile

    with tempfile.NamedTemporaryFile("r") as file:
        (told,) = work(take_in_child, [{"path": file.name}], memory_mib=200)
        child = int(file.read())
    assert told.status is RunStatus.OUT_OF_MEMORY
    eventually(lambda: is_gone(child))


def test_memory_that_was_given_back_is_not_held_against_the_next_run(work):
    def take(mib: int):
        return len(b"x" * (mib * 2**20))

    told = work(take, [{"mib": 150}, {"mib": 1}, {"mib": 150}, {"mib": 1}], memory_mib=250)
    assert [one.status for one in told] == [RunStatus.SUCCEEDED] * 4
    assert told[3].usage.peak_memory_mib < 150


@pytest.fixture
def large_file(tmp_path):
    """300 MiB, of which the disk holds none."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(300 * 2**20)
    return str(path)


def look(path: str, mode: str, seconds: float):
    """Read a mapped file whole, and hold it for a while; or a copy of it, which is memory."""
    import time

    import numpy as np

    mapped = np.memmap(path, "u1", mode)
    if mode == "c":
        mapped += 1
    total = int(mapped[::4096].sum())
    time.sleep(seconds)
    return total


def test_a_mapped_file_larger_than_the_limit_is_read_and_one_that_is_written_to_in_memory_is_not(work, large_file):
    kept, written = work(
        look,
        [{"path": large_file, "mode": "r", "seconds": 0.5}, {"path": large_file, "mode": "c", "seconds": 60}],
        memory_mib=200,
    )
    assert (kept.status, written.status) == (RunStatus.SUCCEEDED, RunStatus.OUT_OF_MEMORY)
    assert kept.usage.peak_memory_mib < 100


def test_a_file_that_a_short_run_maps_and_lets_go_of_is_no_peak_of_its_memory(work, large_file):
    told = work(look, [{"path": large_file, "mode": "r", "seconds": 0.01}] * 6)
    peaks = [one.usage.peak_memory_mib for one in told if one.usage.duration_s < 0.2]  # others are looked at meanwhile
    # Huge pages that other processes take meanwhile cannot be told from the run's own.
    assert min(peaks, default=0) < 100


def test_memory_that_a_short_run_gives_back_is_a_peak(work, eventually):
    def take(kind: str):
        import time

        import numpy as np

        block = b"x" * (150 * 2**20) if kind == "bytes" else np.ones(150 * 2**20, "u1")  # numpy takes huge pages
        del block
        time.sleep(0.01)

    def short_ones():
        used = [told.usage for told in work(take, [{"kind": "bytes"}, {"kind": "array"}] * 5)]
        return [one for one in used if one.duration_s < 0.2]  # at longer ones the pool looks, while they run

    assert min(one.peak_memory_mib for one in eventually(short_ones)) > 100
