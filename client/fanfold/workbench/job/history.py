"""A job in words: its failures by cause, its code, and what happened to it when."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import NamedTuple

from fanfold.contract.layout import bundle_key
from fanfold.core.fold import JobState
from fanfold.core.models import BAD, EventKind, RunError, RunStatus
from fanfold.engines.select import engine_for
from fanfold.job import Job
from fanfold.source.bundle import Bundle

#: Inputs named with each cause.
_NAMED = 10
_DIGITS = re.compile(r"0x[0-9a-f]+|\d+")


#: What the events of a job as a whole tell of.
_IN_WORDS = {
    EventKind.PROCESS: "process",
    EventKind.RUNNER: "runner",
    EventKind.DISPATCH: "dispatch",
    EventKind.QUEUE: "the queue of",
    EventKind.THROTTLE: "throttled by",
    EventKind.MACHINE: "machine",
    EventKind.EXECUTION_FAILURE: "failed execution",
}


class Cause(NamedTuple):
    """Runs that failed alike: the first of them tells for all."""

    kind: str
    message: str
    traceback: str
    count: int  # type: ignore[assignment]
    runs: tuple[int, ...]


def causes(state: JobState) -> list[Cause]:
    """Failures by cause, the most frequent first: of one type and message, numbers in it aside."""
    found: dict[tuple[str, str], tuple[RunError, int, list[int]]] = {}
    for index in state.indexes(*BAD):
        error = state.error(index) or _unknown_error(state.status_of(index))
        key = (error.type, _DIGITS.sub("#", error.message))
        first, count, runs = found.get(key, (error, 0, []))
        if len(runs) < _NAMED:
            runs.append(index)
        found[key] = (first, count + 1, runs)
    all_causes = (
        Cause(first.type, first.message, first.traceback, count, tuple(runs)) for first, count, runs in found.values()
    )
    return sorted(all_causes, key=lambda cause: -cause.count)


def _unknown_error(status: RunStatus) -> RunError:
    return RunError(status.value.replace("_", " ").capitalize(), "nothing more is known")


def code(job: Job) -> list[tuple[str, str]]:
    """The texts that the job's runs were given, each with its path, as it ran."""
    objects = engine_for(job.header.engine).stores.objects
    bundle = Bundle.from_bytes(objects.get(bundle_key(job.header.bundle_sha256)))
    return [(source.path, numbered(source.text)) for source in bundle.sources if source.text.strip()]


def numbered(text: str) -> str:
    """Lines under their own numbers. What did not travel is blank in a shipped text, and is passed over."""
    shown: list[str] = []
    gap = False
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            gap = bool(shown)
            continue
        shown += [""] * gap
        shown.append(f"{number:4}  {line}")
        gap = False
    return "\n".join(shown)


def moments(state: JobState) -> list[tuple[float, str]]:
    """What happened to the job and when, oldest first (seconds since 1970)."""
    header = state.header
    found = [(header.created_at, f"submitted by {header.owner}, {header.count:,} runs")]
    found += list(_job_events(state))
    starts = [at for index in range(header.count) if (at := state.started_at(index)) is not None]
    ends = sorted(at for index in range(header.count) if (at := state.finished_at(index)) is not None)
    if starts:
        found.append((min(starts), "the first run began"))
    if ends:
        found.append((ends[0], "the first run ended"))
    if len(ends) > 1 and len(ends) * 2 >= header.count:
        found.append((ends[(header.count - 1) // 2], "half of the runs had ended"))
    if header.cancelled_at is not None:
        found.append((header.cancelled_at, "cancelled"))
    if state.done and ends:
        found.append((ends[-1], f"ended: {state.status.value}"))
    return sorted(found, key=lambda one: one[0])


def _job_events(state: JobState) -> Iterator[tuple[float, str]]:
    for event in state.job_events():
        reason = f": {event.data['reason']}" if event.data.get("reason") else ""
        yield event.at, f"{_IN_WORDS[event.kind]} {event.data['name']} {event.data.get('state', '')}".strip() + reason


def clock(at: float) -> str:
    """A moment on this machine's clock."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
