"""A plan tells what a submit would take, and starts nothing but a sample where nothing is known."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import lru_cache

import pytest

import fanfold
from fanfold.contract.instances import INSTANCE_TYPES, LIST_PRICES
from fanfold.core.formatting import about_dollars, about_seconds
from fanfold.core.pricing import realtime_cost
from fanfold.engines import base as select
from fanfold.engines.local.engine import LocalEngine
from fanfold.stores.local import SqliteResultCache
from fanfold.submission.estimates import (
    Observed,
    Own,
    Seen,
    Span,
    between,
    local_way,
    machine_way,
    realtime_way,
    without_warm_up,
)
from fanfold.submission.limits import LOCAL_START, between_runs_s, makespan_s, realtime_start
from fanfold.submission.plan import _best, observe_past_runs
from fanfold.submission.prepare import Draft


@fanfold.udf
def scaled(x: int, by: int = 2):
    return x * by


def failing(x: int):
    if x:
        raise ValueError(f"{x} is broken")
    return x


def unwrapped(plan):
    return " ".join(str(plan).split())


def jobs():
    return [(job.name, len(job)) for job in fanfold.get_jobs()]


def test_an_unknown_udf_is_sampled_and_the_sample_is_not_run_again():
    plan = fanfold.plan(scaled, range(20))
    assert (plan.cached, plan.to_run) == (3, 17)
    assert jobs() == [("scaled", 3)]
    assert "a sample of 3 runs, now cached" in unwrapped(plan)
    fanfold.submit(scaled, range(20))
    assert fanfold.get_jobs(limit=1)[0].counts() == {"cached": 3, "succeeded": 17}


def test_a_known_udf_is_judged_by_its_past_runs_and_nothing_is_started():
    fanfold.submit(scaled, range(5))
    plan = fanfold.plan(scaled, range(20))
    assert (plan.count, plan.cached, plan.to_run) == (20, 5, 15)
    assert "5 past runs of this code" in unwrapped(plan)
    assert jobs() == [("scaled", 5)]


def test_an_earlier_version_of_the_same_name_will_do():
    @fanfold.udf(name="scaled")
    def other(x: int):
        return x + 1

    fanfold.submit(scaled, range(5))
    plan = fanfold.plan(other, range(20))
    assert plan.cached == 0
    assert "5 past runs of an earlier version" in unwrapped(plan)


def test_constants_belong_to_what_is_asked():
    fanfold.submit(scaled, range(5), by=3)
    assert fanfold.plan(scaled, range(5), by=3).cached == 5
    assert fanfold.plan(scaled, range(5)).cached == 0


def test_everything_cached_costs_and_takes_nothing():
    fanfold.submit(scaled, range(5))
    plan = fanfold.plan(scaled, range(5))
    assert (plan.to_run, plan.time_s.high, plan.usd.high) == (0, 0, 0)
    assert plan.reason == "everything is in the cache"


def test_submit_with_plan_gives_the_plan_of_the_same_call():
    plan = fanfold.submit(scaled, range(20), by=3, instance_type="small", plan=True)
    assert isinstance(plan, fanfold.Plan)
    assert plan.to_run == 17
    assert fanfold.plan(scaled, range(20), by=3).cached == 0  # another path, another cache


def test_without_cache_everything_is_to_be_run():
    fanfold.submit(scaled, range(5))
    assert fanfold.plan(scaled, range(5), cache=False).to_run == 5


def test_fewer_inputs_than_a_sample_are_all_sampled():
    assert fanfold.plan(scaled, [1]).cached == 1


def test_inputs_that_are_functions_are_sampled_as_they_are():
    @fanfold.udf
    def applied(fn):
        return fn(3)

    plan = fanfold.plan(applied, [lambda x: x * 5, lambda x: x - 1])
    assert (plan.cached, plan.to_run) == (2, 0)
    assert fanfold.get_jobs()[0].results() == [15, 2]


def test_what_does_not_fit_is_refused_as_by_submit():
    with pytest.raises(fanfold.InputError, match="'two'"):
        fanfold.plan(scaled, [1, "two"])
    assert jobs() == []


def test_a_sample_that_only_fails_raises_its_error():
    def broken(x: int):
        raise ValueError("broken from the start")

    with pytest.raises(fanfold.RunFailed, match="broken from the start"):
        fanfold.plan(broken, range(10))


def test_a_sample_that_fails_in_part_is_told_and_nothing_is_recommended():
    plan = fanfold.plan(failing, range(3))
    assert (plan.cached, plan.to_run) == (1, 2)
    told = unwrapped(plan)
    assert "a sample of 3 runs, of which 1 succeeded and are cached" in told
    assert "2 of the 3 runs of the sample failed, the first with ValueError: 1 is broken" in told
    assert plan.recommended == plan.asked
    assert plan.reason.startswith("fix the UDF before all are run")


def test_a_sample_that_is_not_to_be_cached_is_not_said_to_be():
    assert fanfold.plan(scaled, range(20), cache=False).observed.basis == "a sample of 3 runs"


def test_the_table_is_aligned_and_names_every_way():
    fanfold.submit(scaled, range(3))
    lines = str(fanfold.plan(scaled, range(2000), instance_type="m5.4xlarge")).splitlines()
    assert lines[0] == "scaled over 2,000 inputs"
    names = ["local", "realtime", "small", "medium", "large", "m5.4xlarge"]
    assert [line.removeprefix("*").split()[0] for line in lines[2:8]] == names
    assert {line.index("$") for line in lines[2:8]} == {lines[1].index("dollars")}


OBSERVED = [
    Observed((1.0, 2.0, 3.0), 20.0, basis="a sample of 3 runs, now cached"),
    Observed((0.00001, 0.00002), 20.0, basis="500 past runs of an earlier version"),
    Observed((1.0, 150.0) * 8, 3900.0, basis="16 past runs of this code"),
    Observed((100.0,), 600_000.0, basis="1 past run of this code", against="1 of the 3 runs failed: " + "why " * 40),
]


@pytest.mark.parametrize("observed", OBSERVED, ids=lambda one: one.basis)
@pytest.mark.parametrize("count", [0, 1, 200, 1_000_000])
def test_a_plan_fits_80_columns_and_tells_what_is_likeliest_with_its_range(observed, count):
    machines = ("small", "large", "m3-ultramem-32")
    ways = (
        local_way(observed, cached=3, to_run=count, workers=2, realtime=True),
        realtime_way(observed, cached=3, to_run=count, concurrency=1000),
        *(
            machine_way(observed, INSTANCE_TYPES[name], cached=3, to_run=count, machines=1, processes=1)
            for name in machines
        ),
    )
    best, reason = _best(ways, "local")
    told = str(fanfold.Plan("delays", count + 3, ways, "local", best, reason, observed, prices="2026-10 in us-east-1"))
    assert max(map(len, told.splitlines())) <= 80
    assert "3 of them cached" in told
    assert "prices of 2026-10 in us-east-1" in told


@pytest.mark.parametrize(
    ("span", "told"),
    [
        (Span(0, 0, 0), "0 s"),
        (Span(1.0, 3.3, 10.4), "3.3 s (1.0-10 s)"),
        (Span(30.0, 108.0, 180.0), "1.8 min (30 s-3.0 min)"),
        (Span(0.001, 0.25, 0.51), "250 ms (1.0-510 ms)"),
        (Span(86400.0 * 90, 86400.0 * 900, 86400.0 * 1300), "2.5 years (90 days-3.6 years)"),
    ],
)
def test_an_estimate_is_told_to_two_digits(span, told):
    assert span.about(about_seconds) == told


@pytest.mark.parametrize(
    ("usd", "told"),
    [
        (0, "$0"),
        (0.00123, "$0.0012"),
        (0.5, "$0.50"),
        (1.73, "$1.70"),
        (949, "$950"),
        (1234, "$1.2k"),
        (23_400, "$23k"),
    ],
)
def test_so_are_its_dollars(usd, told):
    assert about_dollars(usd) == told


def test_generators_are_planned_too():
    assert fanfold.plan(scaled, (x for x in range(7))).count == 7


# --- what the numbers are made of


SECONDS_30 = Observed((30.0,) * 20, 500.0)


def test_more_known_runs_narrow_the_range():
    wide = Observed((1.0, 2.0, 3.0), 1.0).mean_s()
    narrow = Observed((1.0, 2.0, 3.0) * 30, 1.0).mean_s()
    assert wide.expected == narrow.expected == 2
    assert wide.low <= narrow.low <= 2 <= narrow.high <= wide.high


def test_one_known_run_may_be_twice_or_half_of_what_is_usual():
    assert Observed((4.0,), 1.0).mean_s() == Span(2.0, 4.0, 8.0)


def test_realtime_runs_are_paid_by_the_second_and_run_at_once():
    way = realtime_way(SECONDS_30, cached=0, to_run=1000, concurrency=1000)
    assert way.usd.expected == pytest.approx(1000 * 30 * 4 * 0.0000166667, rel=0.01)
    assert 30.5 <= way.time_s.low <= way.time_s.high <= 35  # from all warm to the coldest of a thousand


def test_a_job_takes_as_many_rounds_as_its_places_need():
    assert makespan_s((1.0,), 3, 2) == 2.0
    assert makespan_s((1.0, 1.0, 4.0), 3, 2) in (4.0, 5.0)
    assert makespan_s((2.0,), 100_000, 100) == 2000.0
    way = local_way(Observed((1.0,) * 4, 1.0), cached=0, to_run=5, workers=2, realtime=True)
    assert 2.5 <= way.time_s.low <= 3 < way.time_s.expected <= 3.5 <= way.time_s.high


def test_past_jobs_say_how_long_a_job_takes_to_begin():
    seen = Observed((1.0,) * 4, 1.0, starts_s={"local": (2.0, 3.0, 9.0)})
    way = local_way(seen, cached=0, to_run=2, workers=2, realtime=True)
    assert (way.time_s.low, way.time_s.expected, way.time_s.high) == (1.0, 4.0, 10.0)
    job = fanfold.submit(scaled, range(4), by=3, collect=False).wait()
    observed = observe_past_runs(job.tracker.engine, Draft(scaled, job.tracker.engine, {"by": 3}))
    (start_s,) = observed.starts_s["local"]
    assert 0 <= start_s < job.total_time()


def test_a_job_after_its_sample_begins_in_workers_that_are_warm():
    """The start of a sample's only job was a cold one, with all that its workers had to import."""
    only = Observed((0.05,) * 3, 1.0, starts_s={"local": (0.6,)}, warm=2)
    assert local_way(only, cached=0, to_run=30, workers=2, realtime=True).time_s.expected == pytest.approx(0.75)
    assert local_way(only, cached=0, to_run=30, workers=4, realtime=True).time_s.expected > 0.6 + 0.35  # two are cold
    both = replace(only, starts_s={"local": (0.02, 0.6)})  # the later job first
    assert local_way(both, cached=0, to_run=30, workers=2, realtime=True).time_s.expected == pytest.approx(0.77)
    past = replace(only, warm=0)
    assert local_way(past, cached=0, to_run=30, workers=2, realtime=True).time_s.expected == pytest.approx(1.35)
    model = realtime_start(30, 2)
    in_functions = replace(only, starts_s={"realtime": (4.0,)})
    assert in_functions.start("realtime", 2, model).expected == model.low


