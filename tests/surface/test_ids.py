"""Job ids sort by when they were made, within a second too: the newest job is the last by name."""

from __future__ import annotations

import re

from fanfold.core.models import new_job_id

BEGAN = 1_700_000_000.0


def test_ids_sort_by_time():
    ids = [new_job_id(BEGAN + number * 0.0011) for number in range(3000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)


def test_an_id_reads_well_aloud():
    assert re.fullmatch(r"20231114-221320-[a-z]+-[0-9a-f]{8}", new_job_id(BEGAN + 0.5))


def test_two_machines_do_not_take_the_same_id_at_one_moment():
    assert len({new_job_id(BEGAN) for _ in range(100)}) == 100
