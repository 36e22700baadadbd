"""One job on AWS from its submit to its frame, and what that takes: as a program, what ends its runs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import fanfold
from fanfold.engines.base import engine_for
from fanfold.stores.aws import AwsStores
from fanfold.stores.aws.shard_cursors import Reading

ROOT = Path(__file__).resolve().parents[1]
#: Seconds over which the results come in.
SPREAD_S = 6.0


class Told(NamedTuple):
    """What one job took: calls, polls, and seconds of CPU to submit, to collect while it runs, to collect again."""

    calls: Counter[str]
    polls: int
    submit_s: float
    follow_s: float
    collect_s: float


def double(n: int) -> int:
    return 2 * n


def one_job(count: int, *, first: int) -> Told:
    """A job from its submit to its frame."""
    engine: Any = engine_for("aws")
    from tests.aws.calls import counted

    with counted(engine.account) as calls, polls_counted() as polls:
        before = time.process_time()
        job = fanfold.submit(double, range(count + first, 2 * count + first), collect=False)
        submit_s = time.process_time() - before
        command = [sys.executable, "-m", "benchmarks.aws_job", job.id, str(SPREAD_S)]
        results = subprocess.Popen(command, cwd=ROOT, env=dict(os.environ))
        before = time.process_time()
        frame = job.collect()
        follow_s = time.process_time() - before
        results.wait()
    before = time.process_time()
    assert len(fanfold.get_job(job.id).collect()) == len(frame) == count
    return Told(calls, polls["polls"], submit_s, follow_s, time.process_time() - before)


@contextmanager
def polls_counted() -> Iterator[Counter[str]]:
    """Rounds of reading that are begun, within."""
    begin, found = Reading.begin, Counter[str]()

    def counting(self: Reading, *given: Any) -> None:
        found["polls"] += 1
        begin(self, *given)

    Reading.begin = counting  # type: ignore[method-assign, assignment]
    try:
        yield found
    finally:
        Reading.begin = begin  # type: ignore[method-assign]


def fleet(job_id: str, spread_s: str) -> None:
    """Write what functions would: an item a run, evenly over so many seconds however many runs there are."""
    from fanfold.codec import encode
    from tests.stores.samples import an_output, finished

    stores: AwsStores = engine_for("aws").stores  # type: ignore[assignment]
    header = stores.log.get_job(job_id)
    began, start = time.monotonic(), 0
    while start < header.count:
        due = min(header.count, 1 + int(header.count * (time.monotonic() - began) / float(spread_s)))
        items: list[dict[str, Any]] = []
        for index in range(start, due):
            output = an_output(encode(2 * index).data)._replace(codec="json/1")
            items += stores.log.items([finished(job_id, index, output=output)])
        stores.table.put_all(items)
        start = due
        time.sleep(0.05)


if __name__ == "__main__":
    fleet(*sys.argv[1:])
