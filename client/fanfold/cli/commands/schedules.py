"""Schedules: what a deployment runs by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fanfold.cli import options
from fanfold.cli.output import Column, print_json, print_table, print_text
from fanfold.core.formatting import counted

if TYPE_CHECKING:
    from fanfold.api.schedules import Schedule

ScheduleName = Annotated[str, typer.Argument(metavar="NAME", help="As `fanfold schedule list` shows it.")]

_SHOWN = 5


def list_schedules(engine: options.EngineName = None, as_json: options.AsJson = False) -> None:
    """List the schedules of the deployment. They are made in Python: udf.schedule("0 6 * * *", inputs)."""
    from fanfold.api.schedules import schedules

    found = schedules(engine)
    if as_json:
        print_json([_record(one) for one in found])
    elif not found:
        print_text("no schedules")
    else:
        rows = ((one.name, one.definition.header.name, one.cron, one.timezone, _state(one)) for one in found)
        print_table([Column(name) for name in ("name", "udf", "when", "timezone", "state")], rows)


def show(name: ScheduleName, engine: options.EngineName = None, as_json: options.AsJson = False) -> None:
    """Show a schedule, and the last jobs that it has started."""
    from fanfold.api.schedules import get_schedule

    found = get_schedule(name, engine)
    jobs = found.jobs(_SHOWN)
    if as_json:
        print_json({**_record(found), "jobs": [{"job": job.id, "status": job.status} for job in jobs]})
        return
    header = found.definition.header
    print_text(f"{found.name} · {header.name} · {_state(found)}\n  when     {found.cron} ({found.timezone})")
    print_text(f"  inputs   {counted(header.count, 'run')} each time\n  owner    {header.owner}")
    for job in jobs:
        print_text(f"  job      {job.id} {job.status}")


def pause(name: ScheduleName, engine: options.EngineName = None, as_json: options.AsJson = False) -> None:
    """Have a schedule start no job until it is resumed."""
    found = _found(name, engine)
    found.pause()
    _say(name, "paused", as_json, f"{name} is paused; `fanfold schedule resume {name}` goes on with it")


def resume(name: ScheduleName, engine: options.EngineName = None, as_json: options.AsJson = False) -> None:
    """Have a schedule start jobs again. What was due meanwhile is not made up for."""
    found = _found(name, engine)
    found.resume()
    _say(name, "on", as_json, f"{name} starts jobs at {found.cron!r} ({found.timezone})")


def remove(name: ScheduleName, engine: options.EngineName = None, as_json: options.AsJson = False) -> None:
    """Remove a schedule. The jobs that it has started stay."""
    from fanfold.api.schedules import scheduler_of
    from fanfold.engines.base import engine_for

    scheduler_of(engine_for(engine)).remove(name)
    _say(name, "removed", as_json, f"{name} is removed")


def _found(name: str, engine: str | None) -> Schedule:
    from fanfold.api.schedules import get_schedule

    return get_schedule(name, engine)


def _say(name: str, state: str, as_json: bool, text: str) -> None:
    if as_json:
        print_json({"schedule": name, "state": state})
    else:
        print_text(text)


def _state(schedule: Schedule) -> str:
    return "paused" if schedule.paused else "on"


def _record(schedule: Schedule) -> dict[str, Any]:
    header = schedule.definition.header
    return {
        "schedule": schedule.name,
        "udf": header.name,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "state": _state(schedule),
        "runs": header.count,
        "owner": header.owner,
    }
