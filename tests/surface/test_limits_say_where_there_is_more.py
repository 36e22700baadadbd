"""A limit that is refused names a machine that has what was asked for: asked for there, it is taken."""

from __future__ import annotations

import re

import pytest

import fanfold
from fanfold.contract.instances import INSTANCE_TYPES, run_memory_mib


def told(**limits):
    @fanfold.udf(**limits)
    def idle(x: int):
        return x

    with pytest.raises(fanfold.InputError) as caught:
        fanfold.submit(idle, [1])
    return str(caught.value)


@pytest.mark.parametrize("asked", [5_000, 58_927, 58_928, 60_000, 400_000, 475_131, 1_500_000])
def test_a_machine_that_has_the_memory(asked):
    name, has = re.search(r'instance_type="(.+)" a run has ([\d,]+) MiB', told(memory_mib=asked)).groups()
    assert int(has.replace(",", "")) == run_memory_mib(INSTANCE_TYPES[name], 1) >= asked


def test_where_none_has_it_the_largest_is_named():
    assert "ask for less: the largest machine has 1,902,111 MiB" in told(memory_mib=2_000_000)


def test_a_machine_for_more_time():
    assert 'where runs have the time that they ask for: instance_type="small"' in told(timeout_s=500)
