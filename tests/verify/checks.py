"""What AWS does that Fanfold relies on, looked at by running it: each check says in words what it has seen."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import fanfold
from fanfold.core.models import EventKind, RunRef, StageRecord, records
from fanfold.engines.aws.dispatch import run_items
from fanfold.engines.base import engine_for
from fanfold.errors import FanfoldError, RunFailed, WaitTimeout
from fanfold.stores.aws.account import Refused


class AwsCheck(NamedTuple):
    """A row of the table: what is looked at, how, and whether an emulator can say anything about it."""

    what: str
    look: Callable[[], str]
    everywhere: bool = True


@fanfold.udf
def double(x: int):
    return 2 * x


@fanfold.udf
def sleeps(x: int, seconds: float = 600.0):
    import time

    time.sleep(seconds)


@fanfold.udf
def naps(x: int):
    import time

    time.sleep(0.2)


@fanfold.udf
def dies(x: int):
    import os
    import signal

    import psutil

    os.kill(psutil.Process().parents()[1].pid, signal.SIGKILL)  # its parent is the fork server of what runs it


@fanfold.udf
def freezes(x: int):
    import os
    import signal
    import time

    import psutil

    os.kill(psutil.Process().parents()[1].pid, signal.SIGSTOP)  # so that it is Lambda that speaks, and not Fanfold
    time.sleep(600)


@fanfold.udf
def eats(x: int):
    import numpy as np

    return sum(np.ones(1 << 27).nbytes for _ in [[np.ones(1 << 27) for _ in range(64)]])


@fanfold.udf
def pools(x: int):
    from multiprocessing import Pool

    with Pool(2) as pool:
        return pool.map(abs, [x])


@fanfold.udf
def shares(x: int):
    import os

    facts = os.statvfs("/dev/shm")
    return facts.f_blocks * facts.f_frsize >> 20


@fanfold.udf
def reads_a_bucket(x: int):
    import boto3

    return len(boto3.client("s3").list_objects_v2(Bucket="landsat-pds")["Contents"])


@fanfold.udf
def asks_the_host(x: int):
    import urllib.request

    return urllib.request.urlopen("http://169.254.169.254/latest/meta-data/", timeout=3).status


def _submit(udf: Any, inputs: Any, **more: Any) -> Any:
    return fanfold.submit(udf, inputs, engine="aws", collect=False, cache=False, **{"max_retry": 0, **more})


def _seconds(act: Callable[[], Any]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def _first_error(job: Any) -> str:
    with suppress(WaitTimeout):
        job.wait(timeout=900)
    error = next(iter(job.errors().values()), None)
    return f"{job.counts()}: {'no error' if error is None else str(error).splitlines()[0]}"


def _need(good: bool, seen: str) -> str:
    if not good:
        raise AssertionError(seen)
    return seen


def _one_call() -> str:
    cold = _seconds(lambda: fanfold.run(double, x=1, engine="aws", cache=False))
    warm = _seconds(lambda: fanfold.run(double, x=2, engine="aws", cache=False))
    return f"first call {cold:.1f} s, second {warm:.2f} s"


def _express() -> str:
    job = _submit(double, range(45))
    took = _seconds(lambda: job.wait(timeout=300))
    return _need(job.results() == [2 * x for x in range(45)], f"45 runs in {took:.1f} s")


def _distributed() -> str:
    job = _submit(double, range(60), max_workers=20)
    took = _seconds(lambda: job.wait(timeout=600))
    return _need(job.counts() == {"succeeded": 60}, f"60 runs, 20 at once, in {took:.1f} s: {job.counts()}")


def _children_a_second() -> str:
    job = _submit(double, range(5_000))
    took = _seconds(lambda: job.wait(timeout=900))
    return f"5,000 runs in {took:.0f} s: {5_000 / took:.0f} a second, the Map Run's end included"


def _widens() -> str:
    """A ramp whose second stage may have three children of 40 runs, two of them at once, and begins with one."""
    job = _submit(naps, range(122), ramp=(2,), max_workers=6, batch_size=20).wait(timeout=600)
    told = records(job.state.job_events(EventKind.STAGE), StageRecord)
    width = next((one for one in told if one.name != "ramp"), None)
    _need(width is not None, "the stage began as wide as it may be: this caller may not widen Map Runs")
    account, machine = engine_for("aws").account, engine_for("aws").context.descriptor["state_machines"]["distributed"]
    execution = f"{machine.replace(':stateMachine:', ':execution:')}:{job.id}-{width.name}"
    listed = account.call("stepfunctions", "list_map_runs", on=execution, executionArn=execution)["mapRuns"]
    refused = ""
    try:
        change = {"mapRunArn": listed[0]["mapRunArn"], "maxConcurrency": 3}
        account.call("stepfunctions", "update_map_run", on=execution, expected=("ResourceNotFound",), **change)
    except (Refused, FanfoldError) as error:
        refused = str(error)
    said = (
        f"{len(listed)} Map Run, {width.children} of {width.most} children at last; a change after its end: {refused}"
    )
    return _need((len(listed), width.children, job.counts()) == (1, 3, {"succeeded": 122}), said)


def _token_twice() -> str:
    """Call the function again with the token of a call that it has answered."""
    engine = engine_for("aws")
    job = _submit(double, [7]).wait(timeout=120)
    context, runs = engine.context, [RunRef(0)]
    [item] = run_items(job.header, runs, objects=engine.stores.objects, functions=context.functions(job.header))
    payload = {"job": context.job(job.header), "run": item, "token": f"{job.id}/0/0"}
    called = {"FunctionName": item["function"], "Payload": json.dumps(payload).encode()}
    answer = engine.account.call("lambda", "invoke", on="the function", **called)
    told = json.loads(answer["Payload"].read())
    return _need(told == {"status": []}, f"the second call with a token performed {told['status'] or 'nothing'}")


def _killed() -> str:
    return _first_error(_submit(dies, [1]))


def _time_limit() -> str:
    return _first_error(_submit(freezes, range(2), max_retry=0))


def _no_shared_memory() -> str:
    said = _first_error(_submit(pools, [1]))
    return _need("/dev/shm" in said or "succeeded" in said, said)


def _refused_bucket() -> str:
    return _first_error(_submit(reads_a_bucket, [1]))


def _machine() -> str:
    job = _submit(shares, [1], instance_type="small")
    took = _seconds(lambda: job.wait(timeout=1_200))
    told = f"a machine's run ended after {took:.0f} s; /dev/shm has {job.results()} MiB"
    return _need(job.counts() == {"succeeded": 1}, told)


def _killed_machine() -> str:
    return _first_error(_submit(dies, [1], instance_type="small"))


def _cancelled_machine() -> str:
    job = _submit(sleeps, [1], instance_type="small")
    began = time.monotonic()
    while not job.running() and time.monotonic() - began < 900:
        time.sleep(1)
    took = _seconds(job.cancel)
    job.wait(timeout=300)
    return _need(str(job.status) == "Cancelled", f"cancelled in {took:.1f} s: {job.counts()}, {job.cost().describe()}")


def _host_hidden() -> str:
    said = _first_error(_submit(asks_the_host, [1], instance_type="small"))
    return _need("succeeded" not in said, said)


def _once_only() -> str:
    objects = engine_for("aws").stores.objects
    key = f"jobs/verify-{time.time_ns()}/once"
    first, second = objects.put_if_absent(key, b"a"), objects.put_if_absent(key, b"b")
    return _need((first, second) == (True, False), f"first kept: {first}, second kept: {second}")


def _clock() -> str:
    ahead_s = engine_for("aws").stores.account.clock.ahead_s
    return f"this machine's clock is {ahead_s:.0f} s ahead" if ahead_s else "this machine's clock is right"


def _doctor() -> str:
    checks = fanfold.doctor(show=False).checks
    wrong = [f"{check.what}: {check.found}" for check in checks if check.verdict != "ok"]
    return "; ".join(wrong) or f"{len(checks)} checks, all well"


def _cost() -> str:
    job = _submit(double, range(3)).wait(timeout=120)
    return _need(job.cost() > 0, job.cost().describe())


CHECKS = (
    AwsCheck("doctor", _doctor),
    AwsCheck("cold start, warm call", _one_call),
    AwsCheck("Express: 45 runs", _express),
    AwsCheck("Distributed Map: 60 runs, 20 at once", _distributed),
    AwsCheck("Distributed Map: children a second", _children_a_second, everywhere=False),
    AwsCheck("a Map Run widens while it goes on", _widens),
    AwsCheck("a call is performed once", _token_twice),
    AwsCheck("name of a killed environment", _killed),
    AwsCheck("name of a run at its time limit", _time_limit),
    AwsCheck("name of a run out of memory", lambda: _first_error(_submit(eats, [1])), everywhere=False),
    AwsCheck("no /dev/shm in Lambda", _no_shared_memory),
    AwsCheck("a bucket that is not allowed", _refused_bucket),
    AwsCheck("a machine, and its shared memory", _machine),
    AwsCheck("why a machine died", _killed_machine),
    AwsCheck("TerminateJob by tag, and what was paid", _cancelled_machine),
    AwsCheck("a machine's host is hidden (iptables)", _host_hidden, everywhere=False),
    AwsCheck("S3 keeps the first of two conditional writes", _once_only),
    AwsCheck("the Date header", _clock),
    AwsCheck("cost of three runs", _cost),
)


def seen(check: AwsCheck) -> tuple[str, str]:
    """Whether a check has come true, and what it has seen."""
    try:
        return "yes", check.look()
    except AssertionError as error:
        return "NO", str(error)
    except (FanfoldError, RunFailed) as error:
        return "NO", f"{type(error).__name__}: {str(error).splitlines()[0]}"
