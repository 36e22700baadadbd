"""Schedules of a deployment: a UDF that is run by itself, at the times of a line of cron."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fanfold.api.submit import get_jobs, submit, with_environment
from fanfold.core.compat import submit_arguments, takes
from fanfold.core.models import JobHeader, new_job_id
from fanfold.core.options import Request, check_number, unwrapped
from fanfold.engines.base import Engine, engine_for
from fanfold.engines.notice import check_notify
from fanfold.engines.schedule import Definition, Scheduled, ScheduleKeeper, aws_cron, check_name, listing_of
from fanfold.errors import ConfigurationError, InputError
from fanfold.inputs.stored import StoredFiles
from fanfold.job import Job
from fanfold.settings import current
from fanfold.stores.keys import blob_key, bundle_key, inputs_key
from fanfold.stores.packing import Manifest
from fanfold.submission.going_on import with_later, with_measured
from fanfold.submission.prepare import resolve_call, write_down

#: Options of `fanfold.submit` that each job of a schedule may have.
_OF_EACH_JOB = (
    *("engine", "instance_type", "max_workers", "n_processes_per_worker", "max_retry", "retry_on", "retry"),
    *("stop_on_error", "batch_size", "target_s", "tags", "rate"),
)
_OTHERS = ("notify", "budget_usd", "packages", "image")
#: Why it takes no others, where it is not for waiting.
_AFRESH = "each of its jobs computes afresh"
_REASONS = {"cache": _AFRESH, "cache_max_age": _AFRESH, "plan": "`fanfold.plan(udf, inputs)` plans one of its jobs"}
#: What each job does by itself once it has begun.
_LATER = ("ramp", "escalate", "hedge")
_SHA256 = re.compile(r"[0-9a-f]{64}")
#: The label by which the jobs of a schedule are found.
TAG = "schedule"


class Schedule:
    """A schedule of a deployment. Its jobs are jobs like others, and have the tag `schedule`."""

    def __init__(self, scheduled: Scheduled, scheduler: ScheduleKeeper) -> None:
        self._scheduled = scheduled
        self._scheduler = scheduler

    @property
    def name(self) -> str:
        """What it is called; one name is one schedule of the deployment."""
        return self._scheduled.definition.name

    @property
    def cron(self) -> str:
        """When it starts a job, as a line of cron."""
        return self._scheduled.definition.cron

    @property
    def timezone(self) -> str:
        """Where it is so late, such as `Europe/Berlin`."""
        return self._scheduled.definition.timezone

    @property
    def paused(self) -> bool:
        """Whether it starts no job until it is resumed, as of when it was read."""
        return self._scheduled.paused

    @property
    def definition(self) -> Definition:
        """All that is kept of it."""
        return self._scheduled.definition

    def jobs(self, limit: int = 20) -> list[Job]:
        """The jobs that it has started, newest first."""
        return get_jobs(limit=limit, tags={TAG: self.name}, engine=self.definition.header.engine)

    def pause(self) -> None:
        """Have it start no job until it is resumed."""
        self._scheduler.pause(self.name, paused=True)

    def resume(self) -> None:
        """Have it start jobs again."""
        self._scheduler.pause(self.name, paused=False)

    def remove(self) -> None:
        """Have it start no job any more. The jobs that it has started stay."""
        self._scheduler.remove(self.name)

    def __repr__(self) -> str:
        state = ", paused" if self.paused else ""
        return f"<Schedule {self.name}: {self.definition.header.name} at {self.cron!r} ({self.timezone}){state}>"


def make_schedule(
    udf: Any, cron: str, inputs: Any = None, *, name: str | None = None, timezone: str = "UTC", **options: Any
) -> Schedule:
    """Have a deployment run a UDF over these inputs at the times of `cron`; see `Udf.schedule`."""
    function, own = unwrapped(udf)
    kept = {one for one in (*_OF_EACH_JOB, *_OTHERS, *_LATER) if one in options and not takes(function, one)}
    asked = {one: options.pop(one) for one in kept}
    _refuse_options(function, options)
    inputs, constants = submit_arguments(udf, inputs, options, submit.__kwdefaults__)
    _refuse_job(inputs)
    inputs = [{}] if inputs is None else inputs  # one run, of what needs nothing but the constants
    chosen_name = check_name(name or own.name or function.__name__)
    aws_cron(cron)
    _check_timezone(timezone)
    udf = with_environment(udf, packages=asked.pop("packages", None), image=asked.pop("image", None))
    engine, request, scheduler = _each_job(udf, cron, asked)
    _refuse_anothers(scheduler, chosen_name)
    job_id = new_job_id(engine.stores.log.now())
    files = inputs if isinstance(inputs, StoredFiles) and inputs.is_of_s3 else None
    inputs = inputs if files is None else list(files)
    inputs, request = with_measured(udf, inputs, engine, request, constants)
    header = write_down(udf, inputs, engine, request, constants, job_id=job_id).header
    if header.sealed_with:
        raise InputError(
            "A schedule keeps no secret arguments: they are sealed for one job.",
            next_step='have the UDF ask for it by name: @fanfold.udf(secrets=["db-password"]). Nothing was scheduled.',
        )
    header = header._replace(tags=(*header.tags, f"{TAG}={chosen_name}"))
    manifest = Manifest(engine.stores.objects, header.id, header.count)
    listing = None if files is None else listing_of(files.pattern, inputs, manifest)
    definition = Definition(chosen_name, cron, timezone, header, _blobs_of(header, engine), listing)
    scheduler.put(definition)
    return Schedule(Scheduled(definition, paused=False), scheduler)


def _each_job(udf: Any, cron: str, asked: dict[str, Any]) -> tuple[Engine, Request, ScheduleKeeper]:
    """Where each job of a schedule is run, what it asks for, and what keeps the schedule. Raises `InputError`."""
    notify, budget_usd = asked.pop("notify", None), asked.pop("budget_usd", None)
    check_number("budget_usd", budget_usd, zero=True)
    _check_tags(asked.get("tags"))
    later = {one: asked.pop(one) for one in _LATER if one in asked}
    engine, request = resolve_call(udf, **{"engine": None, "instance_type": None, **asked})
    scheduler = scheduler_of(engine, f"{cron} fanfold submit FILE")
    if notify is not None:
        request = request._replace(notify=check_notify(notify, engine.describe().notify_topics))
    request = request._replace(cache=False, budget_usd=budget_usd or 0.0)  # what it made last time is not asked for
    return engine, with_later(udf, engine, request, **later), scheduler


def _refuse_job(inputs: Any) -> None:
    """Raises `InputError` for the results of a job, which a schedule would outlive."""
    if isinstance(inputs, Job):
        raise InputError(
            f"The results of job {inputs.id} are kept for some weeks, and a schedule has no end.",
            next_step="give the values themselves, or paths where the UDF finds them.",
        )


def schedules(engine: str | None = None) -> list[Schedule]:
    """All schedules of the deployment, by name."""
    scheduler = scheduler_of(engine_for(engine))
    return [Schedule(one, scheduler) for one in scheduler.all()]


def get_schedule(name: str, engine: str | None = None) -> Schedule:
    """The schedule of that name. Raises `InputError` where there is none."""
    scheduler = scheduler_of(engine_for(engine))
    return Schedule(scheduler.get(name), scheduler)


def scheduler_of(engine: Engine, line: str = "0 6 * * * fanfold submit FILE") -> ScheduleKeeper:
    """What keeps the engine's schedules. Raises `ConfigurationError` where nothing does."""
    described = engine.describe()
    if described.ask_scheduler is not None:
        return described.ask_scheduler()
    if described.costs_money:
        raise ConfigurationError(
            "This deployment keeps no schedules.", next_step="have it deployed again with this version of Fanfold."
        )
    raise ConfigurationError(
        "Schedules are a deployment's: this machine may be off when one is due.",
        next_step=f"use a deployment (engine='aws'), or this machine's own cron: `crontab -e`, with the line `{line}`.",
    )


