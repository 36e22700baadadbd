"""The engines that the guide's promises are kept on."""

from __future__ import annotations

import pytest

from fanfold.settings import configure


@pytest.fixture(params=["local", "aws"])
def engine(request):
    """The engine that calls of this test use: tests that ask for it are run once on each."""
    if request.param == "aws":
        request.getfixturevalue("on_cloud")
    configure(engine=request.param)
    return request.param
