"""What a job costs the client in AWS calls and CPU, beside what Lithops' way would; and the handler's own time.

    python -m benchmarks.aws_calls

AWS is moto in a process of its own, so its time is not the client's. The runs' results are written by a third process,
one item a run as functions do, while the client waits.
"""

from __future__ import annotations

import io
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import fanfold
from fanfold.contract import cloud as contract
from fanfold.engines.select import engine_for
from fanfold.stores.aws import AwsStores
from fanfold.stores.aws.account import Account
from fanfold.stores.aws.positions import Reading

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
#: Seconds over which the results come in.
SPREAD_S = 6.0
HEADINGS = "   runs  calls   most  Lithops  polls  submit CPU  follow CPU collect CPU"


def double(n: int) -> int:
    return 2 * n


def main() -> None:
    if sys.argv[1:2] == ["fleet"]:
        fleet(sys.argv[2], sys.argv[3])
        return
    os.environ.update(ENVIRONMENT, FANFOLD_HOME=tempfile.mkdtemp(), FANFOLD_DEPLOYMENT="bench")
    moto = subprocess.Popen(
        [sys.executable, "-m", "tests.aws.moto_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )
    try:
        os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{moto.stdout.readline().strip()}"
        print(handler_overhead())
        print()
        print(HEADINGS)
        prepare_account()
        for count in (100, 1_000, 10_000):
            print(one_job(count))
        print(memory(100_000))
    finally:
        moto.kill()


def prepare_account() -> None:
    from tests.aws.cloud import deploy
    from tests.aws.emulated import make_state_machines

    account = Account()
    make_state_machines(account, deploy(account, "bench"))
    engine: Any = engine_for("aws")
    for service in ("dynamodb", "s3", "stepfunctions"):
        engine._account.client(service)
    import pandas  # noqa: F401 - 0.4 s of CPU that are not ours


def one_job(count: int) -> str:
    """A job from its submit to its frame, as a line of the table."""
    engine: Any = engine_for("aws")
    calls: Counter[str] = Counter()
    rounds = Counter()
    count_calls(engine._account, calls)
    begin = Reading.begin
    Reading.begin = lambda self, *a: (rounds.update(["polls"]), begin(self, *a))[1]  # type: ignore[method-assign]
    try:
        before = time.process_time()
        job = fanfold.submit(double, range(count * 7, count * 8), collect=False)
        submit_s = time.process_time() - before
        results = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.aws_calls", "fleet", job.id, str(SPREAD_S)],
            cwd=ROOT,
            env=dict(os.environ),
        )
        before = time.process_time()
        frame = job.collect()
        follow_s = time.process_time() - before
        polls, total, told = rounds["polls"], sum(calls.values()), calls.most_common()
        results.wait()
    finally:
        Reading.begin = begin  # type: ignore[method-assign]
    before = time.process_time()
    assert len(fanfold.get_job(job.id).collect()) == len(frame) == count
    collect_s = time.process_time() - before
    shards = contract.shards(count)
    most = 10 + count / 40 + count / 100 + (count * 300 / 1e6 + shards) * polls
    lithops = lithops_calls(count, polls)
    print("        ", ", ".join(f"{name.partition(':')[2]} {n}" for name, n in told))
    cpu = " ".join(f"{seconds:>9.2f} s" for seconds in (submit_s, follow_s, collect_s))
    return f"{count:>7,} {total:>6,} {most:>6,.0f} {lithops:>8,} {polls:>6} {cpu}"


def lithops_calls(count: int, polls: int) -> int:
    """Lithops 3.8's documented pattern, for as many polls.

    Function and data are put, each call is invoked by itself, the monitor lists the job's keys (two a call, 1,000 a
    page) at each poll, and each call's status is got.
    """
    return 3 + count + polls * math.ceil(2 * count / 1_000) + count


def count_calls(account: Account, calls: Counter[str]) -> None:
    def count(model: Any, **_: Any) -> None:
        calls[f"{model.service_model.service_name}:{model.name}"] += 1

    for client in account._clients.values():
        client.meta.events.register("before-call", count, unique_id="benchmark")
        client.meta.events.unregister("before-call", unique_id="benchmark")
        client.meta.events.register("before-call", count, unique_id="benchmark")


def fleet(job_id: str, spread_s: str) -> None:
    """Write what functions would: an item a run, at a steady pace."""
    from fanfold.codec import encode
    from tests.stores.samples import an_output, finished

    stores: AwsStores = engine_for("aws").stores  # type: ignore[assignment]
    header = stores.log.get_job(job_id)
    began = time.monotonic()
    for start in range(0, header.count, 100):
        items = []
        for index in range(start, min(start + 100, header.count)):
            output = an_output(encode(2 * index).data)._replace(codec="json/1")
            items += stores.log.items([finished(job_id, index, output=output)])
        stores.table.put_all(items)
        time.sleep(max(0.0, began + float(spread_s) * start / header.count - time.monotonic()))


def memory(count: int) -> str:
    """The client's peak, with a job of that many runs followed to its end; their results written together."""
    from tests.stores.samples import finished

    job = fanfold.submit(double, range(count), collect=False, cache=False)
    log = engine_for("aws").stores.log
    for start in range(0, count, 5_000):
        log.append([finished(job.id, index) for index in range(start, start + 5_000)])
    job.wait()
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return f"{count:>7,} runs followed to the end: {peak_mib:.0f} MiB at the peak"


def handler_overhead(times: int = 300) -> str:
    """What the handler adds to a small UDF, warm, where AWS answers at once."""
    from benchmarks.instant_aws import InstantAccount

    sys.path.insert(0, str(ROOT / "runtime"))
    from fanfold_runtime import realtime, station, telemetry
    from tests.aws.udfs import payload, put_job

    telemetry.logger.setLevel("ERROR")
    folder = Path(tempfile.mkdtemp())
    account = InstantAccount()
    stores = AwsStores(account, table="t", bucket="b", retention_s=86400.0, scratch=folder)
    station.open_stores = lambda *_, **__: stores
    header = put_job(stores, double, range(times))
    environment = realtime.Environment(folder)
    took = []
    with redirect_stdout(io.StringIO()):
        for index in range(times):
            sent = json.loads(json.dumps(payload(stores, header, index)))
            stores.log.heads.forget(header.id)  # as if each came a second after the one before
            account.calls.clear()
            before = time.perf_counter()
            environment.run(sent, Context())
            took.append(1000 * (time.perf_counter() - before))
    environment.close()
    median = sorted(took[10:])[len(took[10:]) // 2]
    return f"handler, warm, AWS at once: {median:.1f} ms a run (most: 5); its calls: {dict(account.calls)}"


class Context:
    memory_limit_in_mb = "4096"

    def get_remaining_time_in_millis(self) -> int:
        return 120_000


if __name__ == "__main__":
    main()
