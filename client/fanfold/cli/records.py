"""The JSON that `--json` prints. Keys are only ever added: scripts read them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from fanfold.cli.output import moment
from fanfold.contract.instances import InstanceType, Prices
from fanfold.core.models import Event
from fanfold.errors import InputError
from fanfold.job import Job
from fanfold.job.verify import Receipt

if TYPE_CHECKING:
    from fanfold.diagnosis import Check
    from fanfold.job.post_mortem import PostMortem
    from fanfold.job.profile import Profile
    from fanfold.stores.state import Brief
    from fanfold.submission.estimates import Plan, Span, Way

_JOB = {
    "id": "the job's id",
    "name": "the UDF's name",
    "status": "Queued, Running, Completed, Failed or Cancelled",
    "engine": "local or aws",
    "instance_type": "the machine asked for, null for the realtime path",
    "owner": "who submitted it",
    "created_at": "when it was submitted, ISO 8601 in UTC",
    "runs": "how many runs it has",
    "counts": "how many runs there are of each status, without the zeros",
    "wall_s": "seconds from the submit to the last run's end, or until now",
    "cost_usd": "dollars so far",
    "tags": "its labels, by name",
}
_STATUS = {
    **_JOB,
    "cost_unknown": "what is estimated in cost_usd or is not in it, a list of sentences",
    "busy_s": "seconds of all runs together",
    "median_s": "seconds of the run in the middle, null where none has ended",
    "longest_s": "seconds of the longest run, null where none has ended",
    "peak_memory_mib": "MiB of the largest run, null where none has ended",
    "memory_limit_mib": "MiB that a run may take, null where that is not known",
    "waits_for": "what keeps its queued runs from running, empty where some run or none is queued",
    "retried": "how many runs were tried again",
    "advice": "what would make the next job of this kind better, a list of sentences",
}
_RUN = {"run": "the run's number, from 0", "status": "the run's status", "attempt": "which try it is, from 0"}

_SCHEDULE = {
    "schedule": "its name",
    "udf": "the UDF that it runs",
    "cron": "when, as a line of cron",
    "timezone": "the time zone of that line",
    "state": "on or paused",
    "runs": "how many runs each of its jobs has",
    "owner": "who made it",
}
_SCHEDULE_CHANGED = {"schedule": "its name", "state": "on, paused or removed"}

#: What each command's JSON holds, by key. Those in LISTS print an array of such objects; `logs` prints one a line.
KEYS: dict[str, dict[str, str]] = {
    "run": {"value": "what the UDF returned, whole; a frame as an array of its rows, a labelled series as an object"},
    "submit": _STATUS,
    "plan": {
        "udf": "the UDF's name",
        "inputs": "how many inputs there are",
        "asked": "the way that submit takes with the same options",
        "recommended": "the way that seems best",
        "reason": "why",
        "prices": "the date and the region of the prices",
        "ways": "each way to run it: its name, cached, to_run, seconds and dollars (least, likely, most), and obstacle",
    },
    "jobs": _JOB,
    "status": _STATUS,
    "logs": {
        "run": _RUN["run"],
        "attempt": _RUN["attempt"],
        "at": "when it was printed, ISO 8601 in UTC",
        "text": "what was printed",
    },
    "times": {
        **_RUN,
        "input": "its arguments, by name",
        "duration_s": "seconds it took; null where it has not ended, or came from the cache",
        "cpu_s": "CPU seconds, or null",
        "peak_memory_mib": "MiB at its peak, or null",
    },
    "errors": {
        **_RUN,
        "input": "its arguments, by name",
        "type": "the exception's class",
        "message": "the exception's message",
        "traceback": "the remote traceback, empty where there is none",
    },
    "report": {"path": "the page that was written", "bytes": "its size"},
    "collect": {"path": "the file", "rows": "how many rows it has", "columns": "the names of its columns, in order"},
    "export": {"path": "the folder", "runs": "how many runs are in it"},
    "cancel": _STATUS,
    "retry": _STATUS,
    "verify": {
        "id": "the job's id",
        "complete": "true where every run has ended and every result's bytes match their hash",
        "runs": "how many runs it has",
        "results": "how many results are intact",
        "result_bytes": "their bytes together",
        "missing": "the runs that have not ended",
        "failed": "the runs that ended without a result",
        "damaged": "why results cannot be read, by run",
        "damaged_sources": "what is damaged of the source, the inputs and the large arguments",
    },
    "salvage": {
        "jobs": "the ids of the jobs that are there again",
        "incomplete": "of these, the ids of those that lack results or were still running",
        "lost": "the ids of jobs that can be read no more",
        "results": "how many results the cache has again",
        "damaged": "where the damaged file is now",
    },
    "remove": {"removed": "the ids of the jobs that are gone", "freed_bytes": "bytes of files deleted"},
    "ls": {
        "name": "the file's name below data_path(), or a folder's, which ends in /",
        "bytes": "its size, null for a folder",
        "changed_at": "when it was written, ISO 8601 in UTC, null for a folder",
    },
    "cp": {"copied": "what was written: paths here, or data: and a name", "bytes": "bytes of all together"},
    "packages update": {"forgotten": "how many lists of packages will be looked up anew"},
    "secret set": {"secrets": "the name of the secret that was kept"},
    "secret list": {"secrets": "the names of all secrets"},
    "secret remove": {"secrets": "the name of the secret that was forgotten"},
    "instance-types": {
        "name": "what --instance-type takes",
        "vcpus": "virtual CPUs that the name stands for; its host may have more",
        "memory_gib": "GiB of memory, likewise",
        "host": "the AWS machine that serves it",
        "usd_per_hour": "that machine's on-demand price, as the prices in force say",
        "spot_usd_per_hour": "and as a Spot machine",
    },
    "explain": {
        "name": "of the UDF",
        "code_hash": "by which the cache knows it",
        "covers": "what changes that hash",
        "size_bytes": "of all that is sent",
        "travels": "an array: lane, name, what, size (bytes), where (file and line)",
        "left_behind": "the same, of what stays here",
        "needs": "an array: what needs the same version of Python or of a package",
    },
    "debug": {
        "id": "the job's id",
        "run": _RUN["run"],
        "recorded": "the exception's class and message where it ran",
        "fails": "true where it fails here too",
        "same": "true where it fails with the same exception",
        "type": "the exception's class here, empty where it does not fail",
        "message": "its message",
        "frames": "from the call to the failure: file, line, function, code, own (no library's), values (text by name)",
    },
    "profile": {
        "id": "the job's id",
        "run": _RUN["run"],
        "seconds": "how long the call took here",
        "peak_mib": "what it allocated at most; null without --memory",
        "error": "what it raised, empty where it did not",
        "lines": "the longest first: file, line, function, code, seconds with all that it calls, mib held at the peak",
    },
    "why": {
        "job_id": "the job's id",
        "run": _RUN["run"],
        "status": "how the run stands",
        "udf": "the UDF's name",
        "code_hash": "by which the cache knows its code",
        "bundle_sha256": "of the stored code",
        "sources": "of each text of the code, its SHA-256 by its path",
        "commit": "the git commit that was checked out where the UDF is, empty where that is not known",
        "arguments": "its arguments, by name",
        "instance_type": "the machine asked for, null for the realtime path",
        "image": "where it ran",
        "packages": "that its code imports, with versions, where they are this machine's",
        "cache_key": "by which its result is found again",
        "result": "codec, sha256 and bytes, or null",
        "computed_by": "the job that computed a result from the cache, else empty",
        "tries": "each try: attempt, status, ended_at (seconds since 1970), duration_s, error, machine",
        "steps": "each step: run, attempt, name, how (computed, kept, saved, loaded), at, took_s, made_at, made_by",
    },
    "diff": {
        "a": "the first job",
        "b": "the second job",
        "same_code": "true where both have the same code",
        "code": "the difference between their texts",
        "inputs": "how many are in_both, only_in_a, only_in_b",
        "environment": "options, commit, image and packages that differ, from and to, by name",
        "compared": "how many results of the same inputs were compared",
        "results": "the second job's runs whose results differ",
        "repaired": "the second job's runs that failed in the first and succeeded now",
        "broken": "the second job's runs that succeeded in the first and failed now",
        "slower": "how many times as long the second job's runs took, by the median, or null",
        "median_s": "seconds of the run in the middle, for each job",
        "same": "true where nothing but times differs",
    },
    "doctor": {
        "what": "what was looked at",
        "verdict": "ok, warn or fail",
        "found": "what it found",
        "next_step": "what to do, empty where nothing is to be done",
    },
    "schedule list": _SCHEDULE,
    "schedule show": {**_SCHEDULE, "jobs": "the last jobs that it has started: job and status of each"},
    "schedule pause": _SCHEDULE_CHANGED,
    "schedule resume": _SCHEDULE_CHANGED,
    "schedule remove": _SCHEDULE_CHANGED,
    "connect": {
        "deployment": "its name",
        "region": "the region that was given, or null",
        "profile": "the profile that was given, or null",
        "file": "where this is written down",
        "instance_types": "the machines that the deployment has",
    },
    "workbench": {"address": "where the page is, with the token that lets in"},
    "cache size": {"results": "how many results are cached", "bytes": "their bytes together"},
    "cache clear": {"forgotten": "how many results were forgotten", "freed_bytes": "bytes of files deleted"},
}
#: Jobs of AWS that are asked for side by side.
_AT_ONCE = 16
LISTS = ("jobs", "times", "errors", "instance-types", "doctor", "ls", "schedule list")


def job_records(jobs: Iterable[Job]) -> list[dict[str, Any]]:
    """A record of each job as it is now. What takes calls of AWS is asked for side by side."""
    jobs = list(jobs)
    if not any(job.header.costs_money for job in jobs):
        return [_job_record(job, job.brief()) for job in jobs]
    from concurrent.futures import ThreadPoolExecutor  # slow to import

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return list(threads.map(lambda job: _job_record(job, job.brief()), jobs))


def _job_record(job: Job, brief: Brief) -> dict[str, Any]:
    """A job among others."""
    return {
        **_header_record(job),
        "status": brief.status,
        "counts": brief.counts,
        "wall_s": brief.wall_s,
        "cost_usd": brief.cost_usd,
        "tags": tags_of(job),
    }


def tags_of(job: Job) -> dict[str, str]:
    """A job's labels, by name."""
    return dict(tag.split("=", 1) for tag in job.header.tags)


