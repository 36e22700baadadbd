"""What runs come to is the same on an emulator of which nothing is ours: its functions, state machines and stores.

Not named as tests are: `make second-cloud` runs these.
"""

from __future__ import annotations

import pytest

from tests.cloud.outcomes import TABLE, ends_of


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_runs_come_to_the_same(on_second, case):
    assert ends_of(case) == (case.ends_untold or case.ends)
