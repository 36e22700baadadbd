"""What a run may be given and may return."""

from __future__ import annotations

import pytest

from fanfold.core.models import RunStatus


def test_a_coroutine_function_is_awaited(work):
    async def double(x: int):
        import asyncio

        await asyncio.gather(*(asyncio.sleep(0.001) for _ in range(10)))
        return 2 * x

    assert [told.value for told in work(double, [{"x": x} for x in range(5)])] == [0, 2, 4, 6, 8]


def test_a_value_that_no_codec_knows_is_an_error_that_names_it_and_says_what_to_return(work):
    def produce(how: str):
        return (n for n in how) if how == "odd" else how

    told = work(produce, [{"how": "odd"}, {"how": "even"}])
    assert told[0].status is RunStatus.FAILED
    assert told[0].error.type == "fanfold.errors.CodecError"
    assert "generator" in told[0].error.message
    assert told[1].value == "even"


def test_pickle_is_there_for_those_who_ask_for_it(work):
    def produce():
        import io

        return io.BytesIO(b"x")

    (refused,), (kept,) = work(produce), work(produce, serializer="pickle")
    assert refused.status is RunStatus.FAILED
    assert kept.value.read() == b"x"


@pytest.mark.parametrize("size", [0, 8 * 1024 - 2, 8 * 1024, 40 * 2**20])
def test_a_result_of_any_size_arrives_whole(work, size, tmp_path):
    def produce(size: int):
        return b"\x07" * size

    told = work(produce, [{"size": size}] * 2)
    assert [one.value for one in told] == [b"\x07" * size] * 2
    assert not list(tmp_path.glob("**/*.result"))


def test_arguments_too_long_for_a_message_go_by_file(work, tmp_path):
    def total(numbers: list, text: str):
        return [sum(numbers), len(text)]

    given = {"numbers": list(range(300_000)), "text": "x" * 2_000_000}
    told = work(total, [given] * 8, workers=2)
    assert [one.value for one in told] == [[sum(range(300_000)), 2_000_000]] * 8
    assert not list(tmp_path.glob("**/*.arguments"))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_works_inside(work, method):
    def use_processes(method: str):
        import math
        import multiprocessing

        with multiprocessing.get_context(method).Pool(2) as processes:
            return processes.map(math.factorial, range(5))

    assert work(use_processes, [{"method": method}], timeout_s=30)[0].value == [1, 1, 2, 6, 24]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_runs_the_udfs_own_functions(work, method):
    def cubes(method: str):
        import multiprocessing

        with multiprocessing.get_context(method).Pool(2) as processes:
            return [cubed.value for cubed in processes.map(cube, range(4))]

    assert work(cubes, [{"method": method}], timeout_s=60)[0].value == [1, 2, 9, 28]


class Cubed:
    def __init__(self, value):
        self.value = value


def cube(x):
    return Cubed(x**3 + OFFSETS[0])


#: More than travels within a bundle.
OFFSETS = b"\1" * 5_000


def test_threads_and_child_processes_work_inside(work):
    def use_both():
        import concurrent.futures
        import subprocess
        import sys

        def child(x):
            return int(
                subprocess.run([sys.executable, "-c", f"print({x} + 1)"], capture_output=True, check=True).stdout
            )

        with concurrent.futures.ThreadPoolExecutor(2) as threads:
            return list(threads.map(child, range(3)))

    assert work(use_both)[0].value == [1, 2, 3]


def test_usage_tells_time_cpu_and_memory(work):
    def spin(mib: int):
        import time

        block = bytearray(b"x" * (mib * 2**20))
        began = time.process_time()
        while time.process_time() - began < 0.2:
            pass
        return len(block)

    used = work(spin, [{"mib": 100}])[0].usage
    assert used.duration_s >= 0.2
    assert used.cpu_s >= 0.2
    assert 100 < used.peak_memory_mib < 400
