"""Where a result comes from: the code, the arguments, the packages and the tries that made it, from what is stored."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from fanfold.core.formatting import duration
from fanfold.core.models import GOES_ON, Event, EventKind, RunStatus
from fanfold.job.step_history import StepRecord, latest, step_record
from fanfold.source.load import Bundle
from fanfold.stores.keys import bundle_key
from fanfold.stores.packing import Manifest
from fanfold.stores.state import events_of

if TYPE_CHECKING:
    from fanfold.job import Job

#: Steps that are printed of a run; beyond, those in the middle are only counted.
_SHOWN_STEPS = 40


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt of a run: how it ended, when (seconds since 1970), how long it took, why it failed, and where.

    `machine` is that of a dedicated run, as far as it has told what the run used.
    """

    attempt: int
    status: str
    ended_at: float
    duration_s: float | None
    error: str
    machine: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Why:
    """What made one run's result. `computed_by` is another job where the result came from the cache."""

    job_id: str
    run: int
    status: str
    udf: str
    code_hash: str
    bundle_sha256: str
    #: Of each text of the code, its path and its SHA-256; and the commit that was checked out where the UDF is.
    sources: dict[str, str]
    commit: str
    arguments: dict[str, Any]
    instance_type: str | None
    image: str
    packages: list[str]
    cache_key: str
    result: dict[str, Any] | None
    computed_by: str
    tries: list[Try] = field(default_factory=list)
    #: What each try computed of its steps, and what it was given of earlier ones.
    steps: list[StepRecord] = field(default_factory=list)

    def __str__(self) -> str:
        rows = [
            ("code", f"{self.udf}, hash {self.code_hash[:12]}, bundle {self.bundle_sha256[:12]}"),
            *(("", f"{path} ({sha256[:12]})") for path, sha256 in self.sources.items()),
            ("commit", self.commit or "not known"),
            *(("arguments" if at == 0 else "", text) for at, text in enumerate(_named(self.arguments))),
            ("where", f"{self.instance_type or 'realtime'}, {self.image}"),
            *(("packages" if at == 0 else "", text) for at, text in enumerate(filter(None, self.packages))),
            ("key", self.cache_key),
        ]
        if self.result is not None:
            told = self.result
            rows.append(("result", f"{told['bytes']:,} bytes of {told['codec']}, {told['sha256'][:12]}"))
        if self.computed_by:
            rows.append(("computed", f"by job {self.computed_by}, and taken from the cache"))
        rows += [("tries" if at == 0 else "", _line(one)) for at, one in enumerate(self.tries)]
        rows += [("steps" if at == 0 else "", text) for at, text in enumerate(_step_lines(self.steps))]
        title = f"run {self.run} of job {self.job_id}: {self.status.replace('_', ' ')}"
        return "\n".join([title, *(f"  {name:<10} {text}" for name, text in rows)])

    __repr__ = __str__


def explain_run(job: Job, index: int) -> Why:
    """Where the result of a run comes from. Raises `ResultDamaged` where its code is gone."""
    state, header, stores = job.state, job.header, job.tracker.engine.stores
    code_hash = state.code_hash_of(index)
    bundles = dict(
        zip((header.code_hash, *header.fixed_hashes), (header.bundle_sha256, *header.fixed_bundles), strict=True)
    )
    bundle = Bundle.from_bytes(stores.objects.get(bundle_key(bundles[code_hash])))
    image, *packages = header.image.split(" ")
    key = Manifest(stores.objects, header.id, header.count).cache_key(index)
    output = state.output(index)
    result = None if output is None else {"codec": output.codec, "sha256": output.sha256, "bytes": output.size}
    steps, machines = _told_by_run(job, index)
    return Why(
        job_id=job.id,
        run=index,
        status=state.status_of(index).value,
        udf=header.name,
        code_hash=code_hash,
        bundle_sha256=bundles[code_hash],
        sources={source.path: _sha256(source.text) for source in bundle.sources},
        commit=header.commit,
        arguments=job.contents.arguments(index),
        instance_type=header.instance_type,
        image=image,
        packages=packages,
        cache_key=key,
        result=result,
        computed_by=_computed_by(job, index, key),
        tries=_tries(job, index, machines),
        steps=steps,
    )


def _sha256(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


def _computed_by(job: Job, index: int, key: str) -> str:
    """The job that computed what came from the cache, as far as the cache still has it."""
    output = job.state.output(index)
    if output is None or job.state.status_of(index) is not RunStatus.CACHED:
        return ""
    entry = job.tracker.engine.stores.cache.lookup([key], max_age_s=math.inf).get(key)
    same = entry is not None and entry.output.sha256 == output.sha256
    return entry.job_id if entry is not None and same else "another"


def _told_by_run(job: Job, index: int) -> tuple[list[StepRecord], dict[int, str]]:
    """The steps of a run, and the machine of each attempt that has named one."""
    steps: dict[str, StepRecord] = {}
    machines: dict[int, str] = {}
    for event in job.contents.telemetry(EventKind.STEP, EventKind.USAGE):
        if event.index != index:
            continue
        if event.kind is EventKind.STEP:
            steps[event.id] = step_record(event)
        elif event.data.get("machine"):
            machines[event.attempt] = str(event.data["machine"])
    return latest(list(steps.values())), machines


def _tries(job: Job, index: int, machines: dict[int, str]) -> list[Try]:
    events = events_of(job.tracker.engine.stores.log, job.id)
    found = {(e.attempt, e.id): e for e in events if e.index == index and e.kind is EventKind.FINISHED}
    return [_try(event, machines.get(event.attempt, "")) for _, event in sorted(found.items())]


def _try(event: Event, machine: str) -> Try:
    error = "" if event.error is None else f"{event.error.type}: {event.error.message}"
    status = "" if event.status is None else event.status.value
    took_s = None if event.usage is None else event.usage.duration_s
    return Try(event.attempt, status, event.at, took_s, error, machine)


def _line(one: Try) -> str:
    took = "" if one.duration_s is None else f" after {duration(one.duration_s)}"
    where = f" on {one.machine}" if one.machine else ""
    error = f": {one.error.splitlines()[0]}" if one.error else ""
    status = one.status.replace("_", " ")
    if one.error.startswith(f"{GOES_ON}: "):
        status, error = "went on later", f": {one.error[len(GOES_ON) + 2 :]}"
    return f"{one.attempt}: {status} at {_moment(one.ended_at)}{took}{where}{error}"


def _step_lines(steps: list[StepRecord]) -> list[str]:
    """The steps as text, each attempt's under its number; of many, the first and the last."""
    lines = [f"{one.attempt}: {one.words(_moment)}" for one in steps]
    if len(lines) <= _SHOWN_STEPS:
        return lines
    half = _SHOWN_STEPS // 2
    return [*lines[:half], f"({len(lines) - 2 * half:,} more: `job[i].why().steps` has all)", *lines[-half:]]


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def _named(arguments: dict[str, Any]) -> list[str]:
    from fanfold.core.shown import Shortened

    short = Shortened()
    short.maxstring = short.maxother = 100
    return [f"{name}={short.repr(value)}" for name, value in arguments.items()] or ["none"]
