"""A job in a few lines: times, memory, cache, cost, and advice where there is any to give."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fanfold.contract.instances import INSTANCE_TYPES, run_memory_mib
from fanfold.contract.layout import ADVISED_RUN_S, LARGEST_BATCH, NEAR, REALTIME_MEMORY_MIB, REALTIME_TIMEOUT_S
from fanfold.core.cost import Cost, cost, environments_cost, environments_s
from fanfold.core.fold import JobState
from fanfold.core.formatting import Dollars, as_html, counted, duration
from fanfold.core.models import (
    UNTOLD,
    CacheRecord,
    EventKind,
    JobHeader,
    LargerRecord,
    MachineRecord,
    RunStatus,
    StopRecord,
    records,
)
from fanfold.job.waiting import advise_larger, age_of, describe_losses, waiting_for
from fanfold.stores.state import wall_s

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, repr=False)
class Summary:
    """What a job took. Times are seconds, memory is MiB."""

    job_id: str
    name: str
    status: str
    counts: dict[str, int]
    wall_s: float
    busy_s: float
    median_s: float | None
    longest_s: float | None
    peak_memory_mib: float | None
    retried: int
    cost: Cost
    realtime: bool = True
    #: MiB a run may take; and what the job waits for, where nothing runs and something is to.
    memory_limit_mib: float | None = None
    waits_for: str = ""
    #: Machines that went away before the job's end, such as a lost host or an interrupted Spot instance.
    replaced: int = 0
    #: Why machines were lost, as AWS Batch tells it.
    losses: str = ""
    #: Why no more runs were started after the first had failed.
    stop_reason: str = ""
    #: What ran on larger machines, a line each, and what is to be made of it.
    larger: tuple[str, ...] = ()
    #: How many results came from the cache, and when the oldest and the newest of them were made.
    answers: CacheRecord | None = None
    #: When all this was so, by the clock of the job's log (seconds since 1970).
    as_of: float = 0.0
    #: How many runs have ended with each code, by its hash.
    code_hashes: dict[str, int] = field(default_factory=dict)
    advice: list[str] = field(default_factory=list)
    #: What each worker took to have the UDF's own packages there, and what that costs together.
    environments_s: list[float] = field(default_factory=list)
    environments_usd: float = 0.0
    #: Why nobody could be told of its end.
    untold: str = ""
    #: Whether slow runs had a duplicate, which counts among those that were tried again.
    hedged: bool = False

    def rows(self) -> list[tuple[str, str]]:
        """The summary's lines, each a label and a text."""
        runs = ", ".join(f"{count:,} {status.replace('_', ' ')}" for status, count in self.counts.items())
        rows = [("runs", runs)]
        if self.answers is not None:
            rows.append(("cache", describe_answers(self.answers, self.as_of)))
        notice = f"nobody could be told of its end: {self.untold}" if self.untold else ""
        waits_for = self.waits_for.removeprefix("waiting ")
        said = (("stopped", self.stop_reason), ("notice", notice), ("waiting", waits_for))
        rows += [(label, text) for label, text in said if text]
        rows.append(("time", f"{duration(self.wall_s)} ({duration(self.busy_s)} of work)"))
        if self.median_s is not None and self.longest_s is not None:
            best = f" ({BEST} in the cloud)" if self.realtime else ""
            rows.append(("per run", f"median {duration(self.median_s)}, longest {duration(self.longest_s)}{best}"))
        if self.peak_memory_mib is not None:
            limit = "" if self.memory_limit_mib is None else f", the limit is {self.memory_limit_mib:,.0f} MiB"
            rows.append(("memory", f"{self.peak_memory_mib:,.0f} MiB at its peak{limit}"))
        if self.replaced:
            went = "1 went away and was" if self.replaced == 1 else f"{self.replaced:,} went away and were"
            rows.append(("machines", f"{went} replaced{f': {self.losses}' if self.losses else ''}"))
        elif self.losses:
            rows.append(("machines", f"lost: {self.losses}"))
        if self.retried:
            told = "tried again, or had a duplicate" if self.hedged else "tried again"
            rows.append(("retries", f"{self.retried:,} {'runs were' if self.retried > 1 else 'run was'} {told}"))
        rows += [("larger", line) for line in self.larger]
        rows += self._environment_rows()
        if len(self.code_hashes) > 1:
            rows.append(("code", describe_codes(self.code_hashes)))
        rows.append(("cost", self.cost.describe()))
        return rows + [("advice", line) for line in self.advice]

    def _environment_rows(self) -> list[tuple[str, str]]:
        """What the packages that the UDF brings along have added, such as `12 workers fetched them, 1.4 s each`."""
        if not self.environments_s:
            return []
        paid = f", {Dollars(self.environments_usd)} of the cost" if self.environments_usd else ""
        each = duration(median(self.environments_s))
        return [("packages", f"{counted(len(self.environments_s), 'worker')} fetched them, {each} each{paid}")]

    def __str__(self) -> str:
        title = f"{self.name} · {self.job_id} · {self.status}"
        return "\n".join([title, *(_line(label, text) for label, text in self.rows())])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        title = f"<b>{as_html(self.name)}</b> <code>{as_html(self.job_id)}</code> {self.status}"
        return f"<div>{title}{self.table()}</div>"

    def table(self) -> str:
        """The lines as a table of HTML."""
        cell = "<{0} style='text-align:left'>{1}</{0}>".format
        cells = (f"<tr>{cell('th', as_html(label))}{cell('td', as_html(text))}</tr>" for label, text in self.rows())
        return f"<table>{''.join(cells)}</table>"


