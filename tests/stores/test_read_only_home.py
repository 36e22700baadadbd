"""A home that may only be read: its jobs can be listed, looked at and collected; what would write says so."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import fanfold
from fanfold.stores.local import LocalStores
from tests.stores.test_upgrading import YEARS_S, home_of_format_1

JOB = """
import os, sys
import fanfold
from fanfold.stores.local import LocalStores

@fanfold.udf
def work(x: int):
    return "L" * 20000 + str(x)

if __name__ == "__main__":
    fanfold.configure(home=sys.argv[1])
    print(fanfold.submit(work, range(5), collect=False).wait().id, flush=True)
    if sys.argv[2] == "killed":
        os._exit(0)
"""


@fanfold.udf
def double(x: int):
    return 2 * x


@pytest.fixture
def read_only() -> Iterator[Callable[[Path], None]]:
    """Lets a folder only be read from now on. For root, who may write anywhere, it is mounted so."""
    changed: list[Path] = []

    def change(folder: Path) -> None:
        changed.append(folder)
        if os.geteuid() == 0:
            subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
            subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        else:
            for path in [folder, *folder.rglob("*")]:
                path.chmod(path.stat().st_mode & ~0o222)

    yield change
    for folder in changed:
        if os.geteuid() == 0:
            subprocess.run(["umount", "-l", str(folder)], check=True)
        else:
            for path in [folder, *folder.rglob("*")]:
                path.chmod(path.stat().st_mode | 0o200)


@pytest.mark.parametrize("ended", ["by itself", "killed"])  # killed, it leaves the database's log behind
def test_jobs_of_a_home_that_may_only_be_read_are_listed_and_collected(tmp_path, read_only, ended):
    (tmp_path / "job.py").write_text(JOB)
    home = tmp_path / "shared" / "home"
    home.parent.mkdir()
    command = [sys.executable, str(tmp_path / "job.py"), str(home), ended]
    job_id = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout.strip()
    assert (home / "fanfold.db-wal").exists() is (ended == "killed")
    read_only(home.parent)
    fanfold.configure(home=home)
    [job] = fanfold.get_jobs(owner=None)
    assert (job.id, job.status, len(job.results())) == (job_id, "Completed", 5)
    assert job.verify()
    listed = subprocess.run(
        [sys.executable, "-m", "fanfold.cli", "jobs"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        env={**os.environ, "FANFOLD_HOME": str(home)},
    )
    assert job_id in listed.stdout
    with pytest.raises(fanfold.FanfoldError, match="FANFOLD_HOME"):
        fanfold.submit(double, [1])


@pytest.mark.parametrize("in_its_log", [False, True])
def test_the_cache_of_an_older_home_that_may_only_be_read_is_read(tmp_path, read_only, in_its_log):
    """It is looked at as if it had been brought up to date; and the file stays as it is."""
    home = home_of_format_1(tmp_path)
    with closing(sqlite3.connect(home / "fanfold.db", isolation_level=None)) as writer:
        keys = [bytes(key).hex() for (key,) in writer.execute("SELECT cache_key FROM cache")]
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if in_its_log:
            writer.execute("UPDATE jobs SET owner = owner")
            files = {path.name: path.read_bytes() for path in home.glob("fanfold.db*")}
    for name, data in files.items() if in_its_log else []:  # as a process leaves it that was killed
        (home / name).write_bytes(data)
    before = (home / "fanfold.db").read_bytes()
    read_only(tmp_path)
    with LocalStores.open(home) as stores:
        for _ in range(2):
            found = stores.cache.lookup(keys, max_age_s=YEARS_S)
            assert found.keys() == set(keys)
            assert stores.cache.usage()[0] == len(keys) > 20
        assert {entry.job_id for entry in found.values()} <= {header.id for header in stores.log.list_jobs()}
    assert (home / "fanfold.db").read_bytes() == before


@pytest.fixture
def usual_mask():
    """What others may read is for the test to say, not for the shell that started it."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("usual_mask")
@pytest.mark.parametrize(("mode", "private"), [(0o755, True), (0o700, True), (0o775, False)])
def test_what_a_home_holds_is_private_unless_others_may_write_there(tmp_path, mode, private):
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(mode)
    fanfold.configure(home=home)
    fanfold.submit(double, [1])
    open_to_others = [path.name for path in home.iterdir() if path.name != "mount" and path.stat().st_mode & 0o077]
    assert ("fanfold.db" not in open_to_others and "objects" not in open_to_others) is private


def test_a_database_that_others_could_read_is_closed_to_them(tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    fanfold.configure(home=home)
    fanfold.submit(double, [1])
    (home / "fanfold.db").chmod(0o644)

    with LocalStores.open(home):
        assert (home / "fanfold.db").stat().st_mode & 0o077 == 0