@lru_cache
def model():
    time.sleep(2)


def loads_a_model(x: int):
    model()
    time.sleep(0.06)
    return x


def test_what_the_first_run_in_a_worker_loads_is_counted_once_for_each_that_is_cold():
    """The sample leaves two workers warm; a later plan by past runs may be made elsewhere, and counts on none."""
    plan = fanfold.plan(loads_a_model, range(40), max_workers=2)
    assert (plan.cached, jobs()) == (6, [("loads_a_model", 3)] * 2)
    assert plan.observed.basis == "a sample of 6 runs, now cached"
    assert 1 < plan.observed.warm_up_s < 3.9  # twice would be more
    assert "more where it is the first in a worker, " in unwrapped(plan)
    again = fanfold.plan(loads_a_model, range(40), max_workers=2)
    assert (again.observed.warm_up_s, again.observed.warm) == (plan.observed.warm_up_s, 0)
    apart = again.time_s.expected - again.observed.start("local", 2, LOCAL_START).expected
    between_s = again.observed.between_s["local"] * 16
    assert apart - between_s == pytest.approx(makespan_s(again.observed.durations_s, 34, 2) + again.observed.warm_up_s)


def test_what_passes_between_two_runs_of_a_worker_is_counted_as_past_jobs_had_it():
    three = Seen(100.0, 2, [(102.0, 1.0), (103.0, 2.0), (103.4, 1.0)])  # the third takes the first one's place
    assert between(three) == pytest.approx([0.4])
    assert between(Seen(100.0, 3, three.runs)) == []
    seen = Observed((1.0,), 1.0, between_s={"realtime": 0.5})
    apart, usual = (realtime_way(of, cached=0, to_run=9, concurrency=3) for of in (seen, Observed((1.0,), 1.0)))
    assert apart.time_s.expected - usual.time_s.expected == pytest.approx(2 * (0.5 - between_runs_s()))


