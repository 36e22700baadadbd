"""`fanfold.local(like="lambda")`: realtime runs have here what Lambda gives them, and no more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fanfold
from fanfold.engines.local import conditions
from fanfold.execution.worker import confined

own_disk = pytest.mark.skipif(not confined.may_confine(), reason="this system lets no process have mounts of its own")


def surroundings(place: str):
    import os
    import resource

    Path("here.txt").write_text("mine")
    disk = os.statvfs("/tmp")
    return {
        "shared memory": os.path.exists("/dev/shm"),
        "devices": os.path.exists("/dev/urandom") and Path("/dev/null").write_text("x"),
        "disk_mib": disk.f_blocks * disk.f_frsize >> 20,
        "open files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "sees": os.path.exists(place),
        "here": os.listdir("."),
    }


def locks(_: int):
    import multiprocessing

    return multiprocessing.Lock() and "locked"


def writes(place: str, mib: int = 0):
    with open(place, "wb") as file:
        file.truncate(10)
        os.posix_fallocate(file.fileno(), 0, (mib << 20) or 1)
    return place


def fills(place: str, mib: int):
    with open(place, "wb", buffering=0) as file:
        for _ in range(mib * 4):
            file.write(bytes(1 << 18))


def returns(mib: int):
    return b"x" * (mib << 20)


@own_disk
def test_a_run_has_what_lambda_gives_and_no_more(tmp_path, monkeypatch):
    with fanfold.local(like="lambda"):
        seen = fanfold.run(surroundings, place=str(tmp_path))
    assert seen == {
        "shared memory": False,
        "devices": 1,
        "disk_mib": 2048,
        "open files": 1024,
        "sees": False,
        "here": ["here.txt"],
    }
    monkeypatch.chdir(tmp_path)  # a run without those limits works in its caller's folder
    assert fanfold.run(surroundings, place=str(tmp_path))["sees"]


def test_what_needs_shared_memory_fails_as_there_and_says_why(capsys):
    with fanfold.local(like="lambda"), pytest.raises(fanfold.RunFailed, match="no /dev/shm here, as always in AWS Lam"):
        fanfold.run(locks, _=1)
    assert "uses multiprocessing.Lock, which fails in AWS Lambda" in capsys.readouterr().err
    assert fanfold.run(locks, _=1) == "locked"


@own_disk
def test_nothing_but_tmp_can_be_written(monkeypatch):
    elsewhere = Path("/var/tmp/written-by-a-run")  # a clone may lie in /tmp itself
    with fanfold.local(like="lambda"), pytest.raises(fanfold.RunFailed, match="Read-only file system") as refused:
        fanfold.run(writes, place=str(elsewhere))
    assert "can write to its working folder and to /tmp" in str(refused.value)
    assert "tempfile" in str(refused.value.next_step)
    assert not elsewhere.exists()


@own_disk
def test_its_disk_is_as_large_as_the_function_s(monkeypatch):
    monkeypatch.setattr(conditions, "REALTIME_DISK_MIB", 8)
    with fanfold.local(like="lambda"):
        assert fanfold.run(writes, place="fits", mib=6) == "fits"
        assert fanfold.run(writes, place="fits", mib=7) == "fits"  # what the run before left is gone
        with pytest.raises(fanfold.RunFailed, match=r"No space left.*the disk is full: of its 8 MiB") as full:
            fanfold.run(writes, place="does-not", mib=9)
        assert "realtime_disk_mib" in str(full.value.next_step)
        with pytest.raises(fanfold.RunFailed, match=r"of its 8 MiB.*, other files in /tmp [78] MiB"):
            fanfold.run(fills, place="/tmp/elsewhere", mib=9)
        with pytest.raises(fanfold.FanfoldError, match="a result of 9,437,184 bytes could not be written"):
            fanfold.run(returns, mib=9)
        assert len(fanfold.run(returns, mib=5)) == 5 << 20


def test_its_results_are_its_own_and_it_ends_with_its_block(monkeypatch):
    monkeypatch.setenv("FANFOLD_DEPLOYMENT", "nowhere")
    plain = fanfold.submit(returns, [0], engine="local", collect=False)
    assert plain.wait().counts()["succeeded"] == 1
    with fanfold.local(like="lambda") as tried:
        assert repr(tried) == "fanfold.local(like='lambda')"
        job = fanfold.submit(returns, [0], collect=False).wait()
        assert job.counts()["succeeded"] == 1
        assert fanfold.submit(returns, [0], collect=False).wait().counts()["cached"] == 1
    assert fanfold.submit(returns, [0], engine="local", collect=False).wait().counts()["cached"] == 1
    assert fanfold.settings.current().engine == "aws"
    with pytest.raises(fanfold.ConfigurationError, match="is unknown"):
        fanfold.local(like="mainframe")


@own_disk
def test_calls_of_an_executor_are_made_so_too():
    with fanfold.local(like="lambda"), fanfold.Executor(1) as executor:
        assert executor.submit(os.path.exists, "/dev/shm").result() is False
    with fanfold.Executor(1) as executor:
        assert executor.submit(os.path.exists, "/dev/shm").result() is True


def test_without_mounts_of_its_own_a_worker_refuses_shared_memory(tmp_path):
    """As on a Mac, or in a container that is closed to it."""
    program = (
        "from fanfold.execution.worker import confined; confined._own_mounts = lambda: False;"
        "confined.confine('[8, [], []]')\n"
        "import multiprocessing\nfrom multiprocessing.shared_memory import SharedMemory\n"
        "for make in (multiprocessing.Lock, multiprocessing.Queue, lambda: SharedMemory(create=True, size=8)):\n"
        "    try: make()\n"
        "    except OSError as error: print(error.errno)\n"
        "ours, theirs = multiprocessing.Pipe(); ours.send(1); print(theirs.recv())"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["38", "38", "38", "1"]
