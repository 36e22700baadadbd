"""What an editor and mypy know of a call's result. Checked by test_what_comes_back.py, never run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
from typing_extensions import assert_type

import fanfold


@fanfold.udf
def squared(x: int, *, by: float = 1.0) -> float:
    """A typed UDF."""
    return x * x * by


@fanfold.udf(name="halves", cache_max_age="7d", instance_type="small")
def halved(x: int) -> str:
    """A typed UDF with options."""
    return str(x / 2)


def plain(x: int) -> bytes:
    """A function without the decorator."""
    return bytes(x)


assert_type(squared(3, by=2.0), float)
assert_type(squared.local(3), float)
assert_type(halved(3), str)
assert_type(halved.map([1, 2]), fanfold.Job)
assert_type(squared.with_options(engine="aws")(1), float)

assert_type(fanfold.submit(squared, [1, 2]), pd.DataFrame)
assert_type(fanfold.submit(squared, [1, 2], max_workers=4, by=2.0), pd.DataFrame)
assert_type(fanfold.submit(squared, [1, 2], collect=False), fanfold.Job)
assert_type(fanfold.submit(squared, [1, 2], plan=True), fanfold.Plan)
assert_type(fanfold.submit(squared, [1, 2], debug_mode=True), float)
assert_type(fanfold.submit(plain, [1, 2], debug_mode=True), bytes)

assert_type(fanfold.run(halved, x=1), str)
assert_type(fanfold.get_job("20260131-141502-river-7f3a")[0].result(), Any)


def decided_later(wait: bool) -> None:
    """A flag that is known only when it runs."""
    assert_type(fanfold.submit(squared, [1], collect=wait), "pd.DataFrame | fanfold.Job | fanfold.Plan | Any")


squared("three")  # type: ignore[arg-type]
squared(3, bye=1)  # type: ignore[call-arg]
fanfold.submit(squared, [1], max_workers="four")  # type: ignore[call-overload]

typed: Callable[[int], str] = halved
