"""A job's rate in AWS: functions and machines of one job take their turns from one item of the table."""

from __future__ import annotations

import pytest

import fanfold
from fanfold.contract.cloud import RATE, job_partition
from fanfold.engines.aws.rate_limiter import RateLimiter
from fanfold.stores.aws.table import key


@fanfold.udf(rate="4/s")
def named(x: int):
    return x


@pytest.mark.usefixtures("on_cloud")
@pytest.mark.parametrize("asked", [{}, {"instance_type": "small", "max_workers": 2}])
def test_all_workers_of_a_job_share_its_rate(asked):
    job = fanfold.submit(named, range(8), collect=False, **asked).wait(60)
    assert job.results() == list(range(8))
    stores = job.tracker.engine.stores
    moment = stores.table.get(key(job_partition(job.id), RATE))
    assert float(moment["next_at"]["N"]) - job.header.created_at >= 8 / 4
    last = max(job.state.finished_at(index) for index in range(8))
    assert last - job.header.created_at >= 7 / 4


@pytest.mark.usefixtures("on_cloud")
def test_turns_that_several_take_follow_one_another_and_idleness_gathers_none():
    job = fanfold.submit(named, [1], collect=False).wait(60)
    stores, header = job.tracker.engine.stores, job.header._replace(rate=0.01)
    one, other = RateLimiter(stores, header), RateLimiter(stores, header)
    assert one.take(2) == pytest.approx(0, abs=1)  # the run itself took the turn before
    assert other.take() == pytest.approx(200, abs=10)
    assert one.take() == pytest.approx(300, abs=10)
