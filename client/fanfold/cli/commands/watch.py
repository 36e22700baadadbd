"""Commands that tell how jobs stand: jobs, status, logs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Annotated

import typer

from fanfold.cli import options
from fanfold.cli.exits import ExitCode, code_of
from fanfold.cli.output import ago, note, print_json, print_json_line, print_text
from fanfold.cli.records import check_run, log_record, status_record
from fanfold.core.models import Event, JobStatus, RunStatus
from fanfold.engines.base import engine_for
from fanfold.job import Job

#: Seconds between two looks for output where the store has no news to wait for.
_LOOK_S = 0.25

_STOPPED = "Stopped looking"


def jobs(
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Jobs at most.")] = 20,
    owner: Annotated[str | None, typer.Option(metavar="NAME", help="Another's jobs instead of mine.")] = None,
    everyone: Annotated[bool, typer.Option("--all", help="The whole team's jobs.")] = False,
    tag: options.Tags = None,
    by: Annotated[
        str | None, typer.Option(metavar="NAME", help="What these jobs cost together, by the values of that tag.")
    ] = None,
    watch: options.Watch = False,
    engine: options.EngineName = None,
    as_json: options.AsJson = False,
) -> None:
    """List the latest jobs, newest first.

    With --watch the list stays up to date until Ctrl-C: in place on a terminal, else with a new list, or with --json a
    line for each job, when something has changed.
    """
    from fanfold.api.submit import get_jobs
    from fanfold.cli.views import JobList

    whose = None if everyone else owner or "me"
    tags = options.tags(tag)
    none = "No jobs yet: `fanfold submit` starts one."
    if whose not in (None, "me"):
        none = f"No jobs of {whose}; --all shows the team's."
    if tags:
        none = f"No jobs with {', '.join(tag or ())}."
    listed = JobList(lambda: get_jobs(limit=limit, owner=whose, tags=tags, engine=engine), none=none)
    if by is not None:
        print_json(listed.costs_by(by)) if as_json else print_text(listed.costs_table(by))
    elif watch:
        from fanfold.cli.views import show

        look = listed.changes if as_json else listed.view
        show(look, engine_for(engine), stopped=f"{_STOPPED}; jobs go on.", in_place=not as_json)
    elif as_json:
        print_json(listed.records())
    else:
        print_text(listed.view().told)


def status(
    job: options.JobId, watch: options.Watch = False, engine: options.EngineName = None, as_json: options.AsJson = False
) -> None:
    """Show how a job stands.

    That is its runs, times, memory, cost, and advice where there is any. With --watch it stays up to date until the job
    ends: in place on a terminal, else with a line, or with --json an object, when something has changed.

    The exit code tells it as well: 0 completed, 1 failed or cancelled, 4 not complete yet.
    """
    from fanfold.api.submit import get_job
    from fanfold.cli.views import job_change, job_view

    found = get_job(job, engine=engine)
    if watch:
        from fanfold.cli.views import show

        look = partial(job_change if as_json else job_view, found)
        show(look, engine_for(engine), stopped=f"{_STOPPED}; job {found.id} goes on.", in_place=not as_json)
    elif as_json:
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
    from fanfold.api.submit import get_job

    found = get_job(job, engine=engine)
    check_run(found, run)
    if not as_json and not follow:
        text = str(found.logs()) if run is None else found.logs(run)
        print_text(text, end="")
        if not text:
            note(_why_silent(found, run))
        return
    try:
        for event in _events(found, engine, follow=follow):
            if run in (None, event.index):
                _print_event(event, as_json=as_json, alone=run is not None)
    except KeyboardInterrupt:
        note(f"\nStopped looking; job {found.id} goes on.")
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _why_silent(job: Job, run: int | None) -> str:
    """That nothing was printed; of results from the cache, that their runs have printed with the job that made them."""
    cached = set(job.tracker.patiently(job.tracker.look).indexes(RunStatus.CACHED))
    if not (cached if run is None else run in cached):
        return "Nothing was printed."
    some = min(cached) if run is None else run
    whose = "what is from the cache" if run is None else f"run {some} is from the cache and"
    return f"Nothing was printed here: {whose} was computed by another job, which `fanfold why {job.id} {some}` names."


def _events(job: Job, engine: str | None, *, follow: bool) -> Iterator[Event]:
    """What the runs print: so far, or as they print it until the job has ended, through all of a store's silences."""
    from fanfold.job.logs import LogReader

    reader = LogReader(job.contents)
    if not follow:
        yield from reader.news()
        return
    patiently = job.tracker.patiently
    while True:
        # Asked before reading: what is printed up to a job's end is there when it has ended.
        over = patiently(lambda: not _is_open(job))
        yield from reader.news(patiently)
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
