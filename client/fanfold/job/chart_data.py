"""A job's runs as numbers for charts: bars over time, how many ran at once, how long they took, what they used."""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import NamedTuple

from fanfold.core.fold import JobState
from fanfold.core.models import Event, RunStatus

#: As many bars as a browser draws and moves without effort; more runs than that are put together.
MOST_BARS = 2_000
#: As many runs as have a line of their own, with the time that they waited.
OWN_LINES = 60
_SLICES = 160
_POINTS = 1_500


class RunSpan(NamedTuple):
    """A run from its start to its end, in seconds since the submit."""

    index: int  # type: ignore[assignment]
    start_s: float
    end_s: float
    status: str


class Timeline(NamedTuple):
    """Either `bars`, each (line, start, end, status, run, waited since), or `slices`, each (start, status -> runs).

    A slice tells how many runs of each status were under way in it. Times are seconds since the submit.
    """

    end_s: float
    lines: int
    bars: list[tuple[int, float, float, str, int, float]]
    slices: list[tuple[float, dict[str, float]]]
    slice_s: float


def spans(state: JobState, now: float) -> Iterator[RunSpan]:
    """The runs that have begun; those that still run end now. Runs from the cache took no time and are left out."""
    began, words = state.header.created_at, {status: status.value for status in RunStatus}
    for index, status, start, end in state.bounds(now):
        yield RunSpan(
            index, start - began if start > began else 0.0, end - began if end > began else 0.0, words[status]
        )


def timeline(state: JobState, every: list[RunSpan], window: tuple[float, float] = (0.0, 1.0)) -> Timeline:
    """The runs of `window` (parts of the whole time) as bars, or put together where they are many."""
    end_s = max((span.end_s for span in every), default=0.0)
    first, last = (part * end_s for part in window)
    shown = [span for span in every if span.end_s >= first and span.start_s <= last]
    if len(shown) > MOST_BARS:
        return Timeline(end_s, 0, [], time_slices(shown, first, last), (last - first) / _SLICES)
    if state.header.count <= OWN_LINES:
        own = [(span.index, span.start_s, span.end_s, span.status, span.index, 0.0) for span in shown]
        return Timeline(end_s, state.header.count, own, [], 0.0)
    bars = [(line, span.start_s, span.end_s, span.status, span.index, span.start_s) for line, span in _packed(shown)]
    return Timeline(end_s, 1 + max((bar[0] for bar in bars), default=0), bars, [], 0.0)


def starting_up(state: JobState, up_at: float | None) -> float | None:
    """Seconds from the submit until a dedicated job's first machine was up, at the latest when its first run began.

    None for the realtime path, which has no machine to wait for, and where none is up yet.
    """
    if state.header.instance_type is None:
        return None
    starts = (start for _, _, start, _ in state.bounds(math.inf))
    first = min(filter(None, (up_at, min(starts, default=None))), default=None)
    return None if first is None else max(0.0, first - state.header.created_at)


def waiting(state: JobState, every: list[RunSpan]) -> list[tuple[float, int]]:
    """How many runs had not begun yet, over time: steps, each (seconds since the submit, runs)."""
    starts = sorted(span.start_s for span in every)
    counts = state.counts()
    began = len(starts) + counts[RunStatus.CACHED]
    never = max(0, state.header.count - began)  # those are still waiting, or were cancelled before they began
    left, step = len(starts) + never, max(1, len(starts) // _SLICES)
    steps = [(0.0, left), *((starts[n], left - n - 1) for n in range(step - 1, len(starts), step))]
    return [*steps, (max((span.end_s for span in every), default=0.0), never)]


def _packed(shown: list[RunSpan]) -> Iterator[tuple[int, RunSpan]]:
    """Each span in the lowest line that is free, so that the picture is as high as runs ran side by side."""
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    for span in sorted(shown, key=lambda span: span.start_s):
        while busy and busy[0][0] <= span.start_s:
            heapq.heappush(free, heapq.heappop(busy)[1])
        line = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (span.end_s, line))
        yield line, span


def time_slices(shown: list[RunSpan], first: float, last: float) -> list[tuple[float, dict[str, float]]]:
    """How many runs of each status were under way, on average, in each slice between two moments.

    A run's first and last slice get their part of it; those between are only counted, however many there are.
    """
    width = (last - first) / _SLICES or 1.0
    parts: defaultdict[str, list[float]] = defaultdict(lambda: [0.0] * _SLICES)
    whole: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (_SLICES + 1))
    for _, start_s, end_s, status in shown:
        start, end = start_s if start_s > first else first, end_s if end_s < last else last
        low, high = int((start - first) / width), int((end - first) / width)
        low, high = low if low < _SLICES else _SLICES - 1, high if high < _SLICES else _SLICES - 1
        of_status = parts[status]
        if low == high:
            of_status[low] += end - start
            continue
        of_status[low] += first + (low + 1) * width - start
        of_status[high] += end - (first + high * width)
        whole[status][low + 1] += 1
        whole[status][high] -= 1
    through = {status: list(accumulate(changes)) for status, changes in whole.items()}
    slices = []
    for n in range(_SLICES):
        busy = {
            status: part[n] / width + (through[status][n] if status in through else 0) for status, part in parts.items()
        }
        slices.append((first + n * width, {status: count for status, count in busy.items() if count > 0}))
    return slices


