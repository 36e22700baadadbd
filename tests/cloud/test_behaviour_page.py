"""The page on AWS's behaviour names tests that exist, and a source for each row."""

from __future__ import annotations

import re

import pytest

from tests.cloud.deploy import ROOT

_ROWS = [
    line
    for line in (ROOT / "docs" / "aws-behaviour.md").read_text(encoding="utf-8").splitlines()
    if re.match(r"\| [^-W]", line) and "::" in line
]


def test_the_page_has_rows():
    assert len(_ROWS) >= 15


@pytest.mark.parametrize("row", _ROWS, ids=lambda row: row[2:40])
def test_each_row_has_a_source_and_a_test_that_exists(row):
    _, what, source, test, seen, _ = (cell.strip() for cell in row.split("|"))
    path, _, name = test.strip("`").partition("::")
    assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8")
    assert what
    assert source
    assert seen.startswith(("yes", "no"))
