"""What AWS allows and what it takes: the one source of numbers for plans and for the simulation of `make scale`.

Every number has its source, `e` where it is an estimate of ours.

Sources: [sf] Step Functions quotas, [la] Lambda quotas and scaling, [dy] DynamoDB partitions and on-demand tables, [s3]
S3 performance guidelines, [ba] Batch quotas, all of docs.aws.amazon.com as of 2026-11; [b] `benchmarks/RESULTS-AWS.md`.
"""

from __future__ import annotations

import heapq
import math
import random
import statistics
from collections.abc import Sequence

from fanfold.contract.payloads import RUNS_PER_CHILD
from fanfold.contract.records import NamedTuple


class Limits(NamedTuple):
    """Rates are per second, times are seconds."""

    #: New environments of one function at once, and then every ten seconds [la].
    new_environments: int = 1_000
    refill_s: float = 10.0
    #: Functions at once in the account; what an account gets that has asked for it [la].
    concurrency: int = 10_000
    #: Cold start of a container image: median, and the spread of its logarithm [e].
    cold_s: float = 0.9
    cold_spread: float = 0.35
    #: A call of a warm function by Step Functions, and beyond the UDF within it [e, b].
    invoke_s: float = 0.02
    handler_s: float = 0.015
    #: A call of AWS from the client, and what it has in flight [e].
    call_s: float = 0.03
    calls_at_once: int = 32
    #: Calls one after another before anything starts: descriptor, inputs, source, header, look-up, dispatch [b].
    calls_before: int = 7
    #: From the call that starts an execution to its first state [e].
    express_start_s: float = 0.08
    #: From the start of a Map Run to its first child [e], children a second, and at once [sf].
    map_run_s: float = 1.5
    #: A throttled call is made again after a random pause of up to this, and double each time (infra/each_run).
    retry_s: float = 1.0
    longest_retry_s: float = 5.0
    express_children: float = 1_000.0
    standard_children: float = 100.0
    children_at_once: int = 10_000
    #: Writes of a new on-demand table, and of one partition [dy].
    table_writes: float = 4_000.0
    #: An object is put at 625 Mbit/s [la], so many a second and prefix [s3].
    upload_bytes: float = 78e6
    put_s: float = 0.05
    puts: float = 3_500.0
    #: SubmitJob [ba]; from a job's submission to a host that is up, and hosts a second while they come up [e].
    submit_job: float = 50.0
    host_s: float = 90.0
    soonest_host_s: float = 22.0
    latest_host_s: float = 172.0
    hosts: float = 8.0
    #: A container's start on a host that is up [e].
    container_s: float = 8.0
    #: How often a client looks [b].
    poll_s: float = 0.5


DEFAULT = Limits()


class Start(NamedTuple):
    """Seconds from `submit` until the first run begins and its result is seen, beyond what it takes itself."""

    low: float
    expected: float
    high: float


#: Up to here the client starts Express executions; above, a Map Run.
EXPRESS_RUNS = 1_000
#: This machine's workers begin at once; at worst they import much.
LOCAL_START = Start(0.0, 0.25, 0.5)


def realtime_start(to_run: int, at_once: int, limits: Limits = DEFAULT) -> Start:
    """In functions: all of them warm at best, all new as likely, and each colder than 999 of 1,000 at worst.

    A job is done when its last run is: of many new functions the coldest counts.
    """
    children = -(-to_run // RUNS_PER_CHILD)
    path_s = limits.express_start_s + children / (limits.calls_at_once / limits.call_s)
    if to_run > EXPRESS_RUNS:
        path_s = limits.map_run_s + limits.express_start_s + children / limits.express_children
    warm_s = limits.calls_before * limits.call_s + path_s + limits.invoke_s + limits.handler_s + limits.poll_s / 2
    coldest = statistics.NormalDist().inv_cdf(0.5 ** (1 / max(1, at_once)))
    likely_s, coldest_s = (limits.cold_s * math.exp(far * limits.cold_spread) for far in (coldest, max(3.1, coldest)))
    return Start(warm_s, warm_s + (likely_s if to_run == at_once else limits.cold_s), warm_s + coldest_s)


def between_runs_s(limits: Limits = DEFAULT) -> float:
    """What passes from a run's end in a function until the next one begins there."""
    return limits.invoke_s + limits.handler_s


def mean_cold_s(limits: Limits = DEFAULT) -> float:
    """What a new function takes on average, which is paid for."""
    return limits.cold_s * math.exp(limits.cold_spread**2 / 2)


def machine_start(machines: int, limits: Limits = DEFAULT) -> Start:
    """On machines: until the last host is up and a container on it."""
    least, likely, most = limits.soonest_host_s, limits.host_s, limits.latest_host_s
    return Start(*(up_s + machines_apart_s(machines, limits) + limits.container_s for up_s in (least, likely, most)))


def machines_apart_s(machines: int, limits: Limits = DEFAULT) -> float:
    """From the first host that is up to the last."""
    return (machines - 1) / limits.hosts


def realtime_floor_s(to_run: int, at_once: int, functions: int, limits: Limits = DEFAULT) -> float:
    """What no job of so many runs is faster than: for the table's writes, and for new environments."""
    growing_s = max(0.0, at_once / (functions * limits.new_environments) - 1) * limits.refill_s
    return max(2 * to_run / limits.table_writes, growing_s)


#: Up to so many runs are put into places one by one; of more, the mean says as much.
_COUNTED = 20_000


def makespan_s(
    durations_s: Sequence[float], to_run: int, side_by_side: int, *, warm_up_s: float = 0.0, warm: int = 0
) -> float:
    """From the first start to the last end where runs like these begin as soon as one of the places is free.

    The first run in a place takes `warm_up_s` more, but in those places that are `warm`.
    """
    mean_s, longest_s = math.fsum(durations_s) / len(durations_s), max(durations_s)
    if to_run > _COUNTED:
        return warm_up_s + max(mean_s * to_run / side_by_side, longest_s)
    runs = [durations_s[number % len(durations_s)] for number in range(to_run)]
    random.Random(0).shuffle(runs)  # noqa: S311  the same order each time
    places = max(1, min(side_by_side, to_run))
    free_at = [0.0] * min(warm, places) + [warm_up_s] * (places - warm)
    for run_s in runs:
        heapq.heapreplace(free_at, free_at[0] + run_s)
    return max(free_at)
