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
    if request.instance is not None and described.has_machines:
        raise InputError(
            "hedge=True duplicates realtime runs: the runs of machines are claimed once, by the machine that has room.",
            next_step="leave out hedge=True, or instance_type=; fanfold.step keeps what slow runs on machines do.",
        )
    if request.batch_size > 1 or request.target_s is not None:
        raise InputError(
            "hedge=True and batch_size= exclude each other: a slow run holds up those that come after it in its batch.",
            next_step="leave out one of the two.",
        )
