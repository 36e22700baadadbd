"""`make demo`: the main job on real data, as someone who has just cloned the repository runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(700)  # more than the demo is given
def test_the_demo_fans_a_year_out_folds_it_back_and_draws_it(tmp_path):
    shutil.copytree(ROOT / "demo", tmp_path / "demo", ignore=shutil.ignore_patterns(".fanfold", "*.png"))
    environment = {name: value for name, value in os.environ.items() if name != "FANFOLD_HOME"}
    told = subprocess.run(
        [sys.executable, "demo/flights.py"],
        check=False,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines()[-1] == "demo: ok"
    table, rows, _ = told.stdout.partition("8,342 rows from 365 days\n")
    assert rows
    assert "\n".join(line.rstrip() for line in table.splitlines()) in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "365 of 365 runs have ended, 0 without a result" in told.stdout
    assert "all 365 runs from the cache" in told.stdout
    assert (tmp_path / "demo" / "delays.png").read_bytes().startswith(b"\x89PNG")
    assert "delays: 100%" in told.stderr  # the progress bar


def test_make_demo_runs_just_that():
    planned = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "demo"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert planned.stdout.splitlines()[-1].endswith("python demo/flights.py")
