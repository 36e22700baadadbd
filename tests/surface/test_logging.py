"""What Fanfold says of its own work: nothing by default, and each step where FANFOLD_LOG asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CLIENT = str(Path(__file__).parents[2] / "client")

PROGRAM = """
import fanfold

@fanfold.udf
def squared(x: int):
    return x * x

if __name__ == "__main__":
    print(fanfold.submit(squared, range(3), collect=False).results())
"""


@pytest.fixture
def said(tmp_path):
    """What the program writes to stderr with FANFOLD_LOG set to a level."""
    path = tmp_path / "program.py"
    path.write_text(PROGRAM, encoding="utf-8")

    def run(level: str) -> str:
        environment = {**os.environ, "FANFOLD_HOME": str(tmp_path / "home"), "PYTHONPATH": CLIENT}
        environment["FANFOLD_LOG"] = level
        done = subprocess.run(
            [sys.executable, str(path)], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.stdout == ("[0, 1, 4]\n" if done.returncode == 0 else "")
        return done.stderr

    return run


def test_by_default_nothing_is_said(said):
    assert said("") == ""


def test_info_says_which_job_is_started_and_what_of_it_is_to_run(said):
    first, second = said("info"), said("INFO")
    assert "INFO fanfold.submission.prepare: job " in first
    assert " of squared: 3 inputs, 3 of them to run, on local" in first
    assert "3 inputs, 0 of them to run" in second
    assert "DEBUG" not in first


def test_debug_says_where_each_worker_starts(said):
    assert "DEBUG fanfold.execution.pool.pool: a worker starts in " in said("debug")


def test_another_level_is_refused_by_name(said):
    error = said("loud")
    assert "FANFOLD_LOG is 'loud', which is not a level." in error
    assert "use one of debug, info, warning, error." in error
