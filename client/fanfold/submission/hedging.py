"""Whether a job's slow runs may have a duplicate."""

from __future__ import annotations

from typing import Any

from fanfold.core.options import Request, check_flags, unwrapped
from fanfold.engines.base import Description
from fanfold.errors import InputError


def check_hedge(hedge: Any, udf: Any, request: Request, described: Description) -> None:
    """Raises `InputError` where a duplicate of a run may do harm, or cannot be started."""
    check_flags(hedge=hedge)
    function, options = unwrapped(udf)
    if not options.idempotent:
        name = options.name or getattr(function, "__name__", "the UDF")
        raise InputError(
            f"hedge=True runs {name} twice on an input where it is slow, and {name} does not say that it may be.",
            next_step="see that what it writes is the same the second time, and say so: @fanfold.udf(idempotent=True).",
        )
    side_by_side = (request.max_workers or 1) * (request.n_processes_per_worker or 2)  # 0: "auto", known later
    if request.instance is not None and described.has_machines and side_by_side < 2:
        raise InputError(
            "hedge=True has no room for a duplicate: the job has one machine, which performs one run at a time.",
            next_step="give it max_workers=2 or more, or n_processes_per_worker=2.",
        )
