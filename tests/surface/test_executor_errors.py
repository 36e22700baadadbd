"""What a future of `fanfold.Executor` raises, and where that leaves the executor."""

from __future__ import annotations

import os
import pickle
import sys
import threading
import time
from concurrent.futures.process import BrokenProcessPool

import pytest

import fanfold


def scaled(x: int, by: int = 2):
    return x * by


class OfItsOwn(Exception):
    def __init__(self, code, *, detail):
        super().__init__(f"code {code}")
        self.detail = detail


def raise_own(code):
    raise OfItsOwn(code, detail=[1, 2])


def test_the_original_error_is_raised_with_type_and_arguments(executor):
    with pytest.raises(ZeroDivisionError, match="division"):
        executor.submit(divmod, 1, 0).result(timeout=60)
    with pytest.raises(KeyError) as caught:
        executor.submit({}.__getitem__, "absent").result(timeout=60)
    assert caught.value.args == ("absent",)


def test_an_error_class_that_does_not_take_its_own_arguments_arrives_whole(executor):
    with pytest.raises(OfItsOwn, match="code 7") as caught:
        executor.submit(raise_own, 7).result(timeout=60)
    assert caught.value.detail == [1, 2]


class Coded(Exception):
    def __init__(self, text, code=3):
        super().__init__(f"[{code}] {text}")
        self.code = code


class Keyed(Exception):
    def __init__(self, *, key):
        super().__init__(f"no {key}")
        self.key = key


def coded_with_notes():
    error = Coded("late", code=7)
    error.__notes__ = ["of Monday"]
    raise error


def keyed():
    raise Keyed(key="a")


def test_an_error_whose_init_changes_its_arguments_arrives_as_it_was_raised(executor):
    changed, keyed_error = executor.submit(coded_with_notes).exception(), executor.submit(keyed).exception()
    assert (str(changed), changed.args, changed.code) == ("[7] late", ("[7] late",), 7)
    assert changed.__notes__ == ["of Monday"]
    assert (type(keyed_error).__name__, keyed_error.args, keyed_error.key) == ("Keyed", ("no a",), "a")


def test_the_cause_of_an_error_is_its_traceback_over_there(executor):
    error = executor.submit(raise_own, 7).exception(timeout=60)
    assert "raise OfItsOwn(code, detail=[1, 2])" in str(error.__cause__)


def test_arguments_that_a_function_does_not_take_are_its_own_error(executor):
    with pytest.raises(TypeError, match="unexpected keyword"):
        executor.submit(scaled, 1, of=2).result(timeout=60)


def test_what_cannot_be_pickled_is_told_by_the_future(executor):
    lock = threading.Lock()
    assert isinstance(executor.submit(lambda: lock).exception(timeout=60), TypeError)
    assert isinstance(executor.submit(threading.Lock).exception(timeout=60), TypeError)
    assert executor.submit(scaled, 2).result(timeout=60) == 4


def test_a_result_that_does_not_unpickle_is_told_by_the_future_and_harms_no_other(executor):
    future = executor.submit(unreadable)
    with pytest.raises(BrokenProcessPool, match="nobody reads this"):
        future.result(timeout=60)
    assert executor.submit(scaled, 2).result(timeout=60) == 4


class Exits:
    def __reduce__(self):
        sys.exit(0)


def test_what_would_end_this_program_while_it_is_pickled_is_refused(executor):
    with pytest.raises(pickle.PicklingError, match="cannot pickle 'tuple' object: SystemExit: 0"):
        executor.submit(scaled, Exits()).result(timeout=60)
    assert executor.submit(scaled, 2).result(timeout=60) == 4


class Raises:
    def __reduce__(self):
        return exec, ("raise LookupError('nobody reads this')",)


def unreadable():
    return Raises()


def dying(flag):
    while not os.path.exists(flag):
        time.sleep(0.01)
    os._exit(3)


def test_a_worker_that_dies_breaks_the_executor_for_all_its_calls(tmp_path):
    with fanfold.Executor(1) as executor:
        futures = [executor.submit(dying, tmp_path / "both are there"), executor.submit(scaled, 1)]
        (tmp_path / "both are there").touch()
        for future in futures:
            with pytest.raises(BrokenProcessPool, match="exit code 3"):
                future.result(timeout=60)
        with pytest.raises(BrokenProcessPool):
            executor.submit(scaled, 1)