def test_first_runs_that_are_no_slower_say_nothing_of_a_warm_up():
    cold = Seen(100.0, 2, [(103.0, 2.0), (103.1, 2.1), (103.2, 0.1), (103.3, 0.2)])
    warm = Seen(110.0, 2, [(111.0, 0.1), (111.1, 0.2)])  # within a minute of the other
    durations_s, more_s = without_warm_up([warm, cold])
    assert more_s == pytest.approx(2.05 - 0.15)
    assert sorted(durations_s) == pytest.approx([0.1, 0.1, 0.1, 0.2, 0.2, 0.2])
    assert without_warm_up([Seen(100.0, 2, [(103.0, 2.0), (103.1, 0.1), (103.2, 0.1)])])[1] == 0  # one of the first
    assert without_warm_up([Seen(100.0, 9, cold.runs)]) == ((0.1, 0.2, 2.0, 2.1), 0)  # each in a worker of its own
    assert without_warm_up([]) == ((), 0)


def test_machines_are_paid_by_the_hour_and_take_a_while_to_start():
    way = machine_way(SECONDS_30, INSTANCE_TYPES["medium"], cached=0, to_run=240, machines=2, processes=4)
    assert (way.time_s.low, way.time_s.high) == pytest.approx((30 + 900, 180 + 900), rel=0.001)
    assert way.usd.low == pytest.approx(2 * 930 / 3600 * 0.768, rel=0.001)


