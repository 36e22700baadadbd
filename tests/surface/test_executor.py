"""`fanfold.Executor` is a `concurrent.futures.Executor`: what code that takes one expects of it."""

from __future__ import annotations

import concurrent.futures as cf
import math
import random
import subprocess
import sys
import time

import pytest

import fanfold


def scaled(x: int, by: int = 2):
    return x * by


def held(x: int, flag: str):
    import pathlib
    import time

    while not pathlib.Path(flag).exists():
        time.sleep(0.01)
    return x


def test_it_is_one(executor):
    assert isinstance(executor, cf.Executor)


def test_arguments_go_by_position_and_by_name(executor):
    assert executor.submit(scaled, 2, by=5).result() == 10
    assert executor.submit(scaled, 2, 5).result() == 10


def test_map_keeps_the_order(executor):
    assert list(executor.map(scaled, range(50), [3] * 50)) == [3 * x for x in range(50)]


def test_functions_that_are_not_written_in_python_go_by_name(executor):
    assert executor.submit(math.sqrt, 16).result() == 4
    assert executor.submit(max, 3, 5).result() == 5
    assert executor.submit(int, "12", base=8).result() == 10


@pytest.mark.parametrize(
    ("method", "arguments", "result"),
    [
        ("x y".split, (" ",), ["x", "y"]),
        ({"a": 1}.get, ("a",), 1),
        ((5).__add__, (2,), 7),
        (dict.fromkeys, ([1],), {1: None}),
        (str.upper, ("a",), "A"),
    ],
)
def test_the_object_of_a_builtin_method_goes_along(executor, method, arguments, result):
    assert executor.submit(method, *arguments).result() == result


def test_a_method_of_an_object_that_nobody_sees_goes_by_its_own_name(executor):
    assert 0 <= executor.submit(random.random).result() < 1


def test_udfs_are_functions_too(executor):
    assert executor.submit(fanfold.udf(scaled), 4).result() == 8


def test_each_call_is_made_even_where_an_equal_one_was(executor):
    def unique(x: int):
        import uuid

        return str(uuid.uuid4())

    assert executor.submit(unique, 1).result() != executor.submit(unique, 1).result()


def test_results_are_kept_where_that_is_asked_for():
    for counts in ({"succeeded": 1}, {"cached": 1}):
        with fanfold.Executor(cache=True) as executor:
            assert executor.submit(scaled, 2).result() == 4
        assert fanfold.get_jobs(limit=1)[0].counts() == counts


def test_a_call_leaves_no_job_behind(executor):
    executor.submit(scaled, 1).result(timeout=60)
    assert fanfold.get_jobs() == []


@pytest.mark.parametrize("calls", [20, 200])
def test_calls_of_one_function_that_come_together_make_one_job_where_they_are_kept(calls, monkeypatch):
    monkeypatch.setattr("fanfold.api.executor_jobs._LINGER_S", 1.0)  # how soon one follows another is the machine's
    with fanfold.Executor(cache=True) as executor:
        futures = [executor.submit(scaled, x) for x in range(calls)]
        assert [future.result(timeout=60) for future in futures] == [2 * x for x in range(calls)]
    jobs = fanfold.get_jobs()
    assert sum(len(job) for job in jobs) == calls
    assert len(jobs) < 20


def test_a_call_that_does_not_fit_its_job_fails_alone():
    with fanfold.Executor(cache=True) as executor:
        futures = [executor.submit(scaled, x) for x in [1, 2, "three", 4]]
        assert isinstance(futures[2].exception(timeout=60), fanfold.InputError)
        assert [futures[x].result(timeout=60) for x in (0, 1, 3)] == [2, 4, 8]


# map


def test_map_takes_chunks_and_keeps_the_order(executor):
    assert list(executor.map(pow, range(40), range(40), chunksize=6)) == list(map(pow, range(40), range(40)))
    with pytest.raises(ValueError, match="chunksize"):
        executor.map(pow, [1], [1], chunksize=-1)


