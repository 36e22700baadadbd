"""What a power cut leaves: a disk that has only what was brought to it, under a home that a job was reported done in.

Files that were written and never synced come back empty, names that were never synced do not come back. As root on
Linux the cut is a real one: the home is on a file system of its own, whose blocks are copied while the process stands
still. Elsewhere a copy is kept of what each sync has brought to the disk.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

JOB = """
import sys, time
import numpy as np
import fanfold

@fanfold.udf
def work(x: int, big):
    return "L" * 20000 + str(x) if x % 4 == 0 else x + int(big.sum())

if __name__ == "__main__":
    with_shadow = len(sys.argv) > 2
    if with_shadow:
        from tests.stores.shadow_disk import Shadow
        Shadow(sys.argv[2]).install()
    fanfold.configure(home=sys.argv[1])
    job = fanfold.submit(work, range(12), big=np.arange(5000), collect=False)
    job.wait()
    print(job.id, flush=True)
    time.sleep(600)
"""
AFTERWARDS = """
import json, pathlib, sys
import numpy as np
import fanfold
from job import work

fanfold.configure(home=sys.argv[1])
files = [path for path in pathlib.Path(sys.argv[1], "objects").rglob("*") if path.is_file()]
found = {"empty": sum(path.stat().st_size == 0 for path in files)}
try:
    job = fanfold.get_job(sys.argv[2])
    found["status"], found["verified"] = job.status, bool(job.verify())
except fanfold.FanfoldError as error:
    found["status"] = type(error).__name__
found["again"] = len(fanfold.submit(work, range(12), big=np.arange(5000)))
print(json.dumps(found))
"""

Cut = Callable[[str], dict[str, object]]


@pytest.fixture
def cut(tmp_path: Path) -> Iterator[Cut]:
    """Runs a job to its end, cuts the power, and tells what the next process finds."""
    (tmp_path / "job.py").write_text(JOB)
    (tmp_path / "afterwards.py").write_text(AFTERWARDS)
    disk = LoopDisk(tmp_path) if os.geteuid() == 0 and sys.platform == "linux" else ShadowDisk(tmp_path)
    yield disk.cut
    disk.close()


def test_what_was_reported_done_is_there_after_a_power_cut(cut):
    assert cut("disk") == {"empty": 0, "status": "Completed", "verified": True, "again": 12}


def test_whatever_the_cut_has_taken_the_same_submit_works(cut):
    found = cut("process")
    assert found["again"] == 12
    assert found["empty"] or found["status"] != "Completed"  # else the cut took nothing, and proves nothing


class LoopDisk:
    """A file system in a file, of which the blocks are copied while nothing moves."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mounted: list[Path] = []

    def cut(self, durability: str) -> dict[str, object]:
        """The power goes right after the job was reported done."""
        image = self._folder / "disk.img"
        with image.open("wb") as file:
            file.truncate(64 << 20)
        _run("mkfs.ext4", "-q", "-F", str(image))
        home = self._mount(image, "before") / "home"
        process = _start(self._folder, [str(home)], durability)
        job_id = _first_line(process)
        os.killpg(process.pid, signal.SIGSTOP)
        after = self._folder / "after.img"
        shutil.copyfile(image, after)
        _kill(process)
        return _look(self._folder, self._mount(after, "after") / "home", job_id)

    def close(self) -> None:
        """Take the file systems away."""
        for place in self._mounted:
            _run("umount", "-l", str(place))

    def _mount(self, image: Path, name: str) -> Path:
        place = self._folder / name
        place.mkdir()
        _run("mount", "-o", "loop", str(image), str(place))
        self._mounted.append(place)
        return place


class ShadowDisk:
    """A copy of what the process itself has synced."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def cut(self, durability: str) -> dict[str, object]:
        """The power goes right after the job was reported done."""
        home, shadow = self._folder / "home", self._folder / "shadow"
        process = _start(self._folder, [str(home), str(shadow)], durability)
        job_id = _first_line(process)
        _kill(process)
        return _look(self._folder, shadow, job_id)

    def close(self) -> None:
        """Nothing is left to take away."""


def _start(folder: Path, arguments: list[str], durability: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "FANFOLD_DURABILITY": durability, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        [sys.executable, str(folder / "job.py"), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=environment,
    )


def _first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _kill(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def _look(folder: Path, home: Path, job_id: str) -> dict[str, object]:
    out = _run(sys.executable, str(folder / "afterwards.py"), str(home), job_id)
    found: dict[str, object] = json.loads(out)
    return found


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=120).stdout