def test_there_are_no_more_machines_than_inputs():
    one = machine_way(SECONDS_30, INSTANCE_TYPES["small"], cached=0, to_run=1, machines=5, processes=1)
    assert one.usd.high == pytest.approx((180 + 30) / 3600 * 0.085)


def test_no_job_is_faster_than_its_longest_run():
    uneven = Observed((1.0,) * 50 + (60.0,), 1.0)
    assert realtime_way(uneven, cached=0, to_run=51, concurrency=1000).time_s.high >= 60


def recommended(observed, count=100, asked="realtime"):
    ways = [realtime_way(observed, cached=0, to_run=count, concurrency=1000)]
    ways += [
        machine_way(observed, INSTANCE_TYPES[name], cached=0, to_run=count, machines=1, processes=1)
        for name in ("small", "medium", "large")
    ]
    if asked == "local":
        ways.insert(0, local_way(observed, cached=0, to_run=count, workers=2, realtime=True))
    return _best(ways, asked)


def test_realtime_is_recommended_where_runs_fit():
    best, reason = recommended(SECONDS_30)
    assert best == "realtime"
    assert "every run fits 120 s and 4 GB" in reason


def test_too_long_for_realtime_takes_the_cheapest_machine():
    best, reason = recommended(Observed((100.0, 115.0), 500.0))
    assert best == "small"
    assert "runs take up to 1 min 55 s, the limit is 120 s" in reason


