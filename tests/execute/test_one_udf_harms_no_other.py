"""What a UDF does to its own process is that run's failure alone."""

from __future__ import annotations

import os

import numpy as np
import pytest

from fanfold.codec import encode_json
from fanfold.core.models import RunStatus
from fanfold.execution.calls import Call
from tests.conftest import LIMIT_S
from tests.execute.conftest import ListFeed


def identify(index: int):
    return index


def write_junk(index: int):
    import os

    for fd in range(3, 64):
        try:
            os.write(fd, b"junk" * 20)
        except OSError:
            continue
    return index


def test_a_udf_that_writes_into_its_workers_pipes_fails_alone(pool, feed):
    one = pool(2)
    bad, good = feed(write_junk, [{"index": 0}]), feed(identify, [{"index": index} for index in range(200)])
    one.add(bad)
    one.add(good)
    while one.serves(bad) or one.serves(good):
        one.step()
    assert [told.value for told in good.told.values()] == list(range(200))
    assert bad.told[0].status is RunStatus.FAILED
    assert "the UDF closed, or wrote to, file descriptors that it had not opened" in bad.told[0].error.message
    assert "close only what the UDF has opened" in bad.told[0].error.next_step


def test_a_udf_that_puts_others_in_the_place_of_its_workers_pipes_is_told_so(work):
    def replace(index: int):
        import os

        nowhere = os.open(os.devnull, os.O_RDWR)
        for fd in range(3, 40):
            if fd != nowhere and os.path.exists(f"/proc/self/fd/{fd}"):
                os.dup2(nowhere, fd)
        return index

    told = work(replace, [{"index": 0}])[0]
    assert "the UDF closed, or wrote to, file descriptors that it had not opened" in told.error.message


def test_a_udf_that_leaves_its_process_no_file_to_open_is_told_so(work):
    def starve(index: int):
        import os
        import resource
        import subprocess

        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
        return os.open(os.devnull, os.O_RDONLY), subprocess.__name__, index

    told = work(starve, [{"index": 0}])[0].error
    assert "left its process no file to open: as many are open as it may have (RLIMIT_NOFILE)" in told.message
    assert "close each file and socket" in told.next_step


def test_calls_that_a_udf_has_read_from_the_queue_go_out_again(work):
    def steal(index: int):
        import os
        import stat

        for fd in range(3, 64):
            try:
                if index == 0 and stat.S_ISFIFO(os.fstat(fd).st_mode):
                    os.set_blocking(fd, False)
                    os.read(fd, 4096)
            except OSError:
                continue
        return index

    assert [told.value for told in work(steal, [{"index": index} for index in range(5)])] == list(range(5))


def test_a_udf_that_opens_too_many_files_is_told_so(work):
    def open_many(hold: bool):
        import resource

        resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        files = []
        while hold:
            files.append(open("/dev/null"))  # noqa: SIM115
        return "fine"

    told = work(open_many, [{"hold": False}, {"hold": True}, {"hold": False}])
    assert [one.value for one in told] == ["fine", None, "fine"]
    assert told[1].error.type == "OSError"
    assert "the run has as many files open as it may: close each when it is done with" in told[1].error.message


def test_a_udf_that_leaves_raw_descriptors_open_is_told_so_and_the_next_run_has_a_process_with_room(work):
    """No object of Python's closes these as the error goes up: none is left to read the error's own lines by."""

    def leak(number: int):
        import os
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, most))
        for _ in range(number):
            os.open(os.devnull, os.O_RDONLY)
        return os.getpid()

    told = work(leak, [{"number": 1}, {"number": 64}, {"number": 1}], workers=1)
    assert told[2].error is None, told[2].error
    assert told[1].error.type == "OSError"
    assert "Too many open files" in told[1].error.message
    assert "the run has as many files open as it may" in told[1].error.message
    assert "os.open(os.devnull, os.O_RDONLY)" in told[1].error.traceback
    assert None not in (told[0].value, told[2].value)


def shared_memory() -> set[str]:
    return set(os.listdir("/dev/shm"))


def forget():
    from multiprocessing import shared_memory

    part = shared_memory.SharedMemory(create=True, size=1_000_000)
    part.close()
    return [part.name, os.getpid()]


