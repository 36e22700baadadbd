"""Every line of the guide has a test that is run on both engines."""

from __future__ import annotations

import re
from pathlib import Path

#: The guide's sections, and the numbers of their lines.
LINES = {"a": range(1, 5), "b": range(5, 13), "c": range(13, 19), "d": range(19, 28), "e": range(28, 36)}


def test_every_line_has_a_test_on_both_engines():
    tested = set()
    for path in Path(__file__).parent.glob("test_?_*.py"):
        text = path.read_text()
        assert 'pytest.mark.usefixtures("engine")' in text or "def page(engine" in text
        tested |= {(section, int(number)) for section, number in re.findall(r"^def test_([a-e])(\d+)_", text, re.M)}
    assert tested == {(section, number) for section, numbers in LINES.items() for number in numbers}
