"""The page's targets are measured in a browser by `python -m benchmarks page`; their verdicts stand in the table."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import RESULTS, _with
from benchmarks.row import Row


@pytest.mark.parametrize("work", ["the page of a job of 10,000 runs", "an event of a job", "the server's CPU"])
def test_each_target_of_the_page_stands_in_the_table_with_its_verdict(work):
    lines = [line for line in RESULTS.read_text().splitlines() if line.startswith(f"| {work}")]
    assert lines
    assert all(line.endswith(("| yes |", "| **no** |")) for line in lines)


def test_a_case_measured_anew_takes_the_place_of_its_older_line():
    page = "# What was measured\n\n| a | 1 s | peer | x | < 2 s | yes |\n| b | 1 s | peer | x | < 2 s | yes |\n"
    told = _with(page, [Row("a", "3 s", "peer", "x", "< 2 s", False), Row("c", "1 s", "", "", "< 2 s", True)])
    assert told.splitlines()[2:] == [
        "| a | 3 s | peer | x | < 2 s | **no** |",
        "| b | 1 s | peer | x | < 2 s | yes |",
        "| c | 1 s |  |  | < 2 s | yes |",
    ]