def _header_record(job: Job) -> dict[str, Any]:
    header = job.header
    return {
        "id": job.id,
        "name": job.name,
        "status": "",
        "engine": header.engine,
        "instance_type": header.instance_type,
        "owner": header.owner,
        "created_at": moment(header.created_at),
        "runs": len(job),
    }


def status_record(job: Job) -> dict[str, Any]:
    """A job by itself, as it is now."""
    told = job.summary()
    return {
        **_header_record(job),
        "status": told.status,
        "counts": told.counts,
        "wall_s": told.wall_s,
        "cost_usd": float(told.cost),
        "tags": tags_of(job),
        "cost_unknown": list(told.cost.unknown),
        "busy_s": told.busy_s,
        "median_s": told.median_s,
        "longest_s": told.longest_s,
        "peak_memory_mib": told.peak_memory_mib,
        "memory_limit_mib": told.memory_limit_mib,
        "waits_for": told.waits_for,
        "retried": told.retried,
        "advice": told.advice,
    }


def time_record(job: Job, index: int) -> dict[str, Any]:
    """What one run took."""
    usage = job.state.usage(index)
    return {
        **_run_record(job, index),
        "duration_s": usage and usage.duration_s,
        "cpu_s": usage and usage.cpu_s,
        "peak_memory_mib": usage and usage.peak_memory_mib,
    }


