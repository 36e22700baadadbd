"""A plan beside what the job then takes, over real jobs, here and in the local cloud: `make bench-plan`.

Nothing is known of a job; `plan` runs its sample. Then all inputs are run, those of the sample too.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import fanfold
from benchmarks.row import Row, page

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "RESULTS-PLAN.md"
HOW = (
    "Of each job nothing is known but the sample that `plan` runs.\nTime is from `submit` to the last result; dollars"
    " are those of `job.cost()`."
)


def waits(ms: int):
    import time

    time.sleep(ms / 1000)
    return ms


def waits_unevenly(ms: int):
    import time

    time.sleep(ms / 1000)
    return ms


def counts(n: int):
    return sum(number * number % 7 for number in range(n))


def counts_unevenly(n: int):
    return sum(number * number % 7 for number in range(n))


def sorts(rows: int):
    import numpy as np

    return float(np.sort(np.random.default_rng(rows).random(rows))[rows // 2])


def tables(rows: int):
    import numpy as np
    import pandas as pd

    frame = pd.DataFrame(np.random.default_rng(rows).random((rows, 4)), columns=list("abcd"))
    return frame.groupby((frame.a * 100).astype(int)).sum()


def inverts(size: int):
    import numpy as np

    return float(np.linalg.inv(np.random.default_rng(size).random((size, size)))[0, 0])


def texts(words: int):
    return len({f"{number:x}"[::-1] for number in range(words)})


#: UDF and inputs, each a UDF of its own: past runs of the same code, on other inputs, would be taken for like these.
#: Even and uneven runs; that wait and that compute; few and many.
JOBS: dict[str, tuple[Callable[..., Any], list[int]]] = {
    "40 runs that wait 250 ms": (waits, [250 + n % 3 for n in range(40)]),
    "30 runs that wait 50 to 600 ms": (waits_unevenly, [50 + 19 * n for n in range(30)]),
    "40 runs that count": (counts, [2_000_000 + n for n in range(40)]),
    "24 runs that count, some long": (counts_unevenly, [500_000 * (1 + n % 6) for n in range(24)]),
    "30 sorts": (sorts, [1_500_000 + n for n in range(30)]),
    "30 tables": (tables, [400_000 + n for n in range(30)]),
    "24 inversions": (inverts, [500 + n % 5 for n in range(24)]),
    "40 runs over texts": (texts, [400_000 + n for n in range(40)]),
}


class Outcome(NamedTuple):
    """Of one job: planned and taken seconds, planned and paid dollars."""

    name: str
    planned_s: float
    took_s: float
    planned_usd: float
    paid_usd: float

    @property
    def time_error(self) -> float:
        """How far the plan was from what it took, as a share of that."""
        return abs(self.planned_s / self.took_s - 1)

    @property
    def usd_error(self) -> float:
        """The same of dollars; none where nothing is paid."""
        return abs(self.planned_usd / self.paid_usd - 1) if self.paid_usd else 0.0


def outcomes(max_workers: int | None) -> Iterator[Outcome]:
    """Plan each job and run it, wherever the settings say."""
    for name, (udf, inputs) in JOBS.items():
        planned = fanfold.plan(udf, inputs, max_workers=max_workers, cache=False)
        job = fanfold.submit(udf, inputs, max_workers=max_workers, cache=False, collect=False).wait()
        way = planned.way(planned.asked)
        yield Outcome(
            name, float(way.time_s.expected), float(job.total_time()), float(way.usd.expected), float(job.cost())
        )


def rows_of(where: str, max_workers: int | None) -> Iterator[Row]:
    """A line for each job, and the medians."""
    found = []
    for one in outcomes(max_workers):
        found.append(one)
        paid = f", ${one.paid_usd:.5f}" if one.paid_usd else ""
        planned = f"planned {one.planned_s:.2f} s" + (f", ${one.planned_usd:.5f}" if one.paid_usd else "")
        error = f"{one.time_error:.0%}" + (f", {one.usd_error:.0%}" if one.paid_usd else "")
        yield Row(f"{where}: {one.name}", f"{one.took_s:.2f} s{paid}", planned, error, "", True)
    time_error = statistics.median(one.time_error for one in found)
    yield Row(f"{where}: median error in time", f"{time_error:.0%}", "", "", "< 20%", time_error < 0.2)
    if any(one.paid_usd for one in found):
        usd_error = statistics.median(one.usd_error for one in found)
        yield Row(f"{where}: median error in dollars", f"{usd_error:.0%}", "", "", "< 10%", usd_error < 0.1)


def in_the_local_cloud() -> Iterator[Row]:
    """The same jobs by Lambda and Step Functions as emulated here, two functions at once."""
    from fanfold.engines import base
    from tests.cloud.cloud import LocalCloud

    with tempfile.TemporaryDirectory() as folder, LocalCloud(Path(folder)) as cloud:
        cloud.deploy()
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update(cloud.environment())
        base.engine_for.cache_clear() if hasattr(base.engine_for, "cache_clear") else None
        yield from rows_of("local cloud", 2)


def main() -> int:
    """0 where the medians are within their targets."""
    sys.path.insert(0, str(ROOT / "runtime"))
    os.environ["FANFOLD_HOME"] = tempfile.mkdtemp()
    rows: list[Row] = []
    for part in (rows_of("this machine", None), in_the_local_cloud()):
        for row in part:
            rows.append(row)
            print(row, flush=True)
    RESULTS.write_text(page("What plans said, and what jobs took", "make bench-plan", HOW, rows), encoding="utf-8")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
