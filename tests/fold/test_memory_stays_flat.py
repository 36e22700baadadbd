"""A job of many runs takes tens of bytes a run, whatever the runs returned."""

from __future__ import annotations

import tracemalloc

from fanfold.fold import JobState
from fanfold.fold import spool as spool_module
from fanfold.fold.spool import Spool
from fanfold.models import Event, EventKind, Output, RunError, RunStatus, Usage
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
    places = [(spool.add(record), len(record), record) for record in (b"one", b"", b"three" * 100_000, b"four")]
    for offset, size, record in reversed(places):
        assert spool.read(offset, size) == record
    offset = spool.add(b"five")
    assert spool.read(offset, 4) == b"five"