def _refuse_options(function: Any, constants: dict[str, Any]) -> None:
    """Raises `InputError` for options of a call that somebody waits for."""
    for name in constants:
        if name in (submit.__kwdefaults__ or ()) and not takes(function, name):
            raise InputError(
                f"A schedule takes no {name}=: {_REASONS.get(name, 'nobody waits for its jobs')}.",
                next_step=f"leave it out; it takes {', '.join(sorted((*_OF_EACH_JOB, *_OTHERS, *_LATER)))}.",
            )


def _check_tags(tags: Any) -> None:
    """Raises `InputError` for the label that is the schedule's own."""
    if isinstance(tags, Mapping) and TAG in tags:
        raise InputError(
            f"The tag {TAG!r} is what the jobs of a schedule are found by: it is the schedule's name.",
            next_step="give the label another name.",
        )


def _check_timezone(timezone: object) -> None:
    try:
        ZoneInfo(str(timezone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError(
            f"{timezone!r} is not a time zone.", next_step="give one of the IANA's names, such as Europe/Berlin."
        ) from None


def _refuse_anothers(scheduler: ScheduleKeeper, name: str) -> None:
    """Raises `InputError` where somebody else has a schedule of that name."""
    owner = scheduler.owner_of(name)
    if owner not in ("", current().owner):
        raise InputError(f"There is a schedule {name!r} already, of {owner}.", next_step="choose another name=.")


def _blobs_of(header: JobHeader, engine: Engine) -> tuple[str, ...]:
    """What inputs, constants and code refer to by the hash of its bytes: large arguments, and packages."""
    objects, names = engine.stores.objects, set[str]()
    bundle = objects.get(bundle_key(header.bundle_sha256)).decode()
    for text in (header.constants, objects.get(inputs_key(header.id)).decode(), bundle):
        names.update(_SHA256.findall(text))
    return tuple(name for name in sorted(names) if objects.exists(blob_key(name)))
