"""docs/configuration.md says what can be configured, all of it and as it is."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import fanfold
from fanfold import settings
from fanfold.contract import layout

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "configuration.md").read_text()


def cells(row: str) -> list[str]:
    return [cell.strip().strip("`") for cell in row.strip("|").split("|")]


def test_the_table_has_a_row_for_every_setting_with_each_place_it_may_come_from():
    rows = [cells(line) for line in re.findall(r"^\| `\w+` \|.*$", PAGE, re.MULTILINE)]
    assert [name for name, *_ in rows] == list(settings.Settings._fields)
    for name, argument, variable, key, default in rows:
        assert argument == f"{name}="
        assert name in inspect.signature(fanfold.configure).parameters
        assert variable == f"FANFOLD_{name.upper()}"
        assert key == (name if name in settings._IN_FILE else "")
        assert default


def test_the_places_stand_in_the_order_in_which_they_win():
    """That they do win in this order, tests/surface/test_settings.py shows."""
    [head] = re.findall(r"^\| setting \|.*$", PAGE, re.MULTILINE)
    assert cells(head)[1:] == ["fanfold.configure(...)", "environment", "config file", "default"]


def test_every_variable_for_users_is_told():
    ours = [value for name, value in vars(layout).items() if name.startswith("ENV_")]
    assert [value for value in ours if value not in PAGE] == []


def test_the_readme_leads_there():
    assert "(docs/configuration.md)" in (ROOT / "README.md").read_text()