def error_record(job: Job, index: int) -> dict[str, Any]:
    """Why one run failed."""
    error = job.state.error(index)
    return {
        **_run_record(job, index),
        "type": error.type if error else "Cancelled",
        "message": error.message if error else "",
        "traceback": error.traceback if error else "",
    }


def log_record(event: Event) -> dict[str, Any]:
    """A piece of what a run printed."""
    return {"run": event.index, "attempt": event.attempt, "at": moment(event.at), "text": event.data["text"]}


def receipt_record(receipt: Receipt) -> dict[str, Any]:
    """What `verify` found."""
    return {
        "id": receipt.job_id,
        "complete": receipt.complete,
        "runs": receipt.count,
        "results": receipt.results,
        "result_bytes": receipt.result_bytes,
        "missing": receipt.missing,
        "failed": receipt.failed,
        "damaged": receipt.damaged,
        "damaged_sources": receipt.damaged_sources,
    }


def instance_type_record(machine: InstanceType, prices: Prices) -> dict[str, Any]:
    """A machine that can be asked for."""
    return {
        "name": machine.name,
        "vcpus": machine.vcpus,
        "memory_gib": machine.memory_gib,
        "host": machine.host.name,
        "usd_per_hour": machine.host.price(prices),
        "spot_usd_per_hour": machine.host.price(prices, spot=True),
    }


