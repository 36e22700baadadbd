"""Waiting for a job that a command has started, and leaving one to itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from fanfold.cli.exits import ExitCode, code_of
from fanfold.cli.output import note, print_json, print_text
from fanfold.cli.records import status_record
from fanfold.core.formatting import counted
from fanfold.engines.base import engine_for
from fanfold.job import Job
from fanfold.job.logs import show_output


def detach(engine: str | None) -> None:
    """Let what this process starts outlive it."""
    engine_for(engine).detached = True


def wait_and_show(job: Job) -> Job:
    """Wait until the only run of a job has ended, and show on stderr what it prints. Ctrl-C cancels the job."""
    with cancelling(job):
        show_output(job.tracker, job.contents, out=sys.stderr)
    return job


def wait_or_cancel(job: Job) -> Job:
    """Wait until the job has ended. Ctrl-C is meant for it: it is cancelled, and the command ends."""
    with cancelling(job):
        return job.wait()


@contextmanager
def cancelling(job: Job) -> Iterator[None]:
    """A Ctrl-C within is meant for the job: it is cancelled, and the command ends."""
    try:
        yield
    except KeyboardInterrupt:
        note(f"\nInterrupted: cancelling job {job.id} ...")
        job.cancel()
        note(f"Cancelled. `fanfold retry {job.id}` runs what is missing.")
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def report_end(job: Job, *, as_json: bool) -> None:
    """Tell how a job has ended, with the first failure, and end the command with the code for it."""
    if as_json:
        print_json(status_record(job))
    else:
        print_text(str(job.summary()))
    if (first := job.first_error()) is not None:
        again = f"`fanfold retry {job.id}` runs them again, with `--with FILE.py` by the fixed code"
        note(f"\n{first.message}\n  Next: `fanfold errors {job.id}` has all; {again}.")
    raise typer.Exit(code_of(job.state.status))


def report_start(job: Job, *, as_json: bool) -> None:
    """Tell of a job that goes on by itself: its id alone on stdout, for a script to take."""
    if as_json:
        print_json(status_record(job))
        return
    print_text(job.id)
    note(f"{job.name}: {counted(len(job), 'run')}. `fanfold status {job.id}` shows how it goes.")
