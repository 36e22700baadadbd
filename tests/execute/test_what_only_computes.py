"""A UDF that can only compute is not looked after as one is that can change its process; what can, is known by name."""

from __future__ import annotations

import importlib
import math
import os
import random
import types

import numpy as np
import pytest
from numpy.random import seed as sow

from fanfold.execution.worker.interpreter import _FROM_COMPUTING, COMPUTING, computes_only, reaches_the_interpreter
from fanfold.source.capture import capture


def simulated(seed: int, days: int = 5) -> float:
    return float(np.exp(np.random.default_rng(seed).normal(0, 0.01, days).sum()))


def rounded(x: float) -> int:
    return math.floor(x) + random.Random(1).randint(0, 1)


def reseeds(x: int) -> float:
    np.random.seed(x)
    return float(np.random.random())


def reseeds_by_another_name(x: int) -> None:
    sow(x)


def imports_within(x: int) -> None:
    import numpy.testing as checks

    checks.assert_equal(x, x)


def writes(x: int) -> None:
    np.save("there.npy", np.zeros(x))


def looks_within(x: int) -> str:
    return str(random._os.getcwd())  # type: ignore[attr-defined]


def asks_by_text(name: str) -> object:
    return getattr(np, name)


def stands(x: int) -> str:
    return os.getcwd()


@pytest.mark.parametrize("udf", [simulated, rounded])
def test_what_computes_with_numpy_or_math_is_known_to(udf):
    assert computes_only(capture(udf))


@pytest.mark.parametrize(
    "udf", [reseeds, reseeds_by_another_name, imports_within, writes, looks_within, asks_by_text, stands]
)
def test_what_may_do_more_is_not_taken_for_it(udf):
    assert not computes_only(capture(udf))


def test_each_module_within_one_that_computes_is_known_by_its_name():
    """Else `statistics.sys.setrecursionlimit(...)` would reach the next run."""
    seen, leading = set(), set()

    def walk(module: types.ModuleType) -> None:
        if module.__name__ in seen:
            return
        seen.add(module.__name__)
        for name, value in list(vars(module).items()):
            if isinstance(value, types.ModuleType) and not name.startswith("_") and name not in _FROM_COMPUTING:
                if value.__name__.partition(".")[0] in COMPUTING:
                    walk(value)
                else:
                    leading.add(name)

    for name in COMPUTING:
        walk(importlib.import_module(name))
    assert leading == set()


def test_a_udf_without_imports_that_executes_text_is_looked_after(work):
    def executed(text: str):
        return eval(text)

    assert reaches_the_interpreter(capture(executed))
    texts = ["__import__('os').chdir('/')", "__import__('os').getcwd()"]
    assert [told.value for told in work(executed, [{"text": text} for text in texts])] == [None, os.getcwd()]


def called(function, value):
    return function(value)


def mapped(function, value):
    return [math.floor(1.5), function(value)]


@pytest.mark.parametrize("udf", [called, mapped])
def test_a_function_among_the_arguments_may_do_anything_and_reaches_no_other_run(work, udf):
    def answer(value):
        return value if udf is called else value[1]

    given = [(abs, -1), (os.chdir, "/"), (os.path.abspath, "."), (os.umask, 0o777), (os.path.abspath, "."), (abs, -2)]
    told = work(udf, [{"function": function, "value": value} for function, value in given])
    got = [answer(one.value) for one in told]
    assert [got[0], *got[2:3], *got[4:]] == [1, os.getcwd(), os.getcwd(), 2]


def test_what_it_prints_is_its_own_all_the_same(work):
    def says(x: int):
        print("run", math.floor(x))
        return x

    assert [told.printed for told in work(says, [{"x": 1}, {"x": 2}])] == ["run 1\n", "run 2\n"]


def test_a_decimal_context_or_numpy_s_error_state_is_each_run_s_own(work):
    def divides(x: int):
        before = np.geterr()["divide"]
        np.seterr(divide="raise")
        return before

    assert {told.value for told in work(divides, [{"x": n} for n in range(4)])} == {"warn"}
