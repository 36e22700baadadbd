"""The engines that the guide's promises are kept on: this machine, and a deployment in the local cloud."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fanfold.settings import configure


@pytest.fixture
def bucket(engine, on_cloud):
    """The deployment's bucket, in which UDFs may write below `data/`; both engines reach it."""
    configure(engine=engine)
    return next(one["Name"] for one in on_cloud.client("s3").list_buckets()["Buckets"] if "log" not in one["Name"])


@pytest.fixture
def elsewhere():
    """Runs lines of Python in another process, and gives what it printed."""

    def run(program: str) -> str:
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


class Machines:
    """Dedicated machines that come up only when they are told to."""

    def __init__(self, hold, release):
        self.hold, self.release = hold, release


@pytest.fixture
def machines(engine, request, tmp_path_factory, monkeypatch):
    """For the local engine a process that waits before it begins; for Batch a queue without free machines."""
    if engine == "aws":
        cloud = request.getfixturevalue("on_cloud")
        return Machines(lambda: cloud.limit_machines(0), lambda: cloud.limit_machines(None))
    folder = tmp_path_factory.mktemp("machines")
    (folder / "sitecustomize.py").write_text(_WAIT)
    return Machines(lambda: monkeypatch.setenv("PYTHONPATH", str(folder)), (folder / "go").touch)


_WAIT = """
import pathlib, time
deadline = time.monotonic() + 200
while not pathlib.Path(__file__).with_name("go").exists() and time.monotonic() < deadline:
    time.sleep(0.01)
"""
