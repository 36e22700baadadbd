"""A place of the conformance cases that people use: the engine of this process, whichever it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fanfold
from tests.conftest import LIMIT_S
from tests.contract.conformance import Acts

#: No wait takes longer.
_PATIENCE_S = 60


def obedient(x: int, acts: list[str], folder: str):
    """Does what it is told for this time; a file in the folder tells of each time."""
    import os
    import pathlib
    import signal
    import time

    place = pathlib.Path(folder)
    times = len(list(place.glob(f"{x}-*")))
    act = acts[min(times, len(acts) - 1)]
    (place / f"{x}-{os.urandom(4).hex()}").touch()
    if act == "fails":
        raise ValueError(f"{x} is told to fail")
    if act == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep({"brief": 0.5, "waits": 60, "slow": 0 if times else 60}.get(act, 0))  # no need to be slow again
    return x * x


class EnginePlace:
    """`lose` ends what carries a job's runs out."""

    def __init__(self, folder: Path, eventually: Callable[..., None], lose: Callable[[fanfold.Job], None]) -> None:
        self._folder, self._eventually, self.lose_machines = folder, eventually, lose

    def submit(self, *acts: Acts, on_machine: bool = False, escalate: bool = False, **options: Any) -> fanfold.Job:
        inputs = [{"x": index, "acts": list(some)} for index, some in enumerate(acts)]
        given = {"folder": str(self._folder), **options}
        if escalate:
            udf = fanfold.udf(timeout_s=LIMIT_S)(obedient)
            fanfold.submit(udf, inputs, escalate="medium", **given)
            _, first = fanfold.get_jobs(limit=2)
            return first
        if on_machine:
            given["instance_type"] = "small"
        return fanfold.submit(obedient, inputs, collect=False, **given)

    def wait_until_begun(self, job: fanfold.Job, count: int) -> None:
        self._eventually(lambda: sum(self.often(job)) >= count and job.counts().get("running", 0) >= count)

    def cancel(self, job: fanfold.Job) -> None:
        job.cancel()

    def wait(self, job: fanfold.Job) -> None:
        job.wait(timeout=_PATIENCE_S)

    def ends(self, job: fanfold.Job) -> list[tuple[str, int]]:
        return [(run.status.value, run.attempt) for run in job]

    def values(self, job: fanfold.Job) -> list[int | None]:
        results = job.results(return_exceptions=True)
        return [None if isinstance(result, Exception) else result for result in results]

    def often(self, job: fanfold.Job) -> list[int]:
        return [len(list(self._folder.glob(f"{index}-*"))) for index in range(len(job))]
