"""`fanfold.step` and `fanfold.checkpoint`: what one try of a run has computed, the next is given."""

from __future__ import annotations

from collections import Counter

import pytest

import fanfold


def computed(x: int, folder: str):
    """Counts how often it is called with what."""
    import pathlib

    with (pathlib.Path(folder) / "computed").open("a") as file:
        file.write(f"{x}\n")
    return x * x


def counted(folder):
    return Counter(int(line) for line in (folder / "computed").read_text().split())


@fanfold.udf(max_retry=1, cache_max_age=0)
def loses_its_process(n: int, folder: str):
    import os

    total = 0
    for x in range(n):
        total += fanfold.step(f"square-{x}", computed, x, folder)
        if x == 2 and fanfold.attempt() == 0:
            os._exit(1)
    return total


def computed_slowly(x: int, folder: str):
    import time

    time.sleep(1.7)
    return computed(x, folder)


@fanfold.udf(max_retry=0, timeout_s=4, cache_max_age=0)
def takes_longer_than_it_may(n: int, folder: str):
    return sum(fanfold.step(f"square-{x}", computed_slowly, x, folder) for x in range(n)), fanfold.attempt()


@fanfold.udf(max_retry=1, cache_max_age=0)
def counts_on(n: int):
    import os

    at, total = fanfold.checkpoint.load((0, 0))
    began_at = at
    while at < n:
        at, total = at + 1, total + at
        fanfold.checkpoint.save((at, total))
        if at == 4 and began_at == 0:
            os._exit(1)
    return began_at, total


@pytest.mark.usefixtures("engine")
def test_a_run_whose_process_is_lost_goes_on_from_its_last_step(tmp_path):
    job = fanfold.submit(loses_its_process, [5, 4], folder=str(tmp_path), collect=False).wait(60)
    assert job.results() == [30, 14]
    assert job[0].attempt == 1
    # The two runs are two: each has computed each of its steps once.
    assert counted(tmp_path) == {0: 2, 1: 2, 2: 2, 3: 2, 4: 1}
    why = job[1].why()
    steps = [(one.attempt, one.name, one.how) for one in why.steps]
    assert steps[-4:] == [*((1, f"square-{x}", "kept") for x in range(3)), (1, "square-3", "computed")]
    assert "1: square-0 answered from the log: computed in " in str(why)


# On Lambda: tests/cloud/test_permissions.py, where nobody looks.
def test_a_realtime_run_that_comes_near_its_limit_goes_on_in_another_try_and_that_costs_none(tmp_path):
    job = fanfold.submit(takes_longer_than_it_may, [2], folder=str(tmp_path), collect=False).wait(60)
    # After each step there is less time left than another may take: the third try only returns.
    assert job.results() == [(1, 2)]
    assert counted(tmp_path) == {0: 1, 1: 1}
    assert job.verify()
    why = job[0].why()
    assert [(one.attempt, one.name, one.how) for one in why.steps[-2:]] == [(2, f"square-{x}", "kept") for x in (0, 1)]
    assert all(one.made_by == job.id and one.took_s > 1.6 for one in why.steps)
    assert "0: went on later at" in str(why)


@pytest.mark.parametrize("engine", ["local", pytest.param("aws", marks=pytest.mark.long)], indirect=True)
@pytest.mark.usefixtures("engine")
def test_a_loop_goes_on_from_its_checkpoint():
    assert fanfold.submit(counts_on, [7], collect=False).wait(60).results() == [(4, 21)]


def test_what_a_machine_had_computed_that_is_lost_another_need_not_compute(on_cloud, eventually, tmp_path):
    @fanfold.udf(cache_max_age=0)
    def stands_after_three(n: int, folder: str):
        import pathlib
        import time

        for x in range(n):
            if x == 3:
                (pathlib.Path(folder) / "stands").touch()
                while not (pathlib.Path(folder) / "go").exists():
                    time.sleep(0.02)
            fanfold.step(f"square-{x}", computed, x, folder)
        return n

    options = {"instance_type": "small", "max_workers": 1, "folder": str(tmp_path), "collect": False}
    job = fanfold.submit(stands_after_three, [5], **options)
    eventually((tmp_path / "stands").exists)
    assert on_cloud.lose_machines() == 1
    (tmp_path / "go").touch()
    assert job.wait(60).results() == [5]
    assert counted(tmp_path) == dict.fromkeys(range(5), 1)
