"""`fanfold.Executor` is a `concurrent.futures.Executor`: what code that takes one expects of it."""

from __future__ import annotations

import concurrent.futures as cf
import math
import random
import subprocess
import sys
import threading
from typing import Annotated

import pytest
from pydantic import AfterValidator

import fanfold


def scaled(x: int, by: int = 2):
    return x * by


def odd_only(x: int):
    if x % 2 == 0:
        raise ValueError(f"{x} is even")
    return x


def held(x: int, flag: str):
    import pathlib
    import time

    while not pathlib.Path(flag).exists():
        time.sleep(0.01)
    return x


@pytest.fixture
def executor():
    with fanfold.Executor() as executor:
        yield executor


def test_it_is_one(executor):
    assert isinstance(executor, cf.Executor)


def test_arguments_go_by_position_and_by_name(executor):
    assert executor.submit(scaled, 2, by=5).result() == 10
    assert executor.submit(scaled, 2, 5).result() == 10


def test_map_keeps_the_order(executor):
    assert list(executor.map(scaled, range(50), [3] * 50)) == [3 * x for x in range(50)]


def test_calls_that_come_together_make_one_job(executor):
    futures = [executor.submit(scaled, x) for x in range(200)]
    assert [future.result() for future in futures] == [2 * x for x in range(200)]
    jobs = fanfold.get_jobs()
    assert sum(len(job) for job in jobs) == 200
    assert len(jobs) < 20


def test_a_failure_is_its_own_future_s(executor):
    futures = [executor.submit(odd_only, x) for x in range(4)]
    assert [future.exception() is None for future in futures] == [False, True, False, True]
    with pytest.raises(fanfold.RunFailed, match="2 is even"):
        futures[2].result()


def test_a_call_that_does_not_fit_fails_alone(executor):
    futures = [executor.submit(scaled, x) for x in [1, 2, "three", 4, object(), 6]]
    assert isinstance(futures[2].exception(), fanfold.InputError)
    assert isinstance(futures[4].exception(), (fanfold.InputError, fanfold.CodecError))
    assert [futures[x].result() for x in (0, 1, 3, 5)] == [2, 4, 8, 12]


def test_a_call_with_wrong_arguments_is_refused_at_once(executor):
    with pytest.raises(fanfold.InputError, match=r"scaled: .*unexpected keyword"):
        executor.submit(scaled, 1, of=2)


def test_what_cannot_travel_is_told_by_the_future(executor):
    lock = threading.Lock()

    def closing_over(x: int):
        return lock, x

    assert isinstance(executor.submit(closing_over, 1).exception(), fanfold.CaptureError)


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


def test_whatever_goes_wrong_the_future_tells_it(executor):
    assert isinstance(executor.submit(checked, "0").exception(timeout=60), KeyboardInterrupt)


def stop(value: int):
    raise KeyboardInterrupt


def checked(x: Annotated[int, AfterValidator(stop)]):
    return x


def test_a_result_that_does_not_unpickle_is_told_by_the_future():
    with fanfold.Executor() as executor:
        future = executor.submit(fanfold.udf(unreadable, serializer="pickle"), 1)
        assert "nobody reads this" in str(future.exception(timeout=60))


def unreadable(x: int):
    class Raises:
        def __reduce__(self):
            return exec, ("raise LookupError('nobody reads this')",)

    return Raises()


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


def test_as_completed_and_wait_work(executor):
    futures = {executor.submit(scaled, x): x for x in range(10)}
    assert {futures[future]: future.result() for future in cf.as_completed(futures, timeout=30)} == {
        x: 2 * x for x in range(10)
    }
    assert not cf.wait(futures, timeout=30).not_done


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


def test_the_rest_of_a_job_is_not_run_once_nobody_waits_for_it(tmp_path, eventually):
    def long_but_the_first(x: int, flag: str):
        import pathlib
        import time

        while not (x == 0 and pathlib.Path(flag).exists()):
            time.sleep(0.01)
        return x

    flag = tmp_path / "flag"
    with fanfold.Executor(max_workers=1) as executor:
        futures = [executor.submit(long_but_the_first, x, str(flag)) for x in range(5)]
        eventually(futures[0].running)
        assert all(future.cancel() for future in futures[1:])
        flag.touch()
        assert futures[0].result() == 0
    assert fanfold.get_jobs(limit=1)[0].counts() == {"succeeded": 1, "cancelled": 4}


def test_after_shutdown_nothing_is_taken():
    executor = fanfold.Executor()
    future = executor.submit(scaled, 1)
    executor.shutdown()
    assert future.result(timeout=0) == 2
    with pytest.raises(RuntimeError, match="shut down"):
        executor.submit(scaled, 1)


def test_options_are_those_of_submit():
    with fanfold.Executor(instance_type="small") as executor:
        assert executor.submit(scaled, 2).result() == 4
    assert fanfold.get_jobs(limit=1)[0].header.instance_type == "small"


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
