"""A process that is killed at any moment, or a log cut short at any byte, leaves a store that opens and makes sense."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fanfold.stores.local import LocalStores
from tests.stores.event_log_contract import by_id, read_all
from tests.stores.samples import a_job, an_entry, finished

#: Appends ten runs at a time and says so, until it is killed.
WRITER = """
import sys
from pathlib import Path
from fanfold.stores.local import LocalStores
from tests.stores.samples import finished

stores = LocalStores.open(Path(sys.argv[1]))
for batch in range(100_000):
    stores.objects.put(f"results/{batch}/x", b"result" * 5000)
    stores.log.append([finished(sys.argv[2], 10 * batch + index) for index in range(10)])
    print(batch, flush=True)
"""


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)


def test_two_processes_that_write_at_once_lose_nothing(stores):
    job = a_job(count=1000)
    stores.log.put_job(job)
    code = WRITER.replace("range(100_000)", "range(int(sys.argv[3]), int(sys.argv[3]) + 40)")
    writers = [start(code, str(stores.home), job.id, first) for first in ("0", "40")]
    for writer in writers:
        writer.communicate(timeout=120)
        assert writer.returncode == 0
    assert sorted(event.index for event in read_all(stores.log, job.id)) == list(range(800))


def test_a_ctrl_c_while_another_process_writes_leaves_the_store_open_to_all(stores):
    job = a_job()
    assert stores.log.list_jobs() == []
    other = sqlite3.connect(stores.home / "fanfold.db", timeout=60, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")

    def interrupt():
        os.kill(os.getpid(), signal.SIGINT)
        other.execute("COMMIT")

    timer = threading.Timer(0.5, interrupt)

    def put():
        timer.start()
        stores.log.put_job(job)

    with pytest.raises(KeyboardInterrupt):
        put()
    timer.join()
    other.execute("BEGIN IMMEDIATE")
    other.execute("ROLLBACK")
    other.close()
    stores.log.put_job(job)
    assert stores.log.get_job(job.id) == job


#: Opens twenty new homes, one after the other, when told to.
OPENER = """
import sys
from pathlib import Path
from fanfold.stores.local import LocalStores

print("ready", flush=True)
sys.stdin.readline()
for number in range(20):
    with LocalStores.open(Path(sys.argv[1], str(number))) as stores:
        print(stores.log.list_jobs())
"""


def test_processes_that_open_a_new_home_at_once_all_get_a_whole_store(tmp_path):
    command = [sys.executable, "-c", OPENER, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    racers = [subprocess.Popen(command, **pipes) for _ in range(3)]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    assert [racer.communicate(timeout=120)[0].split() for racer in racers] == [["[]"] * 20] * 3


def test_a_writer_in_another_process_is_noticed(stores):
    job = a_job(count=1_000_000)
    stores.log.put_job(job)
    events, cursor = stores.log.read_since(job.id)
    writer = start(WRITER.replace("100_000", "1"), str(stores.home), job.id)
    while not events:
        assert stores.log.wait_for_news(60.0)
        events, cursor = stores.log.read_since(job.id, cursor)
    writer.communicate(timeout=120)
    assert [event.index for event in events] == list(range(10))


@pytest.mark.parametrize("batches", [1, 2, 3, 5, 8, 13])
def test_a_writer_that_is_killed_leaves_all_it_had_said_and_whole_batches(stores, batches):
    job = a_job(count=1_000_000)
    stores.log.put_job(job)
    writer = start(WRITER, str(stores.home), job.id)
    for _ in range(batches):
        said = writer.stdout.readline()
    writer.kill()
    said = (writer.communicate()[0].split() or [said])[-1]
    with LocalStores.open(stores.home) as after:
        indexes = [event.index for event in read_all(after.log, job.id)]
        assert indexes == list(range(len(indexes)))
        assert len(indexes) % 10 == 0
        assert len(indexes) >= 10 * (int(said) + 1)
        for batch in range(len(indexes) // 10):
            assert after.objects.get(f"results/{batch}/x") == b"result" * 5000
        after.log.append([finished(job.id, 999_999)])


def copy_cut(home: Path, to: Path, size: int) -> None:
    """A copy of the store whose write-ahead log ends after `size` bytes, as a crash of the machine may leave it."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir()
    shutil.copy(home / "fanfold.db", to)
    (to / "fanfold.db-wal").write_bytes((home / "fanfold.db-wal").read_bytes()[:size])


def test_a_write_ahead_log_cut_at_any_byte_keeps_a_beginning(stores, tmp_path):
    job = a_job()
    stores.close()  # so that the job itself is in the file
    stores.log.put_job(job)
    stores.close()
    events = [finished(job.id, index) for index in range(8)]
    for event in events:
        stores.log.append([event])
        stores.cache.record([an_entry(str(event.index))])
    whole = (stores.home / "fanfold.db-wal").stat().st_size
    cuts = {0, 1, 31, 32, 33, whole - 1, whole, *range(0, whole, 997)}
    kept = set()
    for size in sorted(cuts):
        copy_cut(stores.home, tmp_path / "cut", size)
        with LocalStores.open(tmp_path / "cut") as cut:
            read = read_all(cut.log, job.id)
            assert read == events[: len(read)]
            kept.add(len(read))
            cut.log.append([finished(job.id, 9)])
    assert kept == set(range(9))


def test_a_forked_child_has_a_connection_of_its_own(stores):
    job = a_job()
    stores.log.put_job(job)
    events = [finished(job.id, index) for index in range(2)]
    with stores.database.reading() as connection:
        of_parent = connection

    def append_in_child() -> None:
        stores.log.append(events[:1])
        with stores.database.reading() as connection:
            assert connection is not of_parent

    child = multiprocessing.get_context("fork").Process(target=append_in_child)
    child.start()
    child.join(60)
    assert child.exitcode == 0
    stores.log.append(events[1:])
    assert by_id(read_all(stores.log, job.id)) == by_id(events)
