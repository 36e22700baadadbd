"""The launch paths of AWS, one file each, and which of them suits a job's runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fanfold.contract.cloud import DEDICATED, DISTRIBUTED, EXPRESS
from fanfold.core.models import JobHeader, RunRef
from fanfold.engines.aws.dispatch import DIRECT, Dispatch, make_dispatch
from fanfold.engines.aws.paths.base import LaunchContext, LaunchPath
from fanfold.engines.aws.paths.dedicated import DedicatedPath
from fanfold.engines.aws.paths.direct import DirectPath
from fanfold.engines.aws.paths.distributed import DistributedPath
from fanfold.engines.aws.paths.executions import Executions
from fanfold.engines.aws.paths.express import ExpressPath

__all__ = ["LaunchContext", "LaunchPath", "choose_path", "new_dispatch", "open_paths"]

#: Up to here one client starts executions of 40 by itself, if so many may run at once; more are a Distributed Map's,
#: which starts no more than may run.
_EXPRESS_RUNS = 1_000
#: No account has less.
_ALWAYS_AT_ONCE = 10


def open_paths(context: LaunchContext) -> Mapping[str, LaunchPath]:
    """Every launch path of a deployment, by its name."""
    executions = Executions(context)
    return {
        DIRECT: DirectPath(context),
        EXPRESS: ExpressPath(context, executions),
        DISTRIBUTED: DistributedPath(context, executions),
        DEDICATED: DedicatedPath(context, executions),
    }


def choose_path(header: JobHeader, runs: Sequence[RunRef], at_once: Callable[[], int], *, may_call: bool = True) -> str:
    """The path that suits these runs of a job best; `at_once` tells how many may run side by side.

    `may_call`: whether this process lasts for as long as a run that it calls itself.
    """
    if header.instance_type is not None:
        return DEDICATED
    if header.max_workers is not None:
        return DISTRIBUTED  # the one path that can be told how much to run side by side
    if len(runs) == 1 and may_call:
        return DIRECT
    if header.rate:
        return DISTRIBUTED
    if len(runs) <= _ALWAYS_AT_ONCE:
        return EXPRESS
    return EXPRESS if len(runs) <= min(_EXPRESS_RUNS, at_once()) else DISTRIBUTED


def new_dispatch(
    header: JobHeader, runs: Sequence[RunRef], at_once: Callable[[], int], *, may_call: bool = True
) -> Dispatch:
    """The dispatch of these runs by the path that suits them, as `choose_path` chooses it."""
    return make_dispatch(choose_path(header, runs, at_once, may_call=may_call), runs)
