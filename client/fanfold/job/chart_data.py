"""A job's runs as numbers for charts: bars over time, how many ran at once, how long they took, what they used."""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fanfold.contract.records import NamedTuple
from fanfold.core.columns import CODES, STATUSES
from fanfold.core.fold import JobState
from fanfold.core.formatting import finite
from fanfold.core.models import Event, RunStatus

if TYPE_CHECKING:
    from numpy.typing import NDArray

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


class Spans(NamedTuple):
    """Runs from their start to their end, a column each: their numbers, seconds since the submit, status numbers.

    Columns, because a page draws a job of 100,000 runs again and again while it runs.
    """

    runs: NDArray[np.int64]
    starts_s: NDArray[np.float64]
    ends_s: NDArray[np.float64]
    codes: NDArray[np.uint8]

    @property
    def end_s(self) -> float:
        """When the last of them ended; 0 where there are none."""
        return float(self.ends_s.max(initial=0.0))

    def chosen(self, which: NDArray[Any]) -> Spans:
        """Those for which `which` is true, or whose places it holds."""
        return Spans(*(column[which] for column in self))

    def joined(self, others: Iterable[RunSpan]) -> Spans:
        """Others and these, which are drawn over them where both are of one run at one time."""
        more = list(others)
        if not more:
            return self
        return Spans(
            np.concatenate([[span.index for span in more], self.runs]),
            np.concatenate([[span.start_s for span in more], self.starts_s]),
            np.concatenate([[span.end_s for span in more], self.ends_s]),
            np.concatenate([np.array([CODES[RunStatus(span.status)] for span in more], np.uint8), self.codes]),
        )

    def each(self) -> Iterator[RunSpan]:
        """One by one."""
        columns = (column.tolist() for column in self)
        for run, start_s, end_s, code in zip(*columns, strict=True):
            yield RunSpan(run, start_s, end_s, STATUSES[code].value)


class Timeline(NamedTuple):
    """Either `bars`, each (line, start, end, status, run, waited since), or `slices`, each (start, status -> runs).

    A slice tells how many runs of each status were under way in it. Times are seconds since the submit.
    """

    end_s: float
    lines: int
    bars: list[tuple[int, float, float, str, int, float]]
    slices: list[tuple[float, dict[str, float]]]
    slice_s: float


def spans(state: JobState, now: float) -> Spans:
    """The runs that have begun; those that still run end now. Runs from the cache took no time and are left out."""
    numbers, finished, durations_s = state.ends()
    codes, ends, took = np.frombuffer(numbers, np.uint8), np.array(finished), np.array(durations_s)
    ended = (codes > CODES[RunStatus.RUNNING]) & (codes != CODES[RunStatus.CACHED])
    ended &= ~np.isnan(ends)  # a run that was cancelled before it began has no end
    began = state.header.created_at
    starts_s, ends_s = ends - np.nan_to_num(took) - began, ends - began
    of_all = Spans(np.arange(len(codes)), np.maximum(starts_s, 0.0), np.maximum(ends_s, 0.0), codes)
    running = RunStatus.RUNNING.value
    return of_all.chosen(ended).joined(
        RunSpan(index, max(0.0, start - began), max(0.0, now - began), running) for index, start in state.running()
    )


def timeline(state: JobState, every: Spans, window: tuple[float, float] = (0.0, 1.0)) -> Timeline:
    """The runs of `window` (parts of the whole time) as bars, or put together where they are many."""
    end_s = every.end_s
    first, last = (part * end_s for part in window)
    shown = every.chosen((every.ends_s >= first) & (every.starts_s <= last))
    if len(shown.runs) > MOST_BARS:
        return Timeline(end_s, 0, [], time_slices(shown, first, last), (last - first) / _SLICES)
    if state.header.count <= OWN_LINES:
        own = [(span.index, span.start_s, span.end_s, span.status, span.index, 0.0) for span in shown.each()]
        return Timeline(end_s, state.header.count, own, [], 0.0)
    bars = [(line, span.start_s, span.end_s, span.status, span.index, span.start_s) for line, span in _packed(shown)]
    return Timeline(end_s, 1 + max((bar[0] for bar in bars), default=0), bars, [], 0.0)


