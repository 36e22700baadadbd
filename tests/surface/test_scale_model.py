"""The model of scale (`make scale`): what must hold of it whatever the estimates are."""

from __future__ import annotations

import random

import pytest

from benchmarks.scale.model import WAYS, Work, ideal_s, simulate
from fanfold.contract.instances import INSTANCE_TYPES
from fanfold.submission.estimates import Observed, machine_way, realtime_way
from fanfold.submission.limits import DEFAULT


@pytest.mark.parametrize("way", WAYS)
def test_no_way_is_faster_than_its_runs_and_every_way_ends(way):
    outcome = simulate(way, Work(60, 2.0))
    assert 1.0 <= outcome.first_s <= outcome.done_s
    assert outcome.compute_usd > 0
    assert outcome.overhead_usd > 0


def test_the_same_seed_gives_the_same_outcome_and_another_gives_another():
    one, same, other = (simulate("Fanfold, Express", Work(60, 1.0), seed=seed) for seed in (1, 1, 2))
    assert one == same != other


def test_forty_runs_to_a_child_cost_less_beside_compute_than_a_child_each():
    ours = simulate("Fanfold, Distributed", Work(2_000, 1.0, clones=10))
    theirs = simulate("one Express child a run", Work(2_000, 1.0, clones=10))
    assert ours.overhead_usd < theirs.overhead_usd / 10


def test_where_the_account_allows_few_functions_at_once_the_runs_wait_for_these():
    limits = DEFAULT._replace(concurrency=100)
    outcome = simulate("Fanfold, Distributed", Work(1_000, 2.0), limits)
    assert outcome.bottleneck == "functions at once in the account"
    assert outcome.done_s > ideal_s(Work(1_000, 2.0), limits) == 20.0


def test_a_wide_job_keeps_its_functions_busy_while_children_wait_for_their_slowest():
    limits, work = DEFAULT._replace(concurrency=200, new_environments=200), Work(6_000, 35.0)
    assert simulate("Fanfold, Distributed", work, limits).done_s < 1.12 * ideal_s(work, limits)


def test_a_function_without_clones_waits_for_new_environments():
    assert simulate("Fanfold, Distributed", Work(3_000, 30.0)).bottleneck == "new environments"


@pytest.mark.parametrize("run_s", [1.0, 35.0])
@pytest.mark.parametrize("count", [10, 100, 1_000, 2_000])
def test_a_plan_says_what_the_model_says(count, run_s):
    runs = random.Random(1)
    observed = Observed(tuple(run_s * max(0.5, runs.gauss(1, 0.1)) for _ in range(30)), 100.0)
    work = Work(count, run_s, clones=10, machines=max(1, count // 16))
    path = "Fanfold, Express" if count <= 1_000 else "Fanfold, Distributed"
    for warm in 0, count:
        found = simulate(path, work._replace(warm=warm))
        planned = realtime_way(observed, cached=0, to_run=count, concurrency=10_000, functions=10)
        usd = found.compute_usd + found.overhead_usd
        assert planned.time_s.low * 0.9 <= found.done_s <= planned.time_s.high * 1.1
        assert planned.usd.low * 0.9 <= usd <= planned.usd.high * 1.1
        if warm:
            assert planned.usd.expected == pytest.approx(usd, rel=0.05)
        else:
            assert planned.time_s.expected == pytest.approx(found.done_s, rel=0.2)
    if count > 1_000:  # of that many machines some are not needed any more when they are up, which no plan foresees
        return
    found = simulate("Fanfold, machines", work)
    medium = INSTANCE_TYPES["medium"]
    planned = machine_way(observed, medium, cached=0, to_run=count, machines=work.machines, processes=16)
    assert planned.time_s.expected == pytest.approx(found.done_s, rel=0.1)
    assert planned.usd.expected == pytest.approx(found.compute_usd + found.overhead_usd, rel=0.1)
