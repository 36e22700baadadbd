"""How many runs go side by side on each machine where that is to be found out: as many as its memory holds."""

from __future__ import annotations

import os
import sys
from typing import Any

from fanfold.contract.instances import InstanceType, run_memory_mib
from fanfold.contract.layout import NEAR
from fanfold.core.options import Request
from fanfold.core.processes import usable_cores
from fanfold.engines.base import Description, Engine
from fanfold.submission.estimates import Observed
from fanfold.submission.plan import observe_runs


def with_processes(
    udf: Any, inputs: Any, engine: Engine, request: Request, constants: dict[str, Any]
) -> tuple[Any, Request]:
    """The inputs, and the request with as many runs side by side as the measured memory of a run allows.

    Past runs are measured; where there are none, three of the inputs are run alone, and kept in the cache. Raises
    `CaptureError`, `InputError`, and `RunFailed` where each of the three fails.
    """
    if request.instance is None:  # a function performs one run
        return inputs, request._replace(n_processes_per_worker=1)
    inputs = list(inputs) if hasattr(inputs, "__next__") else inputs  # a generator can be read only once
    observed = observe_runs(udf, inputs, engine, request._replace(n_processes_per_worker=1), constants)
    if observed is None:  # all is in the cache
        return inputs, request._replace(n_processes_per_worker=1)
    fitting = most_that_fit(observed, request.instance, engine.describe())
    one, basis = request.instance.name, observed.basis
    sys.stderr.write(
        f"fanfold: {fitting} run{'s' if fitting > 1 else ''} side by side on each {one}: a run took"
        f" {observed.peak_memory_mib:,.0f} MiB at the highest, by {basis}.\n"
    )
    if fitting == 1 and not engine.describe().has_machines:  # one machine at a time, or each core would be one
        request = request._replace(max_workers=request.max_workers or 1)
    return inputs, request._replace(n_processes_per_worker=fitting)


def most_that_fit(observed: Observed, machine: InstanceType, described: Description) -> int:
    """How many such runs a machine holds: no more than it has cores, and each with a little more than it was seen with.

    One alone where a run has run out of memory: how much it needs is not known.
    """
    if observed.out_of_memory:
        return 1
    needs_mib = observed.peak_memory_mib / NEAR
    cores, has_mib = machine.vcpus, float(run_memory_mib(machine))
    if not described.has_machines:  # this machine serves it
        cores, has_mib = min(cores, usable_cores()), min(has_mib, _free_mib())
    return max(1, min(cores, int(has_mib // needs_mib) if needs_mib else cores))


def _free_mib() -> float:
    """MiB of this machine that processes may take without any being moved out."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            kib = next(int(line.split()[1]) for line in file if line.startswith("MemAvailable:"))
        return kib / 1024
    except (OSError, StopIteration):  # not Linux: half of all is a fair guess
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**21
