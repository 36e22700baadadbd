"""Commands that tell how jobs stand: jobs, status, logs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from fanfold.cli import options
from fanfold.cli.exits import ExitCode, code_of
from fanfold.cli.output import Column, note, print_json, print_json_line, print_table, print_text
from fanfold.cli.records import job_record, log_record, status_record
from fanfold.cli.runs import check_run
from fanfold.cli.wording import ago
from fanfold.job import Job
from fanfold.models import Event, EventKind, JobStatus

#: Seconds between two looks for output where the store has no news to wait for.
_LOOK_S = 0.25

_JOB_COLUMNS = (
    Column("job"),
    Column("name", flexible=True),
    Column("status"),
    Column("done", right=True),
    Column("started"),
    Column("cost", right=True),
)


def jobs(
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Jobs at most.")] = 20,
    owner: Annotated[str | None, typer.Option(metavar="NAME", help="Another's jobs instead of mine.")] = None,
    everyone: Annotated[bool, typer.Option("--all", help="The whole team's jobs.")] = False,
    engine: options.EngineName = None,
    as_json: options.AsJson = False,
) -> None:
    """List the latest jobs, newest first."""
    from fanfold.api import get_jobs

    found = get_jobs(limit=limit, owner=None if everyone else owner or "me", engine=engine)
    records = [job_record(job) for job in found]
    if as_json:
        print_json(records)
    elif not found:
        print_text("No jobs yet: `fanfold submit` starts one.")
    else:
        now = time.time()
        ages = [ago(job.header.created_at, now) for job in found]
        costs = [str(job.cost()) for job in found]
        cells = zip(records, ages, costs, strict=True)
        print_table(_JOB_COLUMNS, [(r["id"], r["name"], r["status"], _done(r), age, cost) for r, age, cost in cells])


def status(job: options.JobId, engine: options.EngineName = None, as_json: options.AsJson = False) -> None:
    """Show how a job stands.

    That is its runs, times, memory, cost, and advice where there is any.

    The exit code tells it as well: 0 completed, 1 failed or cancelled, 4 not complete yet.
    """
    from fanfold.api import get_job

    found = get_job(job, engine=engine)
    if as_json:
        print_json(status_record(found))
    else:
        print_text(str(found.summary()))
        print_text(f"  started  {ago(found.header.created_at, time.time())}")
    raise typer.Exit(code_of(found.state.status))


def logs(
    job: options.JobId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,
    run: options.OneRun = None,
    engine: options.EngineName = None,
    as_json: options.AsJson = False,
) -> None:
    """Print what a job's runs have printed.

    Each line stands after its run's number. With -f, lines come as they are printed; Ctrl-C stops looking, not the
    job. JSON is one object a line.
    """
    from fanfold.api import get_job

    found = get_job(job, engine=engine)
    check_run(found, run)
    if not as_json and not follow:
        print_text(str(found.logs()) if run is None else found.logs(run), end="")
        return
    try:
        for event in _events(found, engine, follow=follow):
            if run in (None, event.index):
                _print_event(event, as_json=as_json, alone=run is not None)
    except KeyboardInterrupt:
        note(f"\nStopped looking; job {found.id} goes on.")
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _events(job: Job, engine: str | None, *, follow: bool) -> Iterator[Event]:
    """What the runs print: so far, or as they print it until the job has ended."""
    from fanfold.engines.select import engine_for

    cursor: str | None = None
    while True:
        # Asked before reading: what is printed up to a job's end is there when it has ended.
        over = not follow or not _is_open(job)
        for event, cursor in job.contents.telemetry(EventKind.LOG, cursor):  # noqa: B007, B020  each page moves it on
            yield event
        if over:
            return
        engine_for(engine).wait_for_news(_LOOK_S)


def _is_open(job: Job) -> bool:
    return job.status in (JobStatus.QUEUED.value, JobStatus.RUNNING.value)


def _print_event(event: Event, *, as_json: bool, alone: bool) -> None:
    text = str(event.data["text"])
    if as_json:
        print_json_line(log_record(event))
    elif alone:
        print_text(text, end="")
    else:
        print_text("".join(f"[{event.index}] {line}\n" for line in text.splitlines()), end="")


def _done(record: dict[str, Any]) -> str:
    """How many of a job's runs have ended, of all."""
    open_runs = record["counts"].get("queued", 0) + record["counts"].get("running", 0)
    return f"{record['runs'] - open_runs:,}/{record['runs']:,}"
