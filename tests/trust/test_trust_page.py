"""The page of who may do what names a test for each line, which is there."""

from __future__ import annotations

import re
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_TEST = re.compile(r"`(tests/\S+\.py)::(\w+)`")


def test_every_line_of_the_page_is_held_by_a_test_that_is_there():
    rows = [row for row in (_ROOT / "docs/trust.md").read_text(encoding="utf-8").splitlines() if row.startswith("| ")]
    lines = [row for row in rows if not row.startswith(("| what", "| ---"))]
    assert len(lines) > 10
    for line in lines:
        named = _TEST.search(line)
        assert named, line
        assert re.search(rf"def {named[2]}\(", (_ROOT / named[1]).read_text(encoding="utf-8")), line


def test_no_pyarrow_is_allowed_that_runs_what_a_file_brings_along():
    text = (_ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert set(re.findall(r'"pyarrow(\S*?)[";]', text)) - {".*"} == {">=14.0.1"}