def plan_record(plan: Plan) -> dict[str, Any]:
    """What a submit would take."""
    told = ("asked", "recommended", "reason", "prices")
    return {
        "udf": plan.udf,
        "inputs": plan.count,
        **{name: getattr(plan, name) for name in told},
        "ways": [_way_record(way) for way in plan.ways],
    }


def _way_record(way: Way) -> dict[str, Any]:
    same = ("name", "cached", "to_run")
    return {
        **{name: getattr(way, name) for name in same},
        "seconds": _span(way.time_s),
        "usd": _span(way.usd),
        "obstacle": way.obstacle,
    }


def check_record(check: Check) -> dict[str, Any]:
    """One thing that the doctor looked at."""
    return {"what": check.what, "verdict": check.verdict, "found": check.found, "next_step": check.next_step}


def _span(span: Span) -> list[float]:
    return [float(span.low), float(span.expected), float(span.high)]


def value_record(value: Any) -> dict[str, Any]:
    """What a UDF returned."""
    return {"value": value}


def _run_record(job: Job, index: int) -> dict[str, Any]:
    return {
        "run": index,
        "status": job.state.status_of(index).value,
        "attempt": job.state.attempt_of(index),
        "input": job.contents.arguments(index),
    }


# Which of a job's runs a command is about.

#: As many rows as a table shows unless it is asked for more.
ROWS_SHOWN = 50


def post_mortem_record(found: PostMortem) -> dict[str, Any]:
    """What came of a failed run that was called again here."""
    return {
        "id": found.job_id,
        "run": found.index,
        "recorded": found.recorded_text,
        "fails": found.error is not None,
        "same": found.same,
        "type": found.error_type,
        "message": found.message,
        "frames": [frame._asdict() for frame in found.frames],
    }


def profile_record(found: Profile) -> dict[str, Any]:
    """Where the time and the memory of a run went that was called again here."""
    return {
        "id": found.job_id,
        "run": found.index,
        "seconds": found.seconds,
        "peak_mib": found.peak_mib,
        "error": found.error,
        "lines": [line._asdict() for line in found.lines],
    }


def check_run(job: Job, run: int | None) -> None:
    """Raises `InputError` for a number that none of the job's runs has."""
    if run is not None and not 0 <= run < len(job):
        numbers = f"its {len(job):,} runs are numbered from 0 to {len(job) - 1:,}."
        raise InputError(f"Job {job.id} has no run {run}.", next_step=numbers if len(job) > 1 else "its one run is 0.")


def chosen(indexes: Iterable[int], limit: int | None, *, as_json: bool) -> tuple[list[int], bool]:
    """The runs to tell of, and whether there are more: JSON has all, a table the first of them, unless said."""
    most = limit if limit is not None or as_json else ROWS_SHOWN
    found = list(islice(indexes, None if most is None else most + 1))
    return (found, False) if most is None else (found[:most], len(found) > most)
