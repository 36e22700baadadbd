"""Each worker has its share of the cores for the threads of BLAS and OpenMP.

Without it every worker's libraries start a thread for each core of the machine, and most of the time goes into waiting
for each other. loky, dask and ray set the same variables (`worker.job.THREAD_VARIABLES`).
"""

from __future__ import annotations

from fanfold.core.cores import usable_cores
from fanfold.execution.calls import Assignment


def thread_share(assignment: Assignment, size: int) -> int:
    """How many threads a library may start in each worker of a job, in a pool of `size`."""
    if assignment.threads is not None:
        return assignment.threads
    side_by_side = min(size, assignment.max_concurrency or size)
    return max(1, usable_cores() // side_by_side)
