"""A job of many runs takes tens of bytes a run, whatever the runs returned."""

from __future__ import annotations

import multiprocessing
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest

from fanfold.core import columns as spool_module
from fanfold.core.columns import Spool
from fanfold.core.fold import JobState
from fanfold.core.models import Event, EventKind, Output, RunError, RunStatus, Usage
from tests.fold.stories import JOB, a_job


def end(index: int, data: bytes) -> Event:
    output = Output("json", "a" * 64, len(data), data)
    facts = {"status": RunStatus.SUCCEEDED, "output": output, "usage": Usage(1.0, 1.0, 1.0)}
    return Event(JOB, index, 0, EventKind.FINISHED, 1.0, f"{index:028x}", **facts)


def test_outputs_beyond_the_spools_memory_are_on_disk_and_read_back(monkeypatch):
    monkeypatch.setattr(spool_module, "_MEMORY_BYTES", 1 << 20)
    count, size = 5_000, 4_000
    tracemalloc.start()
    try:
        state = JobState(a_job(count))
        for start in range(0, count, 100):
            state.apply(end(index, b"%d\n" % index * (size // 8)) for index in range(start, start + 100))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < count * size / 4
    for index in (0, 1, 2_500, count - 1):
        assert state.output(index).inline == b"%d\n" % index * (size // 8)


def test_thousands_of_equal_errors_are_kept_once():
    count = 20_000
    tracemalloc.start()
    try:
        state = JobState(a_job(count))
        state.apply(
            Event(
                *(JOB, index, 0, EventKind.FINISHED, 1.0, f"{index:028x}", RunStatus.FAILED),
                error=RunError("ImportError", "no module", "Traceback\n" * 200, ("ImportError",)),
            )
            for index in range(count)
        )
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < count * 400
    assert state.error(0) is state.error(count - 1)


def test_a_spool_reads_what_is_not_yet_written():
    spool = Spool()
    places = [(spool.add([record]), len(record), record) for record in (b"one", b"", b"three" * 100_000, b"four")]
    for offset, size, record in reversed(places):
        assert spool.read(offset, size) == record
    offset = spool.add([b"five"])
    assert spool.read(offset, 4) == b"five"


def all_come_back(spool: Spool, places: list[tuple[int, bytes]]) -> bool:
    return all(spool.read(offset, len(record)) == record for offset, record in places)


@pytest.fixture
def on_disk(monkeypatch):
    """A spool that has moved to the disk, and what it holds by offset."""
    monkeypatch.setattr(spool_module, "_MEMORY_BYTES", 1 << 16)
    spool = Spool()
    return spool, [(spool.add([record]), record) for record in (b"%06d" % number * 500 for number in range(1_000))]


@pytest.mark.usefixtures("threads_that_switch_often")
def test_threads_that_read_at_once_get_each_its_own_record(on_disk):
    spool, places = on_disk
    with ThreadPoolExecutor(8) as threads:
        shares = [threads.submit(all_come_back, spool, places[start::8]) for start in range(8)]
        assert all(share.result() for share in shares)


@pytest.mark.usefixtures("threads_that_switch_often")
def test_threads_read_while_another_adds(on_disk):
    spool, places = on_disk
    with ThreadPoolExecutor(4) as threads:
        shares = [threads.submit(all_come_back, spool, places[-start:] * 5) for start in range(250, 1_000, 250)]
        for number in range(20_000):
            places.append((spool.add([b"%09d" % number]), b"%09d" % number))
            if number % 100 == 0:
                shares.append(threads.submit(all_come_back, spool, places[-5:]))
        assert all(share.result() for share in shares)
    assert all_come_back(spool, places)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_and_its_parent_add_to_one_spool_without_harm(on_disk):
    spool, places = on_disk
    fork = multiprocessing.get_context("fork")
    ready, answers = fork.Event(), fork.SimpleQueue()

    def child():
        added = [(spool.add([record]), record) for record in [b"child" * 1000] * 100]
        assert all_come_back(spool, added)
        ready.wait(120)
        answers.put(all_come_back(spool, [*places, *added]))

    process = fork.Process(target=child, daemon=True)
    with ThreadPoolExecutor(1) as another:  # which the child does not have
        another.submit(spool.lock.acquire).result()
        process.start()
        another.submit(spool.lock.release).result()
    added = [(spool.add([record]), record) for record in [b"parent" * 1000] * 100]
    assert all_come_back(spool, [*places, *added])
    ready.set()
    process.join(120)
    assert process.exitcode == 0
    assert answers.get() is True
    assert all_come_back(spool, [*places, *added])
