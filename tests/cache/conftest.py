"""Scenes: a folder of files."""

from __future__ import annotations

import pytest


@pytest.fixture
def scenes(tmp_path):
    folder = tmp_path / "scenes"
    folder.mkdir()
    return folder