def describe_answers(answers: CacheRecord, now: float) -> str:
    """What came from the cache and how old it is, such as `4 results came from it, made 3 days to 2 h ago`."""
    return f"{counted(answers.count, 'result')} came from it, {age_of(answers, now)}; cache_max_age=0 computes anew"


def describe_codes(code_hashes: dict[str, int]) -> str:
    """Which code how many runs have ended with, such as `197 runs with code 3f2a9c01, 3 runs with the fix 77b0e412`."""
    first, *fixes = code_hashes.items()
    words = [f"{counted(first[1], 'run')} with code {first[0][:8]}"]
    words += [f"{counted(count, 'run')} with the fix {code_hash[:8]}" for code_hash, count in fixes]
    return ", ".join(words)


def _line(label: str, text: str) -> str:
    """A row, in as many lines as 80 columns need."""
    return textwrap.fill(text, 80, initial_indent=f"  {label:<8} ", subsequent_indent=" " * 11, break_on_hyphens=False)


def _untold_s(state: JobState) -> Iterator[float]:
    """The seconds of each attempt that has told none: it goes on, a cancel has cut it off, or it was lost."""
    for index, number, began_at, ended_at in state.spending.unmeasured():
        runs = state.status_of(index) is RunStatus.RUNNING and state.attempt_of(index) == number
        end = ended_at or state.header.cancelled_at or (state.now() if runs else began_at)
        yield max(0.0, end - began_at)


def summarise(state: JobState) -> Summary:
    """The summary of a job as it is now."""
    measured, stops = state.performed(), records(state.job_events(EventKind.STOP), StopRecord)
    times, peaks_mib = [duration_s for _, duration_s, _ in measured], [mib for *_, mib in measured]
    return Summary(
        job_id=state.header.id,
        name=state.header.name,
        status=state.status.value,
        counts={status.value: count for status, count in state.counts().items() if count},
        untold=next((one.reason for one in stops if one.name == UNTOLD), ""),
        wall_s=wall_s(state),
        busy_s=sum(state.measured_s()) + sum(_untold_s(state)),
        median_s=median(times) if times else None,
        longest_s=max(times, default=None),
        peak_memory_mib=max(peaks_mib, default=None),
        retried=sum(_tried_again(state, index) for index in range(state.header.count)) if state.tried_again else 0,
        cost=cost(state),
        environments_s=environments_s(state),
        environments_usd=environments_cost(state),
        realtime=state.header.instance_type is None,
        hedged=state.header.hedge,
        memory_limit_mib=_memory_limit_mib(state.header),
        waits_for=_waits_for(state),
        replaced=_count_replaced(state),
        losses=describe_losses(state),
        stop_reason=state.stop_reason if state.counts()[RunStatus.CANCELLED] else "",  # or nothing was left to start
        larger=(*_larger(state), *advise_larger(state)),
        answers=next(iter(records(state.job_events(EventKind.CACHE), CacheRecord)), None),
        as_of=state.now(),
        code_hashes=state.code_hashes(),
        advice=advice(state, *_unfailed(measured)),
    )


def _larger(state: JobState) -> Iterator[str]:
    """Which runs were too large, and where they ran instead."""
    for one in records(state.job_events(EventKind.LARGER), LargerRecord):
        alone = "alone " if one.instance_type == state.header.instance_type else ""
        yield f"{counted(one.count, 'run')} {alone}on {one.instance_type}: job {one.name}"


def _count_replaced(state: JobState) -> int:
    """How many machines went away: AWS Batch starts another attempt in the place of each."""
    return sum(machine.attempt > 1 for machine in records(state.job_events(EventKind.MACHINE), MachineRecord))


def usage_frame(state: JobState) -> pd.DataFrame:
    """Seconds, CPU seconds and peak MiB of each run that has ended; runs from the cache took nothing."""
    import pandas as pd

    used = {index: usage for index in range(state.header.count) if (usage := state.usage(index)) is not None}
    return pd.DataFrame(
        {
            "status": [state.status_of(index).value for index in used],
            "duration_s": [usage.duration_s for usage in used.values()],
            "cpu_s": [usage.cpu_s for usage in used.values()],
            "peak_memory_mib": [usage.peak_memory_mib for usage in used.values()],
        },
        index=pd.Index(list(used), name="run", dtype="int64"),
    )


def has_begun(state: JobState, index: int) -> bool:
    """Whether the attempt that a run's status tells of has begun. A run that was cancelled before used nothing."""
    status = state.status_of(index)
    if status is RunStatus.CANCELLED and state.usage(index) is None:
        return False
    return status is RunStatus.RUNNING or state.finished_at(index) is not None


