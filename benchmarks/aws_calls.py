"""What the AWS side costs: a client's calls, CPU and memory, and the handler's time. `python -m benchmarks.aws_calls`

AWS is moto in a process of its own, so its time is not the client's. The runs' results are written by a third process,
one item a run as functions do, while the client waits. Prints the table and writes it to RESULTS-AWS.md.
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
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import fanfold
from benchmarks.aws_bill import rows as bill_rows
from benchmarks.aws_job import ROOT, Told, double, one_job
from benchmarks.measure import best, middle, rounds
from benchmarks.row import Row, page
from fanfold.contract import cloud as contract
from fanfold.engines.base import engine_for
from fanfold.stores.aws import AwsStores
from fanfold.stores.aws.account import Account

RESULTS = Path(__file__).parent / "RESULTS-AWS.md"
HOW = (
    "AWS is moto in a process of its own, whose time is not\ncounted. Of each job, a third process writes the results"
    " over 6 s, as functions do. CPU is the better of two rounds."
)
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
COUNTS = (100, 1_000, 10_000)


def main() -> int:
    """0 where every target is met."""
    os.environ.update(ENVIRONMENT, FANFOLD_HOME=tempfile.mkdtemp(), FANFOLD_DEPLOYMENT="bench")
    rows: list[Row] = []
    with moto():
        for row in measured():
            rows.append(row)
            print(row, flush=True)
    RESULTS.write_text(page("What was measured on AWS's side", "make bench-aws", HOW, rows), encoding="utf-8")
    return 0 if all(row.met for row in rows) else 1


def measured() -> Iterator[Row]:
    """Every line of the table."""
    yield from cold_imports()
    yield from handler_rows()
    prepare_account()
    yield cold_client()
    yield from of_jobs()
    yield memory(100_000)


@contextmanager
def moto() -> Iterator[None]:
    """This process's AWS is moto, within."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.aws.moto_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )
    try:
        os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{process.stdout.readline().strip()}"  # type: ignore[union-attr]
        yield
    finally:
        process.kill()


def prepare_account() -> None:
    from tests.aws.cloud import deploy
    from tests.aws.emulated import make_state_machines

    account = Account()
    make_state_machines(account, deploy(account, "bench"))
    engine: Any = engine_for("aws")
    engine.describe().concurrency  # noqa: B018 - what an account lets run is asked for once
    for service in ("dynamodb", "s3", "stepfunctions"):
        engine.account.client(service)
    import pandas  # noqa: F401 - 0.4 s of CPU that are not ours


def of_jobs() -> Iterator[Row]:
    """Calls, polls and CPU of jobs of each size."""
    told = {count: one_job(count, first=0) for count in COUNTS}
    yield from (_calls(count, job) for count, job in told.items())
    polls = [job.polls for job in told.values()]
    each = ", ".join(f"{count:,} for {size:,} runs" for count, size in zip(polls, COUNTS, strict=True))
    yield Row("polls while results come in over 6 s", each, "", "", "do not grow with the runs", polls[-1] <= polls[0])
    most = COUNTS[-1]
    both = told[most], one_job(most, first=most)
    for work, seconds in {
        "submit": min(job.submit_s for job in both),
        "collect, while they come in,": min(job.follow_s for job in both),
        "collect, once they are there,": min(job.collect_s for job in both),
    }.items():
        yield Row(f"client CPU to {work} {most:,} small runs", f"{seconds:.2f} s", "", "", "<= 1.5 s", seconds <= 1.5)


def _calls(count: int, job: Told) -> Row:
    """What the client asked of AWS, beside what Lithops would ask, and what it may at most."""
    total, most = sum(job.calls.values()), 10 + count / 40 + count / 100
    most += (count * 300 / 1e6 + contract.shards(count)) * job.polls
    lithops = lithops_calls(count, job.polls)
    return Row(
        f"AWS calls of the client, {count:,} small runs, submit to collected",
        f"{total:,}",
        f"Lithops' way {lithops:,}",
        f"{total / lithops:.2f} x",
        f"<= {most:,.0f} (10 + N/40 + N/100 + (MB + shards) x polls)",
        total <= most,
    )


def lithops_calls(count: int, polls: int) -> int:
    """Lithops 3.8's documented pattern, for as many polls.

    Function and data are put, each call is invoked by itself, the monitor lists the job's keys (two a call, 1,000 a
    page) at each poll, and each call's status is got.
    """
    return 3 + count + polls * math.ceil(2 * count / 1_000) + count


