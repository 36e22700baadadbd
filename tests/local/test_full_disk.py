"""A home on a disk that fills up: what was stored is read, who wants to write is told, and room makes all well again.

As root on Linux the disk is a small one in memory; elsewhere no file may become larger than a megabyte.
"""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess

import pytest

import fanfold
from fanfold.engines.base import engine_for
from fanfold.errors import StoreFull
from fanfold.stores.local import log

JOB = """
import sys
import fanfold

def work(x: int, size: int, large: int):
    return "L" * (size if x < large else 10) + str(x)

if __name__ == "__main__":
    machine = {"instance_type": "small"} if "machine" in sys.argv else {}
    try:
        sizes = {"size": int(sys.argv[2]), "large": int(sys.argv[3])}
        job = fanfold.submit(work, range(220), **sizes, collect=False, progress=False, **machine)
        job.wait(timeout=60)
        print(job.first_error().message if job.first_error() else "", job.status, flush=True)
        print(len(job.results()), job.counts().get("cached", 0), flush=True)
    except fanfold.FanfoldError as error:
        print(type(error).__name__, error.message, "|", error.next_step, flush=True)
    print(*(job.status for job in fanfold.get_jobs()), flush=True)
"""


class SmallDisk:
    """A home with room for some of the results, until `grow`."""

    def __init__(self, home) -> None:
        self.home = home
        self.preexec_fn = None
        home.mkdir(parents=True, exist_ok=True)
        mount = ["mount", "-t", "tmpfs", "-o", "size=5m", "none", str(home)]
        #: How large some results are, and how many.
        self.large = (60_000, 200)
        self.mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
        if not self.mounted:
            self.large = (1_500_000, 4)
            self.preexec_fn = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, resource.RLIM_INFINITY))

    def grow(self) -> None:
        """Make room."""
        self.preexec_fn = None
        if self.mounted:
            subprocess.run(["mount", "-o", "remount,size=100m", str(self.home)], check=True)

    def close(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.home)], check=True)


@pytest.fixture
def disk(home):
    disk = SmallDisk(home)
    yield disk
    engine_for().close()
    disk.close()


@pytest.mark.parametrize("kind", ["realtime", pytest.param("machine", marks=pytest.mark.long)])
def test_a_job_that_meets_a_full_disk_says_so_and_the_same_submit_finishes_when_there_is_room(disk, script, kind):
    code, out, _ = script(JOB, kind, *disk.large, preexec_fn=disk.preexec_fn).end()
    assert code == 0
    assert "No room left" in out
    # There may be no room to note that it has failed, nor that any of it has ended.
    assert out.endswith(("Failed\n", "Running\n", "Queued\n"))
    disk.grow()
    code, out, _ = script(JOB, kind, *disk.large).end()
    assert code == 0
    status, collected, jobs, _ = out.split("\n")
    assert status == " Completed"
    assert collected.split()[0] == "220"
    assert jobs.startswith("Completed ")  # the first, on a machine, may go on by itself now


def double(x: int):
    return 2 * x


def test_a_store_without_a_byte_of_room_is_read_and_jobs_are_removed_which_makes_room(home, monkeypatch):
    job = fanfold.submit(double, [1, 2], collect=False).wait()
    engine_for().close()
    prepare, full = log._prepare, [True]

    def without_room(connection, path):
        if full[0]:
            raise sqlite3.OperationalError("database or disk is full")
        prepare(connection, path)

    monkeypatch.setattr(log, "_prepare", without_room)
    assert fanfold.get_job(job.id).results() == [2, 4]
    with pytest.raises(StoreFull, match="No room left"):
        engine_for().stores.log.request_cancel(job.id, 1.0)
    full[0] = False
    assert engine_for().stores.remove_jobs([job.id])
    assert fanfold.get_jobs() == []
    assert fanfold.submit(double, [1], collect=False).results() == [2]
