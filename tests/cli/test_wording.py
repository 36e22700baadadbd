"""Times and sizes as people say them."""

from __future__ import annotations

import pytest

from fanfold.cli.output import ago, arguments, moment, size
from fanfold.core.formatting import counted

NOW = 1_769_868_902.5  # 2026-01-31 14:15:02.5 UTC


@pytest.mark.parametrize(
    ("passed_s", "said"),
    [
        (-3, "just now"),
        (4.9, "just now"),
        (12, "12 s ago"),
        (59.4, "59 s ago"),
        (59.6, "1 min ago"),
        (200, "3 min ago"),
        (3599, "59 min ago"),
        (3600, "1 h ago"),
        (86399, "23 h ago"),
        (86400, "1 day ago"),
        (3 * 86400, "3 days ago"),
        (40 * 86400, "2025-12-22"),
    ],
)
def test_how_long_ago(passed_s, said):
    assert ago(NOW - passed_s, NOW) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (999_499, "999 kB"), (999_999, "1.0 MB"), (2.5e12, "2.5 TB")],
)
def test_sizes(count, said):
    assert size(count) == said


def test_one_of_something_is_not_several():
    assert [counted(count, "run") for count in (0, 1, 2, 1500)] == ["0 runs", "1 run", "2 runs", "1,500 runs"]


def test_moments_and_arguments():
    assert moment(NOW) == "2026-01-31T14:15:02.500Z"
    assert arguments({"day": "2013-01-01", "n": 3}) == "day='2013-01-01', n=3"
    assert len(arguments({"long": "x" * 1000})) < 60
