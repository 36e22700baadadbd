"""Whether a failed attempt is followed by another."""

from __future__ import annotations

from collections.abc import Iterator

from fanfold.core.models import JobHeader, RunError, RunStatus

#: What `retry_on` may call a status besides the error's own names. A limit ends a run from outside, which raises
#: nothing itself; every error of the user's own is an Exception, whatever bases are recorded; a lost run raised none.
_RAISED_AS = {
    RunStatus.FAILED: ("Exception", "BaseException"),
    RunStatus.TIMED_OUT: ("TimeoutError",),
    RunStatus.OUT_OF_MEMORY: ("MemoryError",),
}


def should_retry(
    header: JobHeader, status: RunStatus, error: RunError | None, attempt: int, first_attempt: int = 0
) -> bool:
    """Whether the run is to be tried again after `attempt` ended with `status`.

    One whose surroundings failed (`error.infrastructure`: a killed worker, a lost machine) is, within
    `header.max_retry` attempts after `first_attempt`; what the UDF did itself (an error, its time, its memory) only
    where `header.retry_on` names it; a cancelled run never.
    """
    if status.good or not status.final or status is RunStatus.CANCELLED:
        return False
    if attempt - first_attempt >= header.max_retry:
        return False
    if status in (RunStatus.FAILED, RunStatus.LOST) and error is not None and error.infrastructure:
        return True
    return bool(header.retry_on) and not set(header.retry_on).isdisjoint(_names(status, error))


def _names(status: RunStatus, error: RunError | None) -> Iterator[str]:
    """Every name that the error goes by, also in packages that pass a class on: `requests.Timeout`."""
    yield from _RAISED_AS.get(status, ())
    if error is not None:
        for full in (error.type, *error.types):
            *modules, name = full.split(".")
            yield from (".".join([*modules[:depth], name]) for depth in range(len(modules) + 1))
