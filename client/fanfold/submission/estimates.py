"""A plan: what a submit would take, as a table for people and as numbers for programs."""

from __future__ import annotations

import heapq
import math
import statistics
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fanfold.contract.instances import LIST_PRICES, InstanceType, Prices, run_memory_mib
from fanfold.contract.layout import NEAR, REALTIME_MEMORY_MIB, REALTIME_TIMEOUT_S
from fanfold.contract.records import NamedTuple
from fanfold.core.formatting import Dollars, Seconds, about_dollars, about_seconds, as_html
from fanfold.core.pricing import machine_cost, realtime_cost
from fanfold.submission.limits import (
    LOCAL_START,
    Start,
    between_runs_s,
    machine_start,
    machines_apart_s,
    makespan_s,
    mean_cold_s,
    realtime_floor_s,
    realtime_start,
)

#: As wide as a plan gets.
_COLUMNS = 80


@dataclass(frozen=True, repr=False)
class Plan:
    """What a submit would take, by each way to run it. Times are seconds, memory is MiB."""

    udf: str
    count: int
    ways: tuple[Way, ...]
    #: The way that `submit` takes with the same arguments, and the one that seems best, with the reason.
    asked: str
    recommended: str
    reason: str
    #: What one run takes, and where that is from; None where nothing is known, nor left to run.
    observed: Observed | None = None
    #: Of when and where the prices are, such as "2026-10 in us-east-1".
    prices: str = ""
    #: Seconds that each cold worker is likely to take for the packages that the UDF brings along; they are counted.
    packages_s: float = 0.0

    def way(self, name: str) -> Way:
        """One way by its name: "local", "realtime", or an instance type."""
        return next(way for way in self.ways if way.name == name)

    @property
    def cached(self) -> int:
        """How many inputs `submit` would answer from the cache."""
        return self.way(self.asked).cached

    @property
    def to_run(self) -> int:
        """How many inputs `submit` would run."""
        return self.way(self.asked).to_run

    @property
    def time_s(self) -> Span:
        """How long `submit` would take."""
        return self.way(self.asked).time_s

    @property
    def usd(self) -> Span:
        """What `submit` would cost."""
        return self.way(self.asked).usd

    def rows(self) -> list[tuple[str, ...]]:
        """The table's cells, its head first."""
        head = ("way", "cached", "to run", "time", "dollars", "")
        return [head, *(self._row(way) for way in self.ways)]

    def _row(self, way: Way) -> tuple[str, ...]:
        note = way.obstacle or ", ".join(
            note
            for note, holds in (("recommended", way.name == self.recommended), ("as asked", way.name == self.asked))
            if holds
        )
        name, to_run, time, usd = self._line(way)
        return name, f"{way.cached:,}", to_run, time, usd, note

    def __str__(self) -> str:
        rows = [("way", "to run", "time", "dollars"), *(self._line(way) for way in self.ways)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [self._title()]
        for name, to_run, time, usd in rows:
            mark = "*" if name == self.recommended else " "
            cells = (name.ljust(widths[0]), to_run.rjust(widths[1]), time.ljust(widths[2]), usd)
            lines.append(f"{mark} {'  '.join(cells)}".rstrip())
        return "\n".join([*lines, *(line for note in self._notes() for line in _wrap(note))])

    __repr__ = __str__

    def _title(self) -> str:
        known = {way.cached for way in self.ways}
        cached = f", {known.pop():,} of them cached" if len(known) == 1 and known != {0} else ""
        return f"{self.udf} over {self.count:,} inputs{cached}"

    def _line(self, way: Way) -> tuple[str, ...]:
        return way.name, f"{way.to_run:,}", way.time_s.about(about_seconds), way.usd.about(about_dollars)

    def _notes(self) -> Iterator[str]:
        """What is said below the table."""
        yield f"* {self.recommended}: {self.reason}"
        if self.asked != self.recommended:
            yield f"  asked for: {self.asked}"
        yield from (f"  {way.name}: {way.obstacle}" for way in self.ways if way.obstacle)
        yield from (f"  {line}" for line in self._below())

    def _below(self) -> Iterator[str]:
        yield self._per_run()
        if self.packages_s:
            usd = self.way(self.asked).packages_usd
            paid = f", {about_dollars(usd)} of the dollars" if usd else ""
            yield f"its packages take each cold worker some {Seconds(self.packages_s)} more{paid}"
        if self.prices:
            yield f"(from the least to the most); prices of {self.prices}"

    def _repr_html_(self) -> str:
        cell = "<{0} style='text-align:left'>{1}</{0}>".format
        rows = (
            "<tr>" + "".join(cell("td" if number else "th", as_html(text)) for text in row) + "</tr>"
            for number, row in enumerate(self.rows())
        )
        title, end = f"{as_html(self.udf)}</b> over {self.count:,} inputs", f"{self.recommended}: {self.reason}"
        below = "".join(f"<div>{as_html(line)}</div>" for line in (end, *self._below()))
        return f"<div><b>{title}<table>{''.join(rows)}</table>{below}</div>"

    def _per_run(self) -> str:
        if self.observed is None:
            return "what a run takes is not known"
        mean = self.observed.mean_s().each(Seconds)
        peak = f"{self.observed.peak_memory_mib:,.0f} MiB at the highest"
        first = self.observed.warm_up_s
        more = f", {Seconds(first)} more where it is the first in a worker" if first else ""
        return f"a run takes {mean}{more}, {peak}: from {self.observed.basis}"


def _wrap(note: str) -> list[str]:
    """A note in as many lines as 80 columns need, the later ones set in."""
    return textwrap.wrap(note, _COLUMNS, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


# What runs would take, from what such runs have taken: pure arithmetic, with its uncertainty.


@dataclass(frozen=True, slots=True)
class Span:
    """From the least to the most that is to be expected, and what is likeliest."""

    low: float
    expected: float
    high: float

    def each(self, change: Callable[[float], float]) -> Span:
        """The span of what `change`, which must rise, makes of each end."""
        return Span(change(self.low), change(self.expected), change(self.high))

    def about(self, told: Callable[[float], str]) -> str:
        """What is likeliest, and in brackets the least and the most where they differ, each as `told` says it."""
        low, expected, high = told(self.low), told(self.expected), told(self.high)
        if low == high:
            return expected
        unit = high.rpartition(" ")[2] if " " in high else ""
        return f"{expected} ({low.removesuffix(f' {unit}') if unit else low}-{high.removeprefix('$')})"

    def __str__(self) -> str:
        low, high = str(self.low), str(self.high)
        return low if low == high else f"{low} to {high}"


@dataclass(frozen=True, slots=True)
class Observed:
    """What runs of a UDF have taken: seconds each, MiB at the highest, and how many met a limit."""

    durations_s: tuple[float, ...]
    peak_memory_mib: float
    timed_out: int = 0
    out_of_memory: int = 0
    #: Where this is from, such as "a sample of 3 runs".
    basis: str = ""
    #: Seconds from past jobs' submits to their first runs, by the name of the way.
    starts_s: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    #: What speaks against running the rest as it is: a sample's failures, and where they are told.
    against: str = ""
    #: Seconds more of the first run in each worker, for its imports and what it loads; not in `durations_s`.
    warm_up_s: float = 0.0
    #: How many workers a sample has just left warm.
    warm: int = 0
    #: Seconds in a worker from a run's end to the next one's begin, by the name of the way.
    between_s: Mapping[str, float] = field(default_factory=dict)

    @property
    def longest_s(self) -> float:
        """The longest of all, were it the first in its worker."""
        return max(self.durations_s) + self.warm_up_s

    def cold(self, at_once: int) -> int:
        """How many of so many workers are to be warmed up."""
        return max(0, at_once - self.warm)

    def start(self, way: str, at_once: int, model: Start) -> Start:
        """How long a job of this way takes to begin: as past jobs of it did, within and else by the model.

        After a sample in two jobs the earlier was a cold start, and the later a warm one; after one in a single job, no
        warm one was seen, which is as quick as the model's quickest.
        """
        seen = self.starts_s.get(way)
        if not seen:
            return model
        likely_s = statistics.median(seen)
        if self.warm:
            warm_s = seen[0] if len(seen) > 1 else min(seen[0], model.low)
            likely_s = seen[-1] if self.cold(at_once) else warm_s
        return Start(min(*seen, model.low), likely_s, max(*seen, model.high))

    def mean_s(self) -> Span:
        """What a run takes on average: the mean give or take its error, wider the fewer runs are known."""
        mean, count = statistics.fmean(self.durations_s), len(self.durations_s)
        if count == 1:
            return Span(mean / 2, mean, mean * 2)
        # Student's t for 95% falls from 12.7 at two values to 2: this stays above it from three on.
        factor = 2 + 7 / (count - 1)
        error = factor * statistics.stdev(self.durations_s) / math.sqrt(count)
        return Span(max(mean - error, min(self.durations_s)), mean, mean + error)


class Seen(NamedTuple):
    """A past job: when it was submitted, how many runs it had side by side, and (end, seconds) of each."""

    created_at: float
    places: int
    runs: list[tuple[float, float]]


#: Workers are warm for a job that is submitted within so many seconds after another of the same code.
_STAYS_WARM_S = 60.0


def between(job: Seen) -> list[float]:
    """Seconds from a run's end to the begin of the next one in its place, as far as there was a next one."""
    runs = sorted((ended_at - duration_s, ended_at) for ended_at, duration_s in job.runs)
    ends = [ended_at for _, ended_at in runs[: job.places]]
    heapq.heapify(ends)
    return [max(0.0, began_at - heapq.heapreplace(ends, ended_at)) for began_at, ended_at in runs[job.places :]]


def without_warm_up(jobs: Sequence[Seen]) -> tuple[tuple[float, ...], float]:
    """What runs take in warm workers, and how many seconds more the first in each worker takes.

    The first in their workers are those of a job that begin first, as many as it has places. They say something only
    where hardly one of them was as quick as the slowest of the others.
    """
    first: list[float] = []
    later: list[float] = []
    warm_until = 0.0
    for job in sorted(jobs):
        runs = [duration_s for _, duration_s in sorted(job.runs, key=lambda run: run[0] - run[1])]
        cold = 0 if job.created_at < warm_until else job.places
        first += runs[:cold]
        later += runs[cold:]
        warm_until = max((ended_at for ended_at, _ in job.runs), default=0.0) + _STAYS_WARM_S
    first.sort()
    later.sort()
    if not first or not later or first[len(first) // 4] <= later[int(len(later) * 0.95)]:
        return (*later, *first), 0.0
    more_s = statistics.median(first) - statistics.median(later)
    return (*later, *(max(duration_s - more_s, later[0]) for duration_s in first)), more_s


@dataclass(frozen=True, slots=True)
class Own:
    """The limits that a UDF sets itself, which hold on every way; None where it sets none."""

    timeout_s: float | None = None
    memory_mib: int | None = None


_NONE = Own()


@dataclass(frozen=True, slots=True)
class Way:
    """One way to run a job: what it would take, or why it will not do."""

    name: str
    cached: int
    to_run: int
    time_s: Span
    usd: Span
    #: Why runs would fail there; empty where they would not.
    obstacle: str = ""
    #: How much of the dollars, likeliest, is for the packages that the UDF brings along.
    packages_usd: float = 0.0


def local_way(observed: Observed, *, cached: int, to_run: int, workers: int, realtime: bool, own: Own = _NONE) -> Way:
    """On this machine, `workers` side by side: it costs nothing."""
    nothing = Span(*[Dollars(0)] * 3)
    obstacle = realtime_obstacle(observed, own) if realtime else own_obstacle(observed, own)
    start = observed.start("local", workers, LOCAL_START)
    time_s = _time(observed, to_run, workers, start, between_s=observed.between_s.get("local", 0.0))
    return Way("local", cached, to_run, time_s, nothing, obstacle)


def realtime_way(
    observed: Observed,
    *,
    cached: int,
    to_run: int,
    concurrency: int,
    functions: int = 1,
    prices: Prices = LIST_PRICES,
    arm64: bool = False,
    own: Own = _NONE,
    packages_s: float = 0.0,
) -> Way:
    """On Lambda, up to `concurrency` side by side; at most, all of these are new and each result is a large one.

    Each takes `packages_s` for the UDF's own packages, unless it is warm.
    """
    at_once = min(concurrency, to_run)
    mean, making_s, cold_s = observed.mean_s(), packages_s * at_once, mean_cold_s() * at_once
    warming_s = observed.warm_up_s * observed.cold(at_once)
    most_s = mean.high * to_run + 2 * making_s + cold_s + observed.warm_up_s * at_once
    usd = Span(
        realtime_cost(mean.low * to_run, to_run, prices, arm64=arm64),
        realtime_cost(mean.expected * to_run + making_s + warming_s, to_run, prices, arm64=arm64),
        realtime_cost(most_s, to_run, prices, arm64=arm64, large_results=True),
    )
    start = _later(observed.start("realtime", at_once, realtime_start(to_run, at_once)), packages_s)
    least_s = start.low + realtime_floor_s(to_run, at_once, functions)
    between_s = observed.between_s.get("realtime", between_runs_s())
    time_s = _time(observed, to_run, concurrency, start, between_s=between_s).each(
        lambda s: Seconds(max(s, least_s) if to_run else 0.0)
    )
    obstacle, packages_usd = realtime_obstacle(observed, own), realtime_cost(making_s, 0, prices, arm64=arm64)
    return Way("realtime", cached, to_run, time_s, usd, obstacle, packages_usd)


def machine_way(
    observed: Observed,
    instance: InstanceType,
    *,
    cached: int,
    to_run: int,
    machines: int,
    processes: int,
    prices: Prices = LIST_PRICES,
    spot: bool = False,
    own: Own = _NONE,
    packages_s: float = 0.0,
) -> Way:
    """On `machines` of an instance type, `processes` side by side on each; their start is paid for, too."""
    machines = min(machines, math.ceil(to_run / processes))
    start = _later(observed.start(instance.name, machines, machine_start(machines)), packages_s)
    time_s = _time(observed, to_run, machines * processes, start)
    usd_per_hour = instance.host.price(prices, spot=spot)
    apart_s = machines_apart_s(machines) / 2  # a host is paid for from its start, and the last starts late
    usd = time_s.each(lambda up_s: machine_cost(usd_per_hour, max(0.0, up_s - apart_s) * machines))
    obstacle = machine_obstacle(observed, instance, processes, own)
    return Way(instance.name, cached, to_run, time_s, usd, obstacle, machine_cost(usd_per_hour, packages_s * machines))


def _later(start: Start, by_s: float) -> Start:
    """A start where workers have packages to fetch: none at best, twice as long as is likely at worst."""
    return Start(start.low, start.expected + by_s, start.high + 2 * by_s)


def own_obstacle(observed: Observed, own: Own) -> str:
    """Why runs would fail on every way: for a limit that the UDF sets itself."""
    longest_s, peak_mib = observed.longest_s, observed.peak_memory_mib
    if own.timeout_s is not None and (observed.timed_out or longest_s >= NEAR * own.timeout_s):
        return f"runs take up to {Seconds(longest_s)}, timeout_s of @udf is {own.timeout_s:g} s"
    if own.memory_mib is not None and (observed.out_of_memory or peak_mib >= NEAR * own.memory_mib):
        return f"runs need {peak_mib:,.0f} MiB or more, memory_mib of @udf is {own.memory_mib:,} MiB"
    return ""


def realtime_obstacle(observed: Observed, own: Own = _NONE) -> str:
    """Why runs would fail on the realtime path, here or in the cloud."""
    if told := own_obstacle(observed, own):
        return told
    if observed.timed_out or observed.longest_s >= NEAR * REALTIME_TIMEOUT_S:
        return f"runs take up to {Seconds(observed.longest_s)}, the limit is {REALTIME_TIMEOUT_S:.0f} s"
    if observed.out_of_memory or observed.peak_memory_mib >= NEAR * REALTIME_MEMORY_MIB:
        return f"runs need {observed.peak_memory_mib:,.0f} MiB or more, the limit is {REALTIME_MEMORY_MIB:,} MiB"
    return ""


def machine_obstacle(observed: Observed, instance: InstanceType, processes: int, own: Own = _NONE) -> str:
    """Why runs would fail on an instance type."""
    if told := own_obstacle(observed, own):
        return told
    has_mib = run_memory_mib(instance)
    needs_mib = observed.peak_memory_mib * processes
    if needs_mib < NEAR * has_mib and not (observed.out_of_memory and has_mib <= REALTIME_MEMORY_MIB):
        return ""
    return f"runs need {needs_mib:,.0f} MiB{' side by side' if processes > 1 else ''}, it has {has_mib:,} MiB"


def _time(observed: Observed, to_run: int, side_by_side: int, start: Start, *, between_s: float = 0.0) -> Span:
    """From the submit to the last result: no shorter than the longest run, however many are side by side.

    `between_s` passes in a place from one run to the next.
    """
    if not to_run:
        return Span(*[Seconds(0)] * 3)
    mean, rounds, warm_up_s = observed.mean_s(), to_run / min(side_by_side, to_run), observed.warm_up_s
    makespan = makespan_s(observed.durations_s, to_run, side_by_side, warm_up_s=warm_up_s, warm=observed.warm)
    likely_s = start.expected + makespan + between_s * (math.ceil(rounds) - 1)
    longest_s = max(mean.high * math.ceil(rounds) + warm_up_s, observed.longest_s) + between_s * rounds
    return Span(
        Seconds(min(likely_s, start.low + mean.low * rounds)),
        Seconds(likely_s),
        Seconds(max(likely_s, start.high + longest_s)),
    )