def _tried_again(state: JobState, index: int) -> bool:
    """Whether a run has begun more than once. The attempt that a waiting or cancelled run would make has not begun."""
    return state.attempt_of(index) >= (1 if has_begun(state, index) else 2)


def _memory_limit_mib(header: JobHeader) -> float | None:
    """MiB that each run may take; of machines, all that run side by side on one."""
    if header.memory_mib is not None:
        return header.memory_mib
    return REALTIME_MEMORY_MIB if header.instance_type is None else None


def _waits_for(state: JobState) -> str:
    counts = state.counts()
    return waiting_for(state) if counts[RunStatus.QUEUED] and not counts[RunStatus.RUNNING] else ""


def _unfailed(measured: list[tuple[RunStatus, float, float]]) -> tuple[list[float], list[float]]:
    """Seconds and MiB of the runs that did their work or met a limit: how long a failure took says nothing."""
    whole = [one for one in measured if one[0] is not RunStatus.FAILED]
    return [duration_s for _, duration_s, _ in whole], [mib for *_, mib in whole]


# What would make the next job of a kind better, only where it really would.

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
    return [line for line in (about_time, _near_memory(header, peaks_mib), on_lost_files(state)) if line]


#: A file of the worker that ran it, in a result: of JSON a whole text, of a frame what looks like one.
_OWN_FILE = re.compile(rb'(?<!\\)"(?:file://)?(/(?:var/)?tmp/[^"\\]+)"')
_OWN_FILE_IN_FRAME = re.compile(rb"(?:file://)?(/(?:var/)?tmp/[\w./-]+)")
#: How many of a job's results are looked at.
_LOOKED_AT = 20


def on_lost_files(state: JobState) -> str | None:
    """Of runs in the cloud: a function's or a machine's own disk is gone with it."""
    for index in range(min(state.header.count, _LOOKED_AT) if state.header.costs_money else 0):
        output = state.output(index)
        if output is None:
            continue
        look_for = _OWN_FILE if output.codec.startswith("json") else _OWN_FILE_IN_FRAME
        if found := look_for.search(output.inline or b""):
            return (
                f"run {index} returned {found[1].decode()}, a file of the worker that made it, where nobody finds it:"
                " write it to fanfold.data_path(name) and return that."
            )
    return None


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
    """Of realtime runs in the cloud: on this machine short runs cost nothing worth a word."""
    if header.instance_type is not None or not header.costs_money:
        return None
    middle, (low, high) = median(times_s), ADVISED_RUN_S
    if middle < _SHORT_S and len(times_s) >= _MANY:
        together = max(2, min(1000, round(low / max(middle, 0.001))))
        if header.batch_size > 1:
            return None
        if together <= LARGEST_BATCH:
            argument = f"batch_size={together} puts so many into an invocation"
        else:
            argument = f"batch_size={LARGEST_BATCH}, or fanfold.chunks for a UDF that takes a list"
        return (
            f"runs took {duration(middle)}; in the cloud {BEST}: put about {together:,} inputs into each ({argument})."
        )
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
    has_mib = run_memory_mib(INSTANCE_TYPES["medium"], 1)
    return (
        f'{runs} or passed it: make the inputs smaller, or ask for instance_type="medium", which has {has_mib:,} MiB.'
    )


def _instead(option: str, machine: str, header: JobHeader) -> str:
    """What to do about a limit that the UDF has set itself: no machine would lift it, but `escalate` drops it."""
    if header.instance_type is not None:
        return f"raise {option}, or make the inputs smaller."
    return f'raise {option}, make the inputs smaller, or submit with escalate="{machine}", which drops it.'


def median(times: Sequence[float]) -> float:
    """The middle one of some numbers."""
    ranked, middle = sorted(times), len(times) // 2
    return ranked[middle] if len(ranked) % 2 else (ranked[middle - 1] + ranked[middle]) / 2


# The limits that a job's UDF has set itself, told apart from those of the place where its runs run.


def own_timeout_s(header: JobHeader) -> float | None:
    """The UDF's own `timeout_s`, where it ends runs earlier than they would be ended anyway."""
    if header.instance_type is not None:  # a machine has no limit of time but this
        return header.timeout_s
    return header.timeout_s if header.timeout_s is not None and header.timeout_s < REALTIME_TIMEOUT_S else None


def own_memory_mib(header: JobHeader) -> int | None:
    """The UDF's own `memory_mib`, where it is less than its runs would have anyway, as far as that is known."""
    has_mib: int | None = REALTIME_MEMORY_MIB
    if header.instance_type is not None:
        machine = INSTANCE_TYPES.get(header.instance_type)  # a deployment's own is known to the deployment alone
        has_mib = None if machine is None else run_memory_mib(machine, header.n_processes_per_worker)
    if header.memory_mib is None or has_mib is None or header.memory_mib >= has_mib:
        return None
    return header.memory_mib
