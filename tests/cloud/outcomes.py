"""What runs come to, as one table for every cloud there is: a UDF, its inputs, and each run's status and error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import fanfold


def squared(x: int):
    return x * x


def odd_only(x: int):
    if x % 2 == 0:
        raise ValueError(f"{x} is even")
    return x


def doubled(text: str):
    return text * 2


def patient(x: int):
    import time

    time.sleep(60 * x)
    return x


def hungry(mib: int):
    import time

    held = bytearray(mib << 20)
    time.sleep(60 if mib > 100 else 0)
    return len(held)


def suicidal(x: int):
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL if x else 0)
    return x


def murderous(x: int):
    """Kills the environment that it runs in."""
    import os
    import signal

    import psutil

    os.kill(psutil.Process(os.getppid()).ppid(), signal.SIGKILL if x else 0)
    return x


class Case(NamedTuple):
    """One line of the table; `ends` holds each run's status, and the name of its error."""

    name: str
    function: Callable[..., Any]
    inputs: list[Any]
    ends: list[tuple[str, str]]
    options: dict[str, Any] = {}  # noqa: RUF012 - never changed
    submits: int = 1
    #: The same where it is not told which signal ended an environment, as ministack does not.
    ends_untold: list[tuple[str, str]] | None = None


DONE = ("succeeded", "")
TABLE = [
    Case("one run, called directly", squared, [3], [DONE]),
    Case("some runs, through Step Functions", squared, [0, 1, 2], [DONE] * 3),
    Case("what was computed before", squared, [0, 1, 2], [("cached", "")] * 3, submits=2),
    Case("large arguments and results", doubled, ["a" * 300_000, "b"], [DONE] * 2),
    Case("an error of the UDF", odd_only, [1, 2, 3], [DONE, ("failed", "ValueError"), DONE]),
    Case("an error of the only run", odd_only, [2], [("failed", "ValueError")]),
    Case("too long", patient, [0, 1], [DONE, ("timed_out", "TimeoutError")], {"timeout_s": 1}),
    Case("too much memory", hungry, [1, 900], [DONE, ("out_of_memory", "MemoryError")], {"memory_mib": 300}),
    Case("a worker that dies", suicidal, [0, 1], [DONE, ("failed", "WorkerDied")], {"max_retry": 0}),
    Case(
        "an environment that is killed",
        murderous,
        [1],
        [("out_of_memory", "MemoryError")],
        {"max_retry": 0},
        ends_untold=[("failed", "WorkerDied")],
    ),
]


def ends_of(case: Case) -> list[tuple[str, str]]:
    """What its runs come to in the cloud that this process uses."""
    udf = fanfold.udf(case.function, **case.options)
    for _ in range(case.submits):
        job = fanfold.submit(udf, case.inputs, collect=False).wait(timeout=120)
    assert job.verify()
    for run, given in zip(job, case.inputs, strict=True):
        if run.error is None:
            assert run.result() == case.function(given)
    return [(run.status.value, _name(job, run.index)) for run in job]


def _name(job: fanfold.Job, index: int) -> str:
    error = job.state.error(index)
    return "" if error is None else error.type
