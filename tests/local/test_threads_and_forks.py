"""Threads of one process share an engine and its workers; a forked child has its own, whatever its parent was at."""

from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import fanfold
from fanfold.engines import base as select


def squared(x: int):
    return x * x


def pools() -> int:
    return sum(thread.name == "fanfold-pool" for thread in threading.enumerate())


def test_threads_that_are_the_first_to_submit_have_one_pool_together():
    before, all_there = pools(), threading.Barrier(8)

    def submitted(start):
        all_there.wait()
        return fanfold.submit(squared, range(start, start + 5), collect=False).results()

    with ThreadPoolExecutor(8) as threads:
        values = list(threads.map(submitted, range(0, 80, 10)))
    assert values == [[x * x for x in range(start, start + 5)] for start in range(0, 80, 10)]
    assert len(select.open_engines) == 1
    assert pools() == before + 1


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_that_is_forked_while_threads_hold_the_engine_submits_and_reads():
    job = fanfold.submit(squared, range(3), collect=False).wait()
    locked = [select._opening, select.engine_for(), job.tracker]
    fork = multiprocessing.get_context("fork")
    answers = fork.SimpleQueue()

    def child():
        answers.put([job.results(), fanfold.submit(squared, [7], collect=False).results()])

    process = fork.Process(target=child)
    with ThreadPoolExecutor(1) as another:  # which the child does not have
        another.submit(lambda: [one.lock.acquire() for one in locked]).result()
        process.start()
        another.submit(lambda: [one.lock.release() for one in locked]).result()
    process.join(30)
    process.kill()
    assert process.exitcode == 0
    assert answers.get() == [[0, 1, 4], [49]]