def test_too_large_for_realtime_takes_the_cheapest_machine_that_holds_it():
    best, reason = recommended(Observed((10.0, 12.0), 3900.0))
    assert best == "medium"
    assert "runs need 3,900 MiB or more" in reason


def test_runs_that_met_a_limit_count_as_too_much():
    assert recommended(Observed((120.0,), 500.0, timed_out=1))[0] == "small"
    assert recommended(Observed((10.0,), 4090.0, out_of_memory=1))[0] == "medium"


def test_what_fits_nowhere_is_said():
    best, reason = recommended(Observed((10.0,), 600_000.0))
    assert best == "realtime"
    assert "no way fits" in reason


def test_this_machine_is_recommended_where_it_is_soon_done_and_else_not():
    assert recommended(Observed((1.0,) * 9, 10.0), asked="local")[0] == "local"
    assert recommended(SECONDS_30, count=10_000, asked="local")[0] == "realtime"


# --- a UDF's own limits


def patient(x: float):
    import time

    time.sleep(x)
    return x


def test_a_limit_of_the_udf_s_own_holds_on_every_way_and_only_raising_it_helps():
    plan = fanfold.plan(fanfold.udf(patient, timeout_s=0.5), [30.0, 40.0])
    assert {way.name for way in plan.ways if not way.obstacle} == set()
    assert all("timeout_s of @udf is 0.5 s" in way.obstacle for way in plan.ways)
    assert plan.recommended == plan.asked
    assert "raise it" in plan.reason
    assert "120 s" not in str(plan)


def test_a_limit_that_was_raised_since_speaks_against_no_way():
    with pytest.raises(fanfold.RunTimedOut):
        fanfold.submit(fanfold.udf(patient, timeout_s=0.5), [30.0])
    assert "past run" in (plan := fanfold.plan(patient, [30.0])).observed.basis
    assert not any(way.obstacle for way in plan.ways)


def test_memory_of_the_udf_s_own_is_told_as_such():
    own = Own(memory_mib=200)
    way = machine_way(
        Observed((1.0,), 317.0, out_of_memory=1),
        INSTANCE_TYPES["medium"],
        cached=0,
        to_run=1,
        machines=1,
        processes=1,
        own=own,
    )
    assert way.obstacle == "runs need 317 MiB or more, memory_mib of @udf is 200 MiB"
    assert local_way(SECONDS_30, cached=0, to_run=1, workers=1, realtime=False, own=own).obstacle


# --- budgets


@pytest.fixture
def priced(monkeypatch):
    """This machine's engine, as one that costs money."""

    facts: dict[str, object] = {}

    class Priced(LocalEngine):
        def describe(self, image=""):
            return super().describe(image)._replace(costs_money=True, **facts)

    monkeypatch.setattr(select, "_opened", lambda _name, settings: Priced(settings.home))
    return facts


def test_on_this_machine_every_budget_is_kept():
    assert len(fanfold.submit(scaled, range(5), budget_usd=0)) == 5
    assert jobs() == [("scaled", 5)]


def test_a_budget_that_may_be_passed_starts_nothing(priced):
    fanfold.submit(scaled, [1000], collect=False).wait()
    before = jobs()
    with pytest.raises(fanfold.InputError, match=r"more than budget_usd=1e-06\.\nscaled over 50 inputs"):
        fanfold.submit(scaled, (x for x in range(50)), budget_usd=0.000001)
    assert jobs() == before


