"""`make soak`: its book finds what is lost, duplicated, wrong or unexplained, and a small soak has none of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.soak.ledger import Ledger
from benchmarks.soak.work import digest

TASK = {"number": 0, "first": 5, "count": 3, "options": {}, "goes_on": False}
TOLD = {
    "job": "a-job", "seen": [2, 0, 1], "values": [digest(x) for x in (5, 6, 7)], "runs": [("succeeded", 0)] * 3,
    "errors": [], "took_s": 1.0, "verified": True,
}  # fmt: skip


def counted(**otherwise):
    ledger = Ledger()
    ledger.note(TASK, {**TOLD, **otherwise})
    return ledger.clean, (ledger.lost, ledger.duplicated, ledger.wrong, len(ledger.unexplained))


def test_all_as_it_has_to_be_is_clean():
    assert counted() == (True, (0, 0, 0, 0))
    assert counted(runs=[("succeeded", 4), ("cached", 0), ("succeeded", 0)]) == (True, (0, 0, 0, 0))


@pytest.mark.parametrize(
    ("otherwise", "counts"),
    [
        ({"seen": [0, 2]}, (1, 0, 0, 0)),
        ({"seen": [0, 1, 2, 1]}, (0, 1, 0, 0)),
        ({"values": ["x", *TOLD["values"][1:]]}, (0, 0, 1, 0)),
        ({"values": TOLD["values"][:2]}, (0, 0, 0, 1)),
        ({"errors": ["1: it failed"], "values": []}, (0, 0, 0, 1)),
        ({"verified": False}, (0, 0, 0, 1)),
    ],
)
def test_what_is_not_as_it_has_to_be_is_counted(otherwise, counts):
    assert counted(**otherwise) == (False, counts)


@pytest.mark.long
def test_a_small_soak_loses_nothing():
    command = [sys.executable, "-m", "benchmarks.soak", "--here", "1500", "--cloud", "100", "--minutes", "3"]
    here = Path(__file__).parents[2]
    done = subprocess.run(command, check=False, cwd=here, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("| **0, 0, 0, 0** | **0, 0, 0, 0** |") == 1
