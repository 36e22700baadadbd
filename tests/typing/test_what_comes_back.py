"""Type checkers know what a call gives back: what stands in what_comes_back.py is what mypy finds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")
HERE = Path(__file__).parent


def check(*files: str) -> str:
    options = ("--strict", "--warn-unused-ignores", "--no-error-summary", "--cache-dir", ".mypy_cache")
    ended = subprocess.run(
        [sys.executable, "-m", "mypy", *options, *files],
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.stdout + ended.stderr


def test_mypy_finds_what_the_samples_say():
    assert check(str(HERE / "what_comes_back.py")) == ""


def test_a_wrong_expectation_is_found(tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "import fanfold\n\ndef f(x: int) -> int:\n    return x\n\njob: fanfold.Job = fanfold.submit(f, [1])\n"
    )
    assert 'expression has type "DataFrame", variable has type "Job"' in check(str(wrong))
