"""What a job may cost beyond its budget: what is under way when that is reached, and how late it is noticed."""

from __future__ import annotations

import sys

from fanfold.contract.layout import REALTIME_TIMEOUT_S
from fanfold.core.formatting import Dollars
from fanfold.core.models import JobHeader
from fanfold.core.pricing import machine_cost, prices, realtime_cost
from fanfold.engines.base import Description

#: A machine counts its time so often at least, and hears so soon of the end.
_MACHINE_NOTICES_S = 15.0


def most_beyond_budget(header: JobHeader, described: Description) -> Dollars:
    """Dollars that come on top of the budget at most."""
    runs_at_once = header.max_workers or described.concurrency if header.instance_type is None else 0
    if runs_at_once:
        several = min(header.count, runs_at_once)
        limit_s = (header.timeout_s or REALTIME_TIMEOUT_S) * header.batch_size
        return realtime_cost(several * limit_s, several, prices(), arm64=header.architecture == "arm64")
    machines = -(-header.count // header.n_processes_per_worker)
    return machine_cost(header.usd_per_hour or 0.0, min(machines, header.max_workers or machines) * _MACHINE_NOTICES_S)


def say_bound(header: JobHeader, described: Description) -> None:
    """Say on stderr what the budget is, and what may come on top of it."""
    sys.stderr.write(
        f"fanfold: no more runs begin when {Dollars(header.budget_usd)} are spent; what is under way by then adds"
        f" {most_beyond_budget(header, described)} at most.\n"
    )
