from __future__ import annotations

import pytest

import fanfold


@pytest.fixture
def executor():
    with fanfold.Executor() as executor:
        yield executor
