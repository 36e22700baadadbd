"""What runs come to in the local cloud; `make second-cloud` has the same table agree with an independent emulator."""

from __future__ import annotations

import pytest

from tests.cloud.outcomes import TABLE, ends_of


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_runs_come_to(on_cloud, case):
    assert ends_of(case) == case.ends
