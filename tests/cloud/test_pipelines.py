"""A job's results as inputs of another, in the local cloud."""

from __future__ import annotations

import pytest

import fanfold


@fanfold.udf
def values(n: int):
    import numpy as np

    if n == 3:
        raise ValueError("three")
    return np.arange(n * 10_000)


@fanfold.udf
def total(array, scale=(1,)):
    return int(array.sum()) * len(scale)


@pytest.mark.parametrize("machine", [None, pytest.param("small", marks=pytest.mark.long)])
@pytest.mark.usefixtures("on_cloud")
def test_runs_fetch_the_results_of_another_job_where_they_lie(machine):
    first = fanfold.submit(values, [1, 2, 3], collect=False, max_retry=0).wait(120)
    second = fanfold.submit(total, first, scale=first[0], instance_type=machine, collect=False).wait(120)
    assert second.counts() == {"succeeded": 2, "failed": 1}
    assert second.results(ignore_exceptions=True) == [sum(range(n * 10_000)) * 10_000 for n in (1, 2)]
    assert '"results/' in second.contents.own_text(1)
