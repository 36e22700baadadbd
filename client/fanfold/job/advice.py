"""What would make the next job of a kind better, only where it really would."""

from __future__ import annotations

from collections.abc import Sequence

from fanfold.amounts import duration
from fanfold.contract.limits import ADVISED_RUN_S, NEAR, REALTIME_MEMORY_MIB, REALTIME_TIMEOUT_S
from fanfold.fold import JobState
from fanfold.job.limits import own_memory_mib, own_timeout_s
from fanfold.models import JobHeader, RunStatus

#: Runs shorter than this are worth putting together: starting one costs some 10 ms.
_SHORT_S = 5.0
_MANY = 100
BEST = f"{ADVISED_RUN_S[0]:.0f} to {ADVISED_RUN_S[1]:.0f} s are best"


def advice(state: JobState, times_s: Sequence[float], peaks_mib: Sequence[float]) -> list[str]:
    """Lines that say what to do, from the seconds and the MiB of the runs that have ended."""
    if not times_s:
        return []
    header, timed_out = state.header, state.counts()[RunStatus.TIMED_OUT]
    about_time = _near_time(header, times_s, timed_out) or _on_length(header, times_s)
    return [line for line in (about_time, _near_memory(header, peaks_mib)) if line]


def _near_time(header: JobHeader, times_s: Sequence[float], timed_out: int) -> str | None:
    own_s, realtime = own_timeout_s(header), header.instance_type is None
    if own_s is None and not realtime:
        return None
    limit_s = REALTIME_TIMEOUT_S if own_s is None else own_s
    near = max(timed_out, sum(duration_s >= NEAR * limit_s for duration_s in times_s))
    if not near:
        return None
    runs = f"{near:,} of {len(times_s):,} runs came within 10% of"
    if own_s is not None:
        return f"{runs} {own_s:g} s, which is timeout_s of @udf, or passed it: {_instead('timeout_s', 'small', header)}"
    return (
        f"{runs} {limit_s:.0f} s or passed it: make the inputs smaller ({BEST}), or ask for"
        ' instance_type="small", which has no limit.'
    )


def _on_length(header: JobHeader, times_s: Sequence[float]) -> str | None:
    if header.instance_type is not None:
        return None
    middle, (low, high) = median(times_s), ADVISED_RUN_S
    if middle < _SHORT_S and len(times_s) >= _MANY:
        together = max(2, min(1000, round(low / max(middle, 0.001))))
        return f"runs took {duration(middle)}; in the cloud {BEST}: put about {together:,} inputs into each."
    if middle > high:
        return f"runs took {duration(middle)}; {BEST}: make the inputs smaller."
    return None


def _near_memory(header: JobHeader, peaks_mib: Sequence[float]) -> str | None:
    own_mib, realtime = own_memory_mib(header), header.instance_type is None
    if own_mib is None and not realtime:
        return None
    limit_mib = REALTIME_MEMORY_MIB if own_mib is None else own_mib
    near = sum(mib >= NEAR * limit_mib for mib in peaks_mib)
    if not near:
        return None
    runs = f"{near:,} of {len(peaks_mib):,} runs came within 10% of {limit_mib:,} MiB"
    if own_mib is not None:
        return f"{runs}, which is memory_mib of @udf, or passed it: {_instead('memory_mib', 'medium', header)}"
    return f'{runs} or passed it: make the inputs smaller, or ask for instance_type="medium", which has 64 GB.'


def _instead(option: str, machine: str, header: JobHeader) -> str:
    """What to do about a limit that the UDF has set itself: no machine would lift it, but `escalate` drops it."""
    if header.instance_type is not None:
        return f"raise {option}, or make the inputs smaller."
    return f'raise {option}, make the inputs smaller, or submit with escalate="{machine}", which drops it.'


def median(times: Sequence[float]) -> float:
    """The middle one of some numbers."""
    ranked, middle = sorted(times), len(times) // 2
    return ranked[middle] if len(ranked) % 2 else (ranked[middle - 1] + ranked[middle]) / 2
