"""What a run may be given and may return."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fanfold.contract.layout import ENV_SOURCE
from fanfold.core.models import RunStatus
from fanfold.source.capture import capture


def test_a_coroutine_function_is_awaited(work):
    async def double(x: int):
        import asyncio

        await asyncio.gather(*(asyncio.sleep(0.001) for _ in range(10)))
        return 2 * x

    assert [told.value for told in work(double, [{"x": x} for x in range(5)])] == [0, 2, 4, 6, 8]


def test_a_result_that_makes_up_its_attributes_is_asked_for_none(work):
    def produce(how: str):
        class Attributes(dict):
            __getattr__ = dict.__getitem__

        return type(Attributes(how=how)).__name__ if how == "name" else Attributes(how=how)

    named, whole = work(produce, [{"how": "name"}, {"how": "whole"}], serializer="pickle")
    assert (named.value, whole.status, dict(whole.value)) == ("Attributes", RunStatus.SUCCEEDED, {"how": "whole"})


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


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A package of the user's, on this process's path alone."""
    package = tmp_path / "project" / "shapes_of_mine"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "scale.py").write_text("FACTOR = 2\n")
    (package / "box.py").write_text(
        "from . import scale\nclass Box:\n def __init__(self, x): self.x = x * scale.FACTOR\n"
    )
    (package / "late.py").write_text("def boxed(x):\n from .box import Box\n return Box(x)\n")
    monkeypatch.syspath_prepend(str(package.parent))
    yield
    for name in [name for name in sys.modules if name.startswith("shapes_of_mine")]:
        del sys.modules[name]


@pytest.mark.usefixtures("project")
def test_processes_of_loky_find_the_udfs_own_modules_as_they_are_now(work):
    from shapes_of_mine import late, scale  # type: ignore[import-not-found]

    scale.FACTOR = 5

    def spread():
        from joblib import Parallel, delayed
        from shapes_of_mine.box import Box

        boxes = Parallel(n_jobs=2, backend="loky")(delayed(late.boxed)(x) for x in range(3))
        cubes = Parallel(n_jobs=2, backend="loky")(delayed(cube)(x) for x in range(3))
        return [type(each) is Box and each.x for each in boxes], [type(each) is Cubed and each.value for each in cubes]

    assert work(spread, timeout_s=60)[0].value == ([0, 5, 10], [1, 2, 9])


def test_joblib_within_a_run_tidies_up_before_the_next_one_and_says_nothing(work):
    def spread(size: int):
        import os

        import numpy as np
        from joblib import Parallel, delayed

        total = sum(Parallel(n_jobs=2)(delayed(np.sum)(np.ones(size)) for _ in range(3)))
        return float(total), os.getpid()

    sizes = (10, 400_000)  # an array as large as the second is a file that joblib's processes share
    told = work(spread, [{"size": size} for size in sizes], timeout_s=60)
    assert [one.value[0] for one in told] == [30.0, 1_200_000.0]
    assert [one.printed for one in told] == ["", ""]
    (pid,) = {one.value[1] for one in told}  # nothing of it makes another worker necessary
    assert not list(Path("/dev/shm").glob(f"joblib_memmapping_folder_{pid}_*"))


@pytest.mark.usefixtures("project")
def test_a_loky_that_was_imported_before_the_udf_does_the_same(tmp_path):
    from shapes_of_mine import late

    def spread():
        from joblib.externals.loky import get_reusable_executor

        with get_reusable_executor(max_workers=1) as processes:
            return processes.submit(late.boxed, 3).result().x

    bundle = capture(spread)
    (tmp_path / "bundle").write_bytes(bundle.to_bytes())
    text = "import joblib.externals.loky.backend.spawn, sys\nfrom fanfold.source.load import Bundle, load\n"
    text += "print(load(Bundle.from_bytes(open(sys.argv[1], 'rb').read()))()())"
    env = {**os.environ, ENV_SOURCE: f"{tmp_path / 'bundle'}\n{tmp_path}"}
    command = [sys.executable, "-c", text, str(tmp_path / "bundle")]
    assert subprocess.check_output(command, cwd="/", env=env, timeout=60) == b"6\n"


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
