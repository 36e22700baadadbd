"""What a dedicated job's machines did, from samples of the runs on them: all together, in slices of time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from fanfold.models import Event

#: Runs are sampled once a second; a slice that holds less than two samples of each would jump for no reason.
_LEAST_S = 2.0
#: As many slices as are drawn.
_MOST = 240


class Sample(NamedTuple):
    """One look at one run: CPU in percent of a core, MiB, and what its machine had free and has sent since."""

    at: float
    run: int
    cpu_percent: float
    memory_mib: float
    disk_free_mib: float | None = None
    in_mib: float | None = None
    out_mib: float | None = None

    @classmethod
    def of(cls, event: Event) -> Sample:
        """The sample that a usage event tells of."""
        data = event.data
        rest = (data.get(name) for name in ("disk_free_mib", "network_in_mib", "network_out_mib"))
        return cls(
            event.at, event.index, float(data.get("cpu_percent") or 0), float(data.get("memory_mib") or 0), *rest
        )


class Moment(NamedTuple):
    """One slice, at its middle (seconds since the submit): sums over all runs, the least free disk, MiB a second."""

    at_s: float
    cpu_percent: float
    memory_mib: float
    disk_free_mib: float | None
    in_mib_s: float | None
    out_mib_s: float | None


def machine_load(samples: Iterable[Sample], began: float) -> tuple[float, list[Moment]]:
    """How long a slice is, and the load in each that has samples.

    Runs side by side are added up: a machine's load is that of all runs on it. Within a slice a run counts with its
    mean CPU and memory, and only for the part of a long slice that it was there.
    """
    fine: defaultdict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        fine[int((sample.at - began) // _LEAST_S)].append(sample)
    if not fine:
        return _LEAST_S, []
    together = 1 + (max(fine) - min(fine)) // _MOST
    slices: defaultdict[int, list[Moment]] = defaultdict(list)
    for number, found in sorted(fine.items()):
        slices[number // together].append(_moment(found))
    width_s = _LEAST_S * together
    return width_s, [_mean((number + 0.5) * width_s, moments) for number, moments in slices.items()]


def _moment(samples: list[Sample]) -> Moment:
    by_run: defaultdict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_run[sample.run].append(sample)
    runs = by_run.values()
    return Moment(
        0.0,
        sum(sum(one.cpu_percent for one in of_run) / len(of_run) for of_run in runs),
        sum(sum(one.memory_mib for one in of_run) / len(of_run) for of_run in runs),
        _least(one.disk_free_mib for one in samples),
        _per_second(one.in_mib for one in samples),
        _per_second(one.out_mib for one in samples),
    )


def _mean(at_s: float, moments: list[Moment]) -> Moment:
    count = len(moments)
    return Moment(
        at_s,
        sum(one.cpu_percent for one in moments) / count,
        sum(one.memory_mib for one in moments) / count,
        _least(one.disk_free_mib for one in moments),
        _average(one.in_mib_s for one in moments),
        _average(one.out_mib_s for one in moments),
    )


def _least(values: Iterable[float | None]) -> float | None:
    return min((value for value in values if value is not None), default=None)


def _per_second(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / _LEAST_S if known else None


def _average(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