def memory(count: int) -> Row:
    """The client's peak, with a job of that many runs followed to its end; their results written together."""
    from tests.stores.samples import finished

    job = fanfold.submit(double, range(count), collect=False, cache=False)
    log = engine_for("aws").stores.log
    for start in range(0, count, 5_000):
        log.append([finished(job.id, index) for index in range(start, start + 5_000)])
    job.wait()
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    work = f"the client's peak memory, {count:,} runs followed to the end"
    return Row(work, f"{peak_mib:.0f} MiB", "", "", "< 400 MiB", peak_mib < 400)


def cold_imports() -> Iterator[Row]:
    """The handler's import against boto3's, without pandas and with; the interpreter's own start is in neither."""
    path = f"import sys; sys.path.insert(0, {str(ROOT / 'runtime')!r})"
    handler = f"{path}; import fanfold_runtime.realtime; assert 'pandas' not in sys.modules"
    frame = "import pandas; from fanfold.codec import encode; encode(pandas.DataFrame({'x': [1.5] * 9}))"
    commands = {
        "handler": ["-c", handler],
        "boto3": ["-c", "import boto3"],
        "handler, a frame": ["-c", f"{handler}; {frame}"],
        "boto3, pandas": ["-c", "import boto3, pandas"],
        "python": ["-c", "pass"],
    }
    found = rounds(commands, 9)
    took = {name: best(found[name].process_s) - best(found["python"].process_s) for name in commands}
    yield _import_row("cold import of the handler, without pandas", took["handler"], "boto3", took["boto3"], 1.5)
    both = took["boto3, pandas"]
    yield _import_row("the same, and a first frame encoded", took["handler, a frame"], "boto3, pandas", both, 1.3)


def cold_client(times: int = 5) -> Row:
    """A client from its start to the result of one run: its CPU without the calls' own, against importing boto3."""
    program = str(Path(__file__).parent / "programs" / "cloud_one.py")
    ours = min(_one_run(program) for _ in range(times))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(times):
        subprocess.run([sys.executable, "-c", "import boto3"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    peer = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / times
    work = "client CPU, cold: a process that submits one run and has its result, without the calls' own"
    ratio = ours / peer
    return Row(work, f"{ours:.3f} s", f"import boto3 {peer:.3f} s", f"{ratio:.2f} x", "<= 1.3 x", ratio <= 1.3)


def _one_run(program: str) -> float:
    """Seconds of CPU; the run is ended from here as soon as the client has told its job."""
    from fanfold.codec import encode
    from tests.stores.samples import an_output, finished

    output = an_output(encode(2).data)._replace(codec="json/1")
    process = subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    engine_for("aws").stores.log.append([finished(process.stdout.readline().strip(), 0, output=output)])
    said = json.loads(process.stdout.readline())
    process.wait()
    return float(said["cpu_s"]) - float(said["calls_s"])


def _import_row(work: str, ours: float, name: str, peer: float, most: float) -> Row:
    ratio = ours / peer
    return Row(work, f"{ours:.3f} s", f"import {name} {peer:.3f} s", f"{ratio:.2f} x", f"<= {most} x", ratio <= most)


def handler_rows(times: int = 300) -> Iterator[Row]:
    """What the handler adds to a small UDF, warm, where AWS answers at once; and what that leaves in the table."""
    from benchmarks.instant_aws import InstantAccount

    sys.path.insert(0, str(ROOT / "runtime"))
    from fanfold_runtime import realtime, telemetry
    from tests.aws.udfs import payload, put_job

    telemetry.logger.setLevel("ERROR")
    folder = Path(tempfile.mkdtemp())
    account = InstantAccount()
    stores = AwsStores(account, table="t", bucket="b", retention_s=86400.0, scratch=folder)
    realtime.open_stores = lambda *_, **__: stores  # type: ignore[attr-defined]
    header = put_job(stores, double, range(times))
    environment = realtime.Environment(folder)
    took = []
    with redirect_stdout(io.StringIO()):
        for index in range(times):
            sent = json.loads(json.dumps(payload(stores, header, index)))
            stores.log.job_headers.forget(header.id)  # as if each came a second after the one before
            account.calls.clear()
            account.asked.clear()
            before = time.perf_counter()
            environment.run(sent, Context())
            took.append(1000 * (time.perf_counter() - before))
    environment.close()
    median = min(middle(took[start : start + times // 6]) for start in range(0, times, times // 6))
    calls = ", ".join(f"{count} {name}" for name, count in account.calls.items())
    work = f"the handler, warm, beyond the UDF, AWS at once ({calls})"
    yield Row(work, f"{median:.1f} ms", "", "", "<= 5 ms", median <= 5)
    yield from bill_rows(account.asked)


class Context:
    memory_limit_in_mb = "4096"
    aws_request_id = "of-a-benchmark"

    def get_remaining_time_in_millis(self) -> int:
        return 120_000


if __name__ == "__main__":
    sys.exit(main())
