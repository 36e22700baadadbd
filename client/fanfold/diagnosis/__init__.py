"""`doctor`: what stands in the way of running here or in the cloud, and what to do about it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from fanfold.diagnosis import machine as here
from fanfold.diagnosis.checks import Check, Diagnosis
from fanfold.errors import FanfoldError
from fanfold.settings import current

__all__ = ["Check", "Diagnosis", "doctor"]


def doctor(*, show: bool = True) -> Diagnosis:
    """Look at this machine, and ask AWS about the deployment where the settings name one.

    Here: Python, cores, memory, disk, the store, whether a worker starts, optional packages. There: whether the
    deployment is found, its function and machines are in order, and how many runs and vCPUs the account allows at once.
    Prints a table of what is well, what may trouble and what fails, with the next step; `show=False` only returns it.
    """
    found = Diagnosis(tuple(_checks()))
    if show:
        sys.stdout.write(f"{found}\n")
    return found


def _checks() -> Iterator[Check]:
    yield from here.machine()
    try:
        settings = current()
    except FanfoldError as error:
        yield Check("settings", "fail", error.message, error.next_step)
        return
    yield from here.fanfold(settings)
    if settings.deployment is not None:
        from fanfold.diagnosis import deployment as cloud

        yield from cloud.deployment(settings)
