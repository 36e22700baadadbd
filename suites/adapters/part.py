"""A pytest plugin: of the tests only those of one part, SUITES_PART: "2/8" is the second of eight."""

from __future__ import annotations

import os

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    part, _, parts = os.environ.get("SUITES_PART", "").partition("/")
    if parts:
        items[:] = items[int(part) - 1 :: int(parts)]