def histogram(durations_s: list[float]) -> list[tuple[float, float, int]]:
    """How many runs took how long: (from, to, runs) in seconds, six steps to each power of ten."""
    floor, log10 = math.floor, math.log10
    counted = Counter([floor(6 * log10(seconds if seconds > 0.001 else 0.001)) for seconds in durations_s])
    return [(10 ** (step / 6), 10 ** ((step + 1) / 6), count) for step, count in sorted(counted.items())]


def durations(state: JobState) -> list[float]:
    """Seconds that each attempt took that was performed."""
    return state.measured_s()


def run_load(state: JobState) -> list[tuple[float, float, float]]:
    """Of each run (end in seconds since the submit, CPU percent, peak MiB); of many runs a part, evenly chosen."""
    began, step = state.header.created_at, max(1, state.header.count // _POINTS)
    points = []
    for index in range(0, state.header.count, step):
        usage, end = state.usage(index), state.finished_at(index)
        if usage is not None and end is not None:
            percent = 100 * usage.cpu_s / usage.duration_s if usage.duration_s > 0.005 else 0.0
            points.append((round(end - began, 3), round(percent, 1), round(usage.peak_memory_mib, 1)))
    return sorted(points)


# What a dedicated job's machines did, from samples of the runs on them: all together, in slices of time.

#: Runs are sampled once a second; a slice that holds less than two samples of each would jump for no reason.
_LEAST_S = 2.0
#: As many slices as are drawn.
_MOST = 240


class LoadSample(NamedTuple):
    """One look at one run: CPU in percent of a core, MiB, and what its machine had free and has sent since."""

    at: float
    run: int
    cpu_percent: float
    memory_mib: float
    disk_free_mib: float | None = None
    in_mib: float | None = None
    out_mib: float | None = None

    @classmethod
    def of(cls, event: Event) -> LoadSample:
        """The sample that a usage event tells of."""
        data = event.data
        rest = (data.get(name) for name in ("disk_free_mib", "network_in_mib", "network_out_mib"))
        return cls(
            event.at, event.index, float(data.get("cpu_percent") or 0), float(data.get("memory_mib") or 0), *rest
        )


class LoadPoint(NamedTuple):
    """One slice, at its middle (seconds since the submit): sums over all runs, the least free disk, MiB a second."""

    at_s: float
    cpu_percent: float
    memory_mib: float
    disk_free_mib: float | None
    in_mib_s: float | None
    out_mib_s: float | None


def machine_load(samples: Iterable[LoadSample], began: float) -> tuple[float, list[LoadPoint]]:
    """How long a slice is, and the load in each that has samples.

    Runs side by side are added up: a machine's load is that of all runs on it. Within a slice a run counts with its
    mean CPU and memory, and only for the part of a long slice that it was there.
    """
    fine: defaultdict[int, list[LoadSample]] = defaultdict(list)
    for sample in samples:
        fine[int((sample.at - began) // _LEAST_S)].append(sample)
    if not fine:
        return _LEAST_S, []
    together = 1 + (max(fine) - min(fine)) // _MOST
    slices: defaultdict[int, list[LoadPoint]] = defaultdict(list)
    for number, found in sorted(fine.items()):
        slices[number // together].append(_moment(found))
    width_s = _LEAST_S * together
    return width_s, [_mean((number + 0.5) * width_s, moments) for number, moments in slices.items()]


def _moment(samples: list[LoadSample]) -> LoadPoint:
    by_run: defaultdict[int, list[LoadSample]] = defaultdict(list)
    for sample in samples:
        by_run[sample.run].append(sample)
    runs = by_run.values()
    return LoadPoint(
        0.0,
        sum(sum(one.cpu_percent for one in of_run) / len(of_run) for of_run in runs),
        sum(sum(one.memory_mib for one in of_run) / len(of_run) for of_run in runs),
        _least(one.disk_free_mib for one in samples),
        _per_second(one.in_mib for one in samples),
        _per_second(one.out_mib for one in samples),
    )


def _mean(at_s: float, moments: list[LoadPoint]) -> LoadPoint:
    count = len(moments)
    return LoadPoint(
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
