"""Commands that change what becomes of a job: cancel, retry."""

from __future__ import annotations

from typing import Annotated

import typer

from fanfold.cli import options
from fanfold.cli.output import note, print_json, print_text
from fanfold.cli.records import status_record
from fanfold.cli.waiting import detach, report_end, report_start, wait_or_cancel
from fanfold.core.models import JobStatus


def cancel(job: options.JobId, engine: options.EngineName = None, as_json: options.AsJson = False) -> None:
    """Stop a job: its runs end, and no more are started.

    What has finished stays finished. It returns when nothing runs. A job that has ended already is left as it is.
    """
    from fanfold.api.submit import get_job

    found = get_job(job, engine=engine)
    if found.status not in (JobStatus.QUEUED.value, JobStatus.RUNNING.value):
        note(f"Job {found.id} has ended already.")
    found.cancel()  # of one that was cancelled it stops what could not be stopped then
    if as_json:
        print_json(status_record(found))
    else:
        print_text(str(found.summary()))


def retry(
    job: options.JobId,
    fixed: Annotated[
        str | None,
        typer.Option("--with", metavar="UDF", help="The fixed code, as flights.py or flights.py:delays."),
    ] = None,
    run: Annotated[
        list[int] | None, typer.Option("--run", metavar="N", help="Only this run, numbered from 0; repeat it.")
    ] = None,
    budget: options.Budget = None,
    no_wait: options.NoWait = False,
    engine: options.EngineName = None,
    as_json: options.AsJson = False,
) -> None:
    """Run again what failed, was cancelled or was lost.

    What has succeeded stays as it is. With --run only some of it is run. With --with these runs get new code, and
    `fanfold verify` says how many runs had which. With --budget, a job that has reached its budget goes on. Waits for
    the end, as submit does.
    """
    from fanfold.api.submit import get_job
    from fanfold.api.udf_file import load_udf

    udf = None if fixed is None else load_udf(fixed)
    if no_wait:
        detach(engine)
    found = get_job(job, engine=engine)
    if found.status == JobStatus.COMPLETED.value:
        note(f"Every run of job {found.id} has its result: there is nothing to run again.")
    found = found.retry(udf, runs=run or None, budget_usd=budget)
    if no_wait:
        report_start(found, as_json=as_json)
    else:
        report_end(wait_or_cancel(found), as_json=as_json)
