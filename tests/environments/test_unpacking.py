"""The worker's half: an environment is whole or not there, and takes no more of the disk than it may."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import threading

import pytest

from fanfold.environments.lock import Lock, Wheel, lock_from_text
from fanfold.environments.unpack import Environments
from fanfold.errors import ResultDamaged, StoreFull
from tests.environments.index import make_wheel

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


class Objects:
    """Objects in a folder, by key; `fetched` counts requests."""

    def __init__(self, folder):
        self.folder, self.fetched = folder, 0
        (folder / "blobs").mkdir(parents=True)

    def lock(self, name, version="1.0", files=None):
        """A lock of one wheel, which is among the objects."""
        path = make_wheel(self.folder, name, version, files)
        data = path.read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        (self.folder / "blobs" / sha256).write_bytes(data)
        return Lock(PYTHON, "", (Wheel(name, version, path.name, sha256, len(data)),), unpacked=len(data))

    def get_range(self, name, start, stop):
        self.fetched += 1
        return (self.folder / "blobs" / name).read_bytes()[start:stop]


@pytest.fixture
def objects(tmp_path):
    return Objects(tmp_path / "objects")


@pytest.fixture
def environments(tmp_path):
    return Environments(tmp_path / "environments", kept_bytes=1 << 30)


def at_once(act, count):
    """Have so many threads do it at once; none takes longer than a minute."""
    threads = [threading.Thread(target=act, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def said_by(python, program):
    return subprocess.run([python, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def test_an_environment_lies_over_what_is_there_and_under_the_standard_library(objects, environments):
    lock = objects.lock("ffover", files={"ffover.py": "X = 1", "numpy/__init__.py": "X = 2", "json.py": "X = 3"})
    python = environments.interpreter(lock, objects.get_range)
    program = "import ffover, numpy, json, pandas; print(ffover.X, numpy.X, hasattr(json, 'dumps'))"
    assert said_by(python, program.replace(", pandas", "")) == "1 2 True"
    before = objects.fetched
    assert environments.interpreter(lock_from_text(lock.to_text()), objects.get_range) == python
    assert objects.fetched == before


def test_programs_and_data_of_a_wheel_have_their_places(objects, environments):
    files = {
        "ffprogram-1.0.data/scripts/ffprogram": "#!python\nimport ffprogram; print(ffprogram.X)\n",
        "ffprogram-1.0.data/purelib/ffprogram.py": "X = 'hello'",
        "ffprogram-1.0.data/data/share/ffprogram.txt": "data",
    }
    python = environments.interpreter(objects.lock("ffprogram", files=files), objects.get_range)
    program = os.path.join(os.path.dirname(python), "ffprogram")
    assert subprocess.run([program], capture_output=True, text=True, check=True).stdout == "hello\n"
    assert said_by(python, "import sys; print(open(sys.prefix + '/share/ffprogram.txt').read())") == "data"


def test_a_wheel_that_is_not_the_locks_or_leads_elsewhere_leaves_nothing(objects, environments, tmp_path):
    good = objects.lock("ffgood")
    changed = good._replace(wheels=(good.wheels[0]._replace(sha256="0" * 64),))
    (objects.folder / "blobs" / ("0" * 64)).write_bytes(b"x" * good.wheels[0].size)
    evil = objects.lock("ffevil", files={"../../../../escaped.py": "boo"})
    for lock in (changed, evil):
        with pytest.raises(ResultDamaged, match=r"blobs/"):
            environments.interpreter(lock, objects.get_range)
    assert {path.suffix for path in (tmp_path / "environments").iterdir()} == {".lock", ".making"}
    assert not list(tmp_path.rglob("escaped.py"))


def test_what_breaks_off_in_the_middle_leaves_nothing_and_the_next_try_is_whole(objects, environments, tmp_path):
    lock = objects.lock("ffbroken")

    def breaks_off(*_):
        raise ResultDamaged("gone")

    with pytest.raises(ResultDamaged):
        environments.interpreter(lock, breaks_off)
    assert {path.suffix for path in (tmp_path / "environments").iterdir()} == {".lock", ".making"}
    assert said_by(environments.interpreter(lock, objects.get_range), "import ffbroken; print(1)") == "1"


def test_all_who_want_the_same_environment_at_once_get_it_whole(objects, tmp_path):
    """Each with locks of its own on the files, as processes have."""
    lock, folder, found = objects.lock("ffrace"), tmp_path / "environments", []

    def make():
        found.append(Environments(folder, kept_bytes=1 << 30).interpreter(lock, objects.get_range))

    at_once(make, 8)
    assert found == found[:1] * 8
    assert objects.fetched == 1
    assert len([path for path in folder.iterdir() if path.is_dir()]) == 1


def test_who_wants_an_environment_that_another_makes_does_not_wait_for_that_one_to_end(objects, tmp_path, monkeypatch):
    lock, folder, found = objects.lock("ffwait"), tmp_path / "environments", []
    both, locked, met = threading.Barrier(2, timeout=120), fcntl.flock, set()

    def flock(fd, how):
        locked(fd, how)
        if how == fcntl.LOCK_SH and threading.get_ident() not in met:  # both have it: it is not there for either
            met.add(threading.get_ident())
            both.wait()

    def make():
        holder = Environments(folder, kept_bytes=1 << 30)
        found.append((holder, holder.interpreter(lock, objects.get_range)))

    monkeypatch.setattr(fcntl, "flock", flock)
    at_once(make, 2)
    assert found[0][1] == found[1][1]
    assert objects.fetched == 1


def test_what_was_used_longest_ago_makes_room_unless_somebody_uses_it(objects, tmp_path):
    folder = tmp_path / "environments"
    locks = [objects.lock(f"ffroom{n}") for n in range(4)]
    room = sum(lock.unpacked for lock in locks[:2])

    def made(n, environments):
        return environments.interpreter(locks[n], objects.get_range)

    holder = Environments(folder, kept_bytes=room)  # it uses the first until it ends
    first = made(0, holder)
    one_at_a_time = Environments(folder, kept_bytes=room, hold_all=False)
    second, third = made(1, one_at_a_time), made(2, one_at_a_time)
    assert [os.path.exists(python) for python in (first, second, third)] == [True, False, True]


def test_a_disk_without_room_is_told_before_anything_is_fetched(objects, environments):
    lock = objects.lock("ffhuge")._replace(unpacked=1 << 60)
    with pytest.raises(StoreFull, match="disk_size_gb"):
        environments.interpreter(lock, objects.get_range)
    assert objects.fetched == 0