def starting_up(state: JobState, up_at: float | None) -> float | None:
    """Seconds from the submit until a dedicated job's first machine was up, at the latest when its first run began.

    None for the realtime path, which has no machine to wait for, and where none is up yet.
    """
    if state.header.instance_type is None:
        return None
    began = spans(state, math.inf).starts_s
    up_s = None if up_at is None else max(0.0, up_at - state.header.created_at)
    return min(filter(None, (up_s, float(began.min()) if len(began) else None)), default=None)


def waiting(state: JobState, every: Spans) -> list[tuple[float, int]]:
    """How many runs had not begun yet, over time: steps, each (seconds since the submit, runs)."""
    starts = np.sort(every.starts_s).tolist()
    counts = state.counts()
    began = len(starts) + counts[RunStatus.CACHED]
    never = max(0, state.header.count - began)  # those are still waiting, or were cancelled before they began
    left, step = len(starts) + never, max(1, len(starts) // _SLICES)
    steps = [(0.0, left), *((starts[n], left - n - 1) for n in range(step - 1, len(starts), step))]
    return [*steps, (every.end_s, never)]


def _packed(shown: Spans) -> Iterator[tuple[int, RunSpan]]:
    """Each span in the lowest line that is free, so that the picture is as high as runs ran side by side."""
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    for span in shown.chosen(np.argsort(shown.starts_s, kind="stable")).each():
        while busy and busy[0][0] <= span.start_s:
            heapq.heappush(free, heapq.heappop(busy)[1])
        line = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (span.end_s, line))
        yield line, span


def time_slices(shown: Spans, first: float, last: float) -> list[tuple[float, dict[str, float]]]:
    """How many runs of each status were under way, on average, in each slice between two moments.

    A run's first and last slice get their part of it; those between are only counted, however many there are.
    """
    width = (last - first) / _SLICES or 1.0
    of_status = {STATUSES[code].value: _busy(shown, int(code), (first, last), width) for code in np.unique(shown.codes)}
    return [
        (first + n * width, {status: busy[n] for status, busy in of_status.items() if busy[n] > 0})
        for n in range(_SLICES)
    ]


def _busy(shown: Spans, code: int, window: tuple[float, float], width: float) -> list[float]:
    """How many runs of one status were under way in each slice."""
    some = shown.codes == code
    starts, ends = (np.clip(column[some], *window) - window[0] for column in (shown.starts_s, shown.ends_s))
    low, high = (np.minimum((column / width).astype(np.int64), _SLICES - 1) for column in (starts, ends))
    within = low == high
    parts = np.bincount(low, np.where(within, ends - starts, (low + 1) * width - starts), _SLICES)
    parts += np.bincount(high, np.where(within, 0.0, ends - high * width), _SLICES)
    changes = np.bincount(low[~within] + 1, minlength=_SLICES + 1) - np.bincount(high[~within], minlength=_SLICES + 1)
    busy: list[float] = (parts / width + np.cumsum(changes)[:_SLICES]).tolist()
    return busy


def histogram(durations_s: list[float]) -> list[tuple[float, float, int]]:
    """How many runs took how long: (from, to, runs) in seconds, six steps to each power of ten."""
    steps = np.floor(6 * np.log10(np.maximum(durations_s, 0.001))).astype(np.int64)
    counted = zip(*(column.tolist() for column in np.unique(steps, return_counts=True)), strict=True)
    return [(10 ** (step / 6), 10 ** ((step + 1) / 6), count) for step, count in counted]


def durations(state: JobState) -> list[float]:
    """Seconds that each attempt took that was performed."""
    return [took_s for took_s in state.measured_s() if math.isfinite(took_s)]


def load_step(state: JobState) -> int:
    """Of so many runs `run_load` takes one."""
    return max(1, state.header.count // _POINTS)


def run_load(state: JobState) -> list[tuple[float, float, float]]:
    """Of each run (end in seconds since the submit, CPU percent, peak MiB); of many runs a part, evenly chosen."""
    began, step = state.header.created_at, load_step(state)
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
    #: The machine's name; empty for one on this machine.
    machine: str = ""

    @classmethod
    def of(cls, event: Event) -> LoadSample:
        """The sample that a usage event tells of."""
        data = event.data
        disk, received, sent = (
            finite(data.get(name)) for name in ("disk_free_mib", "network_in_mib", "network_out_mib")
        )
        cpu_percent, memory_mib = finite(data.get("cpu_percent")) or 0.0, finite(data.get("memory_mib")) or 0.0
        machine = str(data.get("machine") or "")
        return cls(event.at, event.index, cpu_percent, memory_mib, disk, received, sent, machine)


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
