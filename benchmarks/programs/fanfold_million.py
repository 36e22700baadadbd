"""A million inputs from a generator: submitted, run, waited for."""

import time

began = time.perf_counter()
import fanfold  # noqa: E402


def noop(x):
    return x


job = fanfold.submit(noop, (number for number in range(1_000_000)), collect=False, cache=False)
submitted_s = time.perf_counter() - began
job.wait()
took_s = time.perf_counter() - began
assert job.status == "Completed"
assert len(job) == 1_000_000

from _told import tell  # noqa: E402

tell(took_s)
