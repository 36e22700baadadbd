"""A job in words: its code, and what happened to it when."""

from __future__ import annotations

import time
from collections.abc import Iterator

from fanfold.core.fold import JobState
from fanfold.core.formatting import counted
from fanfold.core.models import Event, EventKind
from fanfold.job import Job
from fanfold.source.load import Bundle
from fanfold.stores.keys import bundle_key

#: What the events of a job as a whole tell of.
_IN_WORDS = {
    EventKind.PROCESS: "process",
    EventKind.RUNNER: "runner",
    EventKind.DISPATCH: "dispatch",
    EventKind.QUEUE: "the queue of",
    EventKind.THROTTLE: "throttled by",
    EventKind.MACHINE: "machine",
    EventKind.EXECUTION_FAILURE: "failed execution",
    EventKind.STOP: "stopped by",
    EventKind.CACHE: "the cache",
    EventKind.ENVIRONMENT: "a worker fetched the packages",
}


def code(job: Job) -> list[tuple[str, str]]:
    """The texts that the job's runs were given, each with its path, as it ran."""
    return [(source.path, numbered(source.text)) for source in bundle_of(job).sources if source.text.strip()]


def bundle_of(job: Job) -> Bundle:
    """What travelled to the job's runs; after `job.retry(udf=fixed)` the code that it has now."""
    objects = job.tracker.engine.stores.objects
    return Bundle.from_bytes(objects.get(bundle_key(job.header.current_bundle_sha256)))


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
    found = [(header.created_at, f"submitted by {header.owner}, {counted(header.count, 'run')}")]
    found += list(_job_events(state))
    starts = [at for index in range(header.count) if (at := state.started_at(index)) is not None]
    ends = sorted([at for index in range(header.count) if (at := state.finished_at(index)) is not None])
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
        yield event.at, _in_words(event)


def _in_words(event: Event) -> str:
    """What an event of the job as a whole tells."""
    data = event.data
    if event.kind is EventKind.STAGE and data.get("name") == "ramp":
        judged = f", after {counted(data['judged'], 'run')} had been judged" if data.get("judged") else ""
        return f"the ramp went on to its first {counted(data.get('stop', 0), 'run')}{judged}"
    if event.kind is EventKind.STAGE:
        return f"dispatch {data.get('name', '')} was widened to {counted(data.get('children', 0), 'execution')} at once"
    if event.kind is EventKind.LARGER:
        machine = f" on {data['instance_type']}" if data.get("instance_type") else ""
        return f"{counted(data.get('count', 0), 'run')} that were too large went to job {data.get('name', '')}{machine}"
    reason = f": {data['reason']}" if data.get("reason") else ""
    words = _IN_WORDS.get(event.kind, event.kind.value.replace("_", " "))
    return f"{words} {data.get('name', '')} {data.get('state', '')}".strip() + reason


def clock(at: float) -> str:
    """A moment on this machine's clock."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