def test_shared_memory_that_a_run_forgets_is_removed_and_its_worker_stays(work):
    told = work(forget, [{}] * 3)
    assert not shared_memory() & {one.value[0] for one in told}
    assert len({one.value[1] for one in told}) == 1
    for one in told:  # what Python says of it is in the log of the run that it is about
        assert one.printed.count("leaked shared_memory objects") == 1


def test_shared_memory_of_a_run_that_is_ended_is_removed(work, tmp_path, eventually):
    def hang(path: str):
        import time
        from multiprocessing import shared_memory

        part = shared_memory.SharedMemory(create=True, size=1_000_000)
        with open(path, "w") as file:
            file.write(part.name)
        time.sleep(60)

    (told,) = work(hang, [{"path": str(tmp_path / "name")}], timeout_s=LIMIT_S)
    assert told.status is RunStatus.TIMED_OUT
    eventually(lambda: (tmp_path / "name").read_text() not in shared_memory())


def test_pages_of_a_mapped_file_are_not_memory_that_a_run_holds(work, tmp_path):
    path = tmp_path / "array.npy"
    np.save(path, np.ones(30_000_000))

    def total(path: str):
        import time

        import numpy as np

        mapped = np.load(path, mmap_mode="r")
        found = float(mapped.sum())
        time.sleep(0.5)
        return found

    (told,) = work(total, [{"path": str(path)}], memory_mib=200)
    assert told.status is RunStatus.SUCCEEDED, told.error
    assert told.value == 30_000_000
    assert told.usage.peak_memory_mib < 200


@pytest.fixture
def with_blob(tmp_path, feed):
    """A feed whose calls share a large value: `with_blob(udf, value, runs)`; and the file that holds it."""

    def make(fn, value, runs):
        given = feed(fn, [{}] * 0)
        blobs = tmp_path / "blobs"
        text = encode_json({"value": value}, put_blob=lambda sha256, data: (blobs / sha256).write_bytes(data))
        again = ListFeed(given.assignment, [{}] * runs)
        again.calls = [Call(index, 0, text) for index in reversed(range(runs))]
        return again, next(blobs.iterdir())

    return make


def change(value):
    found = float(value[0])
    value[0] = 5.0
    return [found, type(value).__name__, value.flags.writeable]


def test_a_large_array_is_each_runs_own(pool, with_blob):
    given, _ = with_blob(change, np.zeros(100_000), 3)
    pool().serve(given)
    assert [told.value for told in given.told.values()] == [[0.0, "ndarray", True]] * 3


def test_a_large_frame_is_each_runs_own_and_decoded_once_it_comes_again(pool, with_blob):
    import pandas as pd

    def change(value):
        found = float(value["a"].iloc[0])
        value.loc[0, "a"] = 5.0
        return found

    given, path = with_blob(change, pd.DataFrame({"a": np.random.default_rng(1).random(100_000)}), 4)
    first = given.calls.pop(0)
    one = pool()
    one.serve(given)
    assert len({told.value for index, told in given.told.items() if index < 3}) == 1
    path.unlink()
    given.calls = [first]
    one.serve(given)
    assert given.told[3].value == given.told[0].value


def lists_in_pandas():
    import pandas as pd

    return pd.DataFrame({"value": [[] for _ in range(30_000)], "noise": np.random.default_rng(1).random(30_000)})


def arrays_in_a_series():
    import pandas as pd

    return pd.Series(list(np.random.default_rng(1).random((10_000, 4))))


@pytest.mark.parametrize("made", [lists_in_pandas, arrays_in_a_series])
def test_what_a_run_does_to_the_cells_of_a_large_frame_no_other_run_meets(pool, with_blob, made):
    def change(value):
        cell = (value["value"] if hasattr(value, "columns") else value)[0]
        found = str(cell)
        if isinstance(cell, list):
            cell.append(1)
        else:
            cell[0] = 9
        return found

    given, _ = with_blob(change, made(), 4)
    pool().serve(given)
    assert [told.error for told in given.told.values()] == [None] * 4
    assert len({told.value for told in given.told.values()}) == 1


def test_a_large_argument_that_is_damaged_is_an_error_that_names_it(pool, with_blob):
    given, path = with_blob(change, np.zeros(100_000), 1)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    pool().serve(given)
    assert given.told[0].status is RunStatus.FAILED
    assert f"A large argument is damaged: the bytes of blobs/{path.name} do not match" in given.told[0].error.message
