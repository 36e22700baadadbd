"""Commands that tell how one run came to be what it is."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from fanfold.cli import options
from fanfold.cli.output import print_json, print_text
from fanfold.cli.records import check_run, post_mortem_record, profile_record

RunNumber = Annotated[int, typer.Argument(metavar="RUN", help="The run's number, from 0.")]


def debug(
    job: options.JobId,
    run: RunNumber,
    *,
    pdb: Annotated[
        bool | None, typer.Option("--pdb/--no-pdb", help="Open the debugger; else where there is a terminal.")
    ] = None,
    engine: options.EngineName = None,
    as_json: options.AsJson = False,
) -> None:
    """Call a failed run again here, to see why it fails.

    The call has the code and the arguments of the failed run. Values are shortened, and secrets among them masked. What
    the run prints goes to stderr.
    """
    from fanfold.api.submit import get_job

    found = get_job(job, engine=engine)
    check_run(found, run)
    if as_json:
        with redirect_stdout(sys.stderr):
            post_mortem = found[run].debug(pdb=False)
        print_json(post_mortem_record(post_mortem))
        return
    post_mortem = found[run].debug(pdb=pdb)
    print_text(str(post_mortem))


def profile(
    job: options.JobId,
    run: RunNumber,
    *,
    memory: Annotated[bool, typer.Option("--memory", help="Measure memory as well, by a second call.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the call tree as a page of its own.")
    ] = None,
    engine: options.EngineName = None,
    as_json: options.AsJson = False,
) -> None:
    """Call a run again here, to see which lines take its time.

    The call has the code and the arguments of the run. What the run prints goes to stderr.
    """
    from fanfold.api.submit import get_job

    found = get_job(job, engine=engine)
    check_run(found, run)
    with redirect_stdout(sys.stderr):
        profiled = found[run].profile(memory=memory)
        if output is not None:
            profiled.save(output)
    if as_json:
        print_json(profile_record(profiled))
    else:
        print_text(str(profiled))


def why(job: options.JobId, run: RunNumber, engine: options.EngineName = None, as_json: options.AsJson = False) -> None:
    """Show where the result of a run comes from.

    That is its code, commit, arguments, packages, image, tries and times, all from what is stored with the job.
    """
    from dataclasses import asdict

    from fanfold.api.submit import get_job

    found = get_job(job, engine=engine)
    check_run(found, run)
    told = found[run].why()
    if as_json:
        print_json(asdict(told))
    else:
        print_text(str(told))


def diff(
    job: options.JobId, other: options.JobId, engine: options.EngineName = None, as_json: options.AsJson = False
) -> None:
    """Show what differs between two jobs.

    That is code, inputs, options, packages, results of the same inputs, and times.
    """
    from dataclasses import asdict

    from fanfold.api.submit import get_job

    told = get_job(job, engine=engine).diff(get_job(other, engine=engine))
    if as_json:
        print_json({**asdict(told), "same": told.same})
    else:
        print_text(str(told))