def test_a_budget_for_a_hundred_thousand_inputs_is_refused_after_few_questions(priced, monkeypatch):
    fanfold.submit(scaled, [-1], collect=False).wait()
    asked = []
    lookup = SqliteResultCache.lookup
    monkeypatch.setattr(
        SqliteResultCache, "lookup", lambda self, keys, **how: asked.append(len(keys)) or lookup(self, keys, **how)
    )
    with pytest.raises(fanfold.InputError, match="scaled over 100,000 inputs"):
        fanfold.submit(scaled, range(100_000), budget_usd=0.000001)
    assert 0 < sum(asked) <= 5_000  # each hundred is one call of DynamoDB: all would be 4,000 of them


def test_what_is_cached_among_many_is_counted_one_by_one(priced):
    fanfold.submit(scaled, range(1000, 1050), collect=False).wait()
    assert fanfold.plan(scaled, range(3000)).way("realtime").cached == 50


def test_a_budget_that_is_kept_lets_a_generator_through(priced):
    assert fanfold.submit(scaled, (x for x in range(5)), budget_usd=10, collect=False).results() == [0, 2, 4, 6, 8]


def test_an_engine_that_costs_has_no_way_called_local(priced):
    plan = fanfold.plan(scaled, range(5))
    assert [way.name for way in plan.ways] == ["realtime", "small", "medium", "large"]
    assert plan.asked == "realtime"
    assert plan.usd.high > 0


def test_each_way_has_a_cache_of_its_own(priced):
    fanfold.submit(scaled, range(4), instance_type="small")
    plan = fanfold.plan(scaled, range(10))
    assert {way.name: way.cached for way in plan.ways} == {"realtime": 0, "small": 4, "medium": 0, "large": 0}
    assert plan.way("small").to_run == 6


def test_a_million_runs_of_no_time_at_all_still_cost_their_requests():
    assert realtime_cost(0, 1_000_000) == pytest.approx(0.20 + 1 / 40 + 3 * 0.625)


def test_spot_machines_and_arm_functions_have_their_own_prices(priced):
    fanfold.submit(scaled, range(5))
    on_demand = fanfold.plan(scaled, range(5, 50))
    priced.update(spot=True, architecture="arm64")
    cheaper = fanfold.plan(scaled, range(5, 50))
    spot_usd = LIST_PRICES.machine("c5.large", spot=True)
    assert cheaper.way("small").usd.low == pytest.approx(on_demand.way("small").usd.low * spot_usd / 0.085, rel=0.01)
    assert cheaper.way("realtime").usd.low < on_demand.way("realtime").usd.low
    assert "Spot machines" in str(cheaper)
    job = fanfold.submit(scaled, [100], instance_type="small", collect=False).wait()
    assert job.header.usd_per_hour == spot_usd
    assert job.cost() == pytest.approx(job.summary().busy_s / 3600 * spot_usd, rel=0.01)


def test_prices_of_one_s_own_are_what_a_plan_and_a_job_cost(priced):
    fanfold.submit(scaled, range(5))
    fanfold.configure(prices={"as_of": "2031-01", "region": "mars-1", "lambda_request": 1.0})
    plan = fanfold.plan(scaled, range(5, 15))
    assert plan.usd.expected == pytest.approx(10, rel=0.01)
    assert "prices of 2031-01 in mars-1" in str(plan)
    assert fanfold.get_jobs(limit=1)[0].cost() == pytest.approx(5, rel=0.01)


@pytest.mark.parametrize("budget", [-1, -0.5, "ten", True])
def test_a_budget_is_a_number(budget):
    with pytest.raises(fanfold.InputError, match="budget_usd"):
        fanfold.submit(scaled, [1], budget_usd=budget)


def test_a_plan_by_past_runs_only_runs_nothing():
    def never_run(x: int):
        return x

    with pytest.raises(fanfold.InputError, match="No run of never_run is known by which to estimate"):
        fanfold.plan(never_run, range(5), past_runs_only=True)
    assert fanfold.get_jobs() == []