def test_map_takes_no_more_inputs_than_its_buffer_has_room_for(executor):
    taken = []
    results = executor.map(scaled, (taken.append(x) or x for x in range(10)), buffersize=3)
    assert len(taken) == 3
    assert next(results) == 0
    assert len(taken) == 4
    assert list(results) == [2 * x for x in range(1, 10)]
    with pytest.raises(ValueError, match="buffersize"):
        executor.map(scaled, [1], buffersize=0)


def test_map_gives_up_after_its_timeout(executor):
    with pytest.raises(cf.TimeoutError):
        list(executor.map(time.sleep, [0, 5], timeout=0.5))


# What is printed, and the end.


def say(text):
    print(text)


def test_what_a_call_prints_is_printed_here(executor, capsys, eventually):
    executor.submit(say, "hello from there").result(timeout=60)
    eventually(lambda: "hello from there" in capsys.readouterr().out)


def test_calls_that_are_made_while_python_ends_are_refused(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import atexit, fanfold\n"
        "executor = fanfold.Executor(1)\n"
        "def last():\n"
        "    try: executor.submit(id, None)\n"
        "    except RuntimeError as error: print(error)\n"
        "atexit.register(last)\n"
        "executor.submit(id, 1).result()\n"
        "atexit.register(last)\n"
    )
    done = subprocess.run([sys.executable, str(script)], check=True, timeout=60, capture_output=True, text=True)
    assert done.stdout.count("cannot schedule new futures after interpreter shutdown") == 2


def test_a_call_may_make_calls_of_its_own(executor):
    assert executor.submit(nested, 3).result(timeout=60) == 6


def nested(x):
    import fanfold

    with fanfold.Executor(1) as executor:
        return executor.submit(scaled, x).result(timeout=50)


def test_as_completed_and_wait_work(executor):
    futures = {executor.submit(scaled, x): x for x in range(10)}
    assert {futures[future]: future.result() for future in cf.as_completed(futures, timeout=120)} == {
        x: 2 * x for x in range(10)
    }
    assert not cf.wait(futures, timeout=120).not_done


def test_what_has_not_begun_can_be_cancelled(tmp_path, eventually):
    flag = tmp_path / "flag"
    with fanfold.Executor(max_workers=1) as executor:
        futures = [executor.submit(held, x, str(flag)) for x in range(5)]
        first = eventually(lambda: next((future for future in futures if future.running()), None))
        others = [future for future in futures if future is not first]
        assert not first.cancel()
        assert all(future.cancel() for future in others)
        flag.touch()
        assert first.result() == futures.index(first)
        assert all(future.cancelled() for future in others)


def test_shutdown_may_leave_out_what_has_not_begun(tmp_path, eventually):
    flag = tmp_path / "flag"
    executor = fanfold.Executor(max_workers=1)
    futures = [executor.submit(held, x, str(flag)) for x in range(5)]
    eventually(lambda: any(future.running() for future in futures))
    executor.shutdown(wait=False, cancel_futures=True)
    flag.touch()
    executor.shutdown()
    assert sorted(future.cancelled() for future in futures) == [False, True, True, True, True]


def test_after_shutdown_nothing_is_taken():
    executor = fanfold.Executor()
    future = executor.submit(scaled, 1)
    executor.shutdown()
    assert future.result(timeout=0) == 2
    with pytest.raises(RuntimeError, match="shut down"):
        executor.submit(scaled, 1)


def test_a_script_that_forgets_to_wait_gets_its_work_done(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import fanfold\n"
        "def note(path: str):\n"
        "    open(path, 'w').close()\n"
        f"fanfold.Executor().submit(note, {str(tmp_path / 'noted')!r})\n"
    )
    subprocess.run([sys.executable, str(script)], check=True, timeout=60, capture_output=True)
    assert (tmp_path / "noted").exists()
