"""What steps keep, for whom, and what is refused. That both engines go on from them is in tests/cloud/test_steps.py."""

from __future__ import annotations

import contextlib
import fcntl
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

import fanfold
from fanfold.contract.layout import INLINE_RESULT_BYTES
from fanfold.execution import channel


@dataclass
class Tile:
    name: str
    values: tuple[float, ...]


def made(count: int):
    import numpy as np

    return {"tile": Tile("a", (0.1, float("inf"))), "array": np.arange(count), "by": {3: ("x", None)}}


@fanfold.udf(max_retry=1, cache_max_age=0)
def keeps_values(count: int):
    value = fanfold.step("made", made, count)
    if fanfold.attempt() == 0:
        os._exit(1)
    return type(value["tile"]) is Tile, value["tile"].values, int(value["array"].sum()), value["by"]


# As an object of the store, and in the message.
@pytest.mark.parametrize("count", [50_000, pytest.param(10, marks=pytest.mark.long)])
def test_a_kept_value_is_the_value_that_was_computed_to_its_class(count):
    [result] = fanfold.submit(keeps_values, [count], collect=False).wait(120).results()
    assert result == (True, (0.1, float("inf")), sum(range(count)), {3: ("x", None)})


def note(folder: str, what: str):
    with open(f"{folder}/notes", "a", encoding="utf-8") as file:
        file.write(f"{what}\n")
    return what


@fanfold.udf(max_retry=0)
def fails_after_its_step(folder: str):
    fanfold.step("note", note, folder, "computed")
    if not os.path.exists(f"{folder}/fixed"):
        raise RuntimeError("not fixed yet")
    return "done"


def test_a_job_that_is_submitted_again_goes_on_where_the_first_had_failed(tmp_path):
    for _ in range(2):
        assert fanfold.submit(fails_after_its_step, [str(tmp_path)], collect=False).wait(120).status == "Failed"
    (tmp_path / "fixed").touch()
    assert fanfold.submit(fails_after_its_step, [str(tmp_path)], collect=False).wait(120).results() == ["done"]
    assert (tmp_path / "notes").read_text() == "computed\n"


@pytest.mark.parametrize("options", [{"cache": False}, {"cache_max_age": 0}])
def test_where_results_are_not_used_again_steps_are_their_own_jobs_alone(tmp_path, options):
    for _ in range(2):
        fanfold.submit(fails_after_its_step, [str(tmp_path)], collect=False, **options).wait(120)
    assert (tmp_path / "notes").read_text() == "computed\n" * 2


def test_a_retry_goes_on_from_the_steps_and_other_code_begins_anew(tmp_path):
    job = fanfold.submit(fails_after_its_step, [str(tmp_path)], collect=False).wait(120)
    job.retry().wait(120)
    assert (tmp_path / "notes").read_text() == "computed\n"

    @fanfold.udf
    def fixed(folder: str):
        fanfold.step("note", note, folder, "computed")
        return "fixed"

    assert job.retry(udf=fixed).wait(120).results() == ["fixed"]
    assert (tmp_path / "notes").read_text() == "computed\n" * 2


@fanfold.udf(max_retry=0, cache_max_age=0)
def misuses(how: str):
    if how == "twice":
        fanfold.step("a", abs, -1)
        fanfold.step("a", abs, -1)
    elif how == "result":
        fanfold.step("a", open, os.devnull)
    elif how == "argument":
        fanfold.step("a", print, (n for n in range(3)))
    elif how == "child":
        import multiprocessing

        child = multiprocessing.get_context("fork").Process(target=fanfold.step, args=("a", abs, -1))
        child.start()
        child.join()
        raise RuntimeError(f"the child ended with {child.exitcode}")


def test_what_cannot_be_a_step_is_refused_by_its_name():
    job = fanfold.submit(misuses, ["twice", "result", "argument", "child"], collect=False).wait(120)
    said = {index: str(error) for index, error in job.errors().items()}
    assert "Two steps of this run are named 'a'" in said[0]
    assert "what the step 'a' returned is a _io.TextIOWrapper" in said[1]
    assert "the arguments of the step 'a'[0] is a builtins.generator" in said[2]
    assert "ended with 1" in said[3]
    assert "Only a run's own process can have steps" in str(job.logs())


def test_a_step_that_raised_may_be_tried_again_within_the_run():
    @fanfold.udf(cache_max_age=0)
    def insists(n: int):
        try:
            return fanfold.step("a", lambda: 1 // 0)
        except ZeroDivisionError:
            return fanfold.step("a", abs, -n)

    assert fanfold.submit(insists, [3], collect=False).wait(120).results() == [3]


@pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="only Linux lets the size of a pipe be chosen")
def test_what_is_kept_arrives_whole_through_a_pipe_that_has_little_room():
    """As a user's pipes are who has more than a thousand of them."""
    theirs, ours = os.pipe()
    fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(ours, False)
    body, facts = b"x" * INLINE_RESULT_BYTES, {"codec": "bytes/1"}

    def write():
        with contextlib.closing(os.fdopen(ours, "wb", buffering=0)):
            channel.write_whole(ours, channel.pack_reply(7, facts, body))

    with ThreadPoolExecutor(1) as thread, contextlib.closing(os.fdopen(theirs, "rb", buffering=0)) as reader:
        written, whole, stream = thread.submit(write), None, b""
        while whole is None and (read := reader.read(1000)):
            whole, stream = channel.unpack_reply(stream + read)
        assert (whole, stream, written.result(10)) == ((7, facts, body), b"", None)


def filled(number: int):
    return bytes([number]) * 300_000


@fanfold.udf(max_retry=1, cache_max_age=0)
def fills_in_threads(count: int):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as threads:
        values = list(threads.map(lambda number: fanfold.step(f"fill {number}", filled, number), range(count)))
    if fanfold.attempt() == 0:
        os._exit(1)  # once more, with what is kept
    return [number for number, value in enumerate(values) if value != filled(number)]


def test_large_values_of_steps_of_several_threads_are_each_their_own():
    assert fanfold.submit(fills_in_threads, [40], collect=False).wait(60).results() == [[]]


def test_steps_of_several_threads_are_each_computed_once():
    @fanfold.udf(max_retry=1, cache_max_age=0)
    def in_threads(n: int):
        from concurrent.futures import ThreadPoolExecutor

        def tile(number):
            return fanfold.step(f"tile-{number}", lambda: (number, fanfold.attempt()))

        with ThreadPoolExecutor(4) as threads:
            tiles = list(threads.map(tile, range(n)))
        if fanfold.attempt() == 0:
            os._exit(1)
        return tiles

    [tiles] = fanfold.submit(in_threads, [12], collect=False).wait(120).results()
    assert tiles == [(number, 0) for number in range(12)]


def test_an_executors_call_has_no_steps():
    with fanfold.Executor(1) as executor, pytest.raises(fanfold.ConfigurationError, match="is not tried again"):
        executor.submit(fanfold.step, "a", abs, -1).result(120)


def test_outside_a_run_a_step_is_its_function_and_nothing_is_kept():
    assert fanfold.step("a", abs, -4) == 4
    fanfold.checkpoint.save(5)
    assert fanfold.checkpoint.load(7) == 7
