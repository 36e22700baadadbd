"""`python -m benchmarks.scale.validation`: the model beside the local cloud, job by job, where both can run.

The local cloud has times of its own: what a call, a start and a Map Run take there is measured by one small job each.
All else is as the model has it: how runs queue for functions, are refused and asked for again, and are batched.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import fanfold
from benchmarks.row import Row, page
from benchmarks.scale.model import Work, simulate
from fanfold.submission.limits import DEFAULT, Limits

ROOT = Path(__file__).parents[2]
_RESULTS = ROOT / "benchmarks" / "RESULTS-VALIDATION.md"
_HOW = (
    "Jobs of runs that sleep half a second, in the local cloud with 8 functions at once, and the same in the model of\n"
    "`make scale` with the local cloud's own times, measured by a job of 8 runs on each path. The Distributed Map is\n"
    "asked for 8 side by side; by Express all are called at once, and what is too much is refused. Time is from\n"
    "`submit` to the last result; the model's is the median of 9 seeds."
)
_RUN_S, _AT_ONCE, _SEEDS = 0.5, 8, 9
_COUNTS = {"Fanfold, Express": (8, 16, 40, 80), "Fanfold, Distributed": (16, 40, 80, 160)}


@fanfold.udf(cache_max_age=0, max_retry=10)
def half_a_second(x: int):
    time.sleep(0.5)
    return x


class Took(NamedTuple):
    """Of one job, in seconds: until its first run began, until it was seen to end; and between two runs of a place."""

    first_s: float
    done_s: float
    beside_s: float


def run(way: str, count: int) -> Took:
    """Submit a job in the local cloud that takes this way, and wait for it."""
    asked: dict[str, Any] = {} if way == "Fanfold, Express" else {"max_workers": _AT_ONCE}
    began = time.time()
    job = fanfold.submit(half_a_second, range(count), collect=False, **asked).wait()
    took = [(job.state.finished_at(index) or 0.0, job.state.duration_s(index) or 0.0) for index in range(count)]
    return Took(min(end - s for end, s in took) - began, time.time() - began, statistics.fmean(s for _, s in took))


def measured(way: str) -> Limits:
    """The model's limits, with the times that the local cloud has by itself: all of its functions are warm."""
    run(way, _AT_ONCE)
    took = run(way, _AT_ONCE)
    seen_late_s = max(0.0, took.done_s - took.first_s - took.beside_s)
    limits = DEFAULT._replace(concurrency=_AT_ONCE, cold_s=0.0, invoke_s=0.0, express_start_s=0.0, map_run_s=0.0)
    handler_s = took.beside_s - _RUN_S + seen_late_s / 2
    return limits._replace(call_s=took.first_s / limits.calls_before, handler_s=handler_s, poll_s=seen_late_s)


def rows() -> Iterator[Row]:
    """A line for each job, and the median of the errors."""
    errors = []
    for way, counts in _COUNTS.items():
        limits = measured(way)
        for count in counts:
            took = run(way, count).done_s
            most = None if way == "Fanfold, Express" else _AT_ONCE
            work = Work(count, _RUN_S, 100, warm=_AT_ONCE, max_workers=most)
            said = statistics.median(simulate(way, work, limits, seed).done_s for seed in range(_SEEDS))
            errors.append(abs(said / took - 1))
            yield Row(
                f"{way}: {count} runs", f"{took:.2f} s", f"model {said:.2f} s", f"{said / took - 1:+.0%}", "", True
            )
    median = statistics.median(errors)
    yield Row("median error", f"{median:.0%}", "", "", "< 20%", median < 0.2)


def main() -> int:
    """0 where the median error is within its target."""
    sys.path.insert(0, str(ROOT / "runtime"))
    from tests.cloud.cloud import LocalCloud

    os.environ["FANFOLD_HOME"] = tempfile.mkdtemp()
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, LocalCloud(Path(folder)) as cloud:
        cloud.deploy()
        cloud.limit_concurrency(_AT_ONCE)
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update(cloud.environment())
        for row in rows():
            found.append(row)
            print(row, flush=True)
    _RESULTS.write_text(
        page("The model of scale beside the local cloud", "make scale-validation", _HOW, found), encoding="utf-8"
    )
    return 0 if all(row.met for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
