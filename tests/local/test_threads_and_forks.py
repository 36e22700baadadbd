"""Threads of one process share an engine and its workers; a forked child has its own, whatever its parent was at."""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import fanfold
from fanfold.core.processes import unforked
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
    log = job.tracker.engine.stores.log
    locked = [select._opening, select.engine_for(), job.tracker, log, log._recent]
    fork = multiprocessing.get_context("fork")
    answers = fork.SimpleQueue()

    def child():
        job.tracker.restart()  # it reads all anew, and waits for more
        log.wait_for_news(0.01)
        answers.put([job.results(), fanfold.submit(squared, [7], collect=False).results()])

    process = fork.Process(target=child)
    with ThreadPoolExecutor(1) as another:  # which the child does not have
        another.submit(lambda: [one.lock.acquire() for one in locked]).result()
        process.start()
        another.submit(lambda: [one.lock.release() for one in locked]).result()
    process.join(120)
    process.kill()
    assert process.exitcode == 0
    assert answers.get() == [[0, 1, 4], [49]]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_no_child_is_forked_while_a_thread_is_at_the_database():
    """SQLite takes for held, for ever, what that thread holds: the child could neither read nor write."""
    database = select.engine_for().stores.database
    fanfold.submit(squared, range(3))
    fork, inside, go = multiprocessing.get_context("fork"), threading.Event(), threading.Event()
    order, answers = [], fork.SimpleQueue()

    def write():
        with database.writing():
            inside.set()
            go.wait(60)
            order.append("written")

    def child():
        answers.put(fanfold.submit(squared, [7], collect=False).results())

    with ThreadPoolExecutor(1) as another:
        writes = another.submit(write)
        assert inside.wait(60)
        threading.Timer(0.05, go.set).start()
        process = fork.Process(target=child)
        process.start()
        order.append("forked")
        writes.result(60)
    process.join(60)
    process.kill()
    assert order == ["written", "forked"]
    assert process.exitcode == 0
    assert answers.get() == [49]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_no_child_is_forked_while_something_is_made_that_it_must_not_have():
    order, begun = [], threading.Event()

    def fork():
        begun.set()
        if (pid := os.fork()) == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        order.append("forked")

    forking = threading.Thread(target=fork, daemon=True)
    with unforked():
        forking.start()
        assert begun.wait(60)
        forking.join(0.05)
        order.append("made")
    forking.join(60)
    assert order == ["made", "forked"]
