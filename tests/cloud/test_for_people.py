"""`make cloud`: a cloud to paste into a terminal, which the command line works against, and which leaves no trace."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.cloud.deploy import ROOT
from tests.conftest import is_gone

UDF = "import fanfold\n\n@fanfold.udf\ndef squared(x: int):\n    return x * x\n"


@pytest.fixture
def served(tmp_path):
    """The process that `make cloud` is, and what it says to export."""
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.cloud"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    exported = {}
    for line in process.stdout:
        name, _, value = line.removeprefix("export ").strip().partition("=")
        exported[name] = shlex.split(value)[0]
        if name == "FANFOLD_DEPLOYMENT":
            break
    yield process, exported
    process.kill()
    process.communicate()


def fanfold(*arguments, environment):
    command = [sys.executable, "-m", "fanfold.cli", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_line_works_against_what_is_exported(served, tmp_path):
    process, exported = served
    (tmp_path / "squared.py").write_text(UDF)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment = {**kept, **exported}
    assert fanfold("run", str(tmp_path / "squared.py"), "x=12", environment=environment).strip() == "144"
    assert "squared" in fanfold("jobs", environment=environment)
    started = psutil.Process(process.pid).children(recursive=True)
    assert started
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30)
    assert all(is_gone(child.pid) for child in started)
    assert not [path for path in Path(tmp_path).iterdir() if path.name.startswith("fanfold-cloud-")]
