"""Commands that start work: run, submit."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fanfold.cli import options
from fanfold.cli.inputs import inputs_from, mention_text, parameters_from
from fanfold.cli.output import note, print_json, print_text
from fanfold.cli.records import value_record
from fanfold.cli.waiting import cancelling, detach, report_end, report_start, wait_and_show
from fanfold.core.formatting import counted
from fanfold.core.models import JobStatus
from fanfold.errors import InputError

if TYPE_CHECKING:
    from fanfold.job import Job
from fanfold.api.udf_file import load_udf


def run(
    udf: options.UdfFile,
    parameters: Annotated[list[str] | None, typer.Argument(metavar="NAME=VALUE", help="Its arguments.")] = None,
    *,
    engine: options.EngineName = None,
    instance_type: options.InstanceTypeName = None,
    cache: options.Cache = True,
    cache_max_age: options.CacheMaxAge = None,
    packages: options.Packages = None,
    image: options.Image = None,
    as_json: options.AsJson = False,
) -> None:
    """Run a UDF once and print its value.

    Values are made to fit the UDF's annotations: `n=5` is the number 5 for `n: int`, and text where nothing is said.
    What it prints goes to stderr.
    """
    from fanfold.api.submit import submit

    loaded = _loaded(udf, packages, image)
    job: Any = submit(
        loaded,
        mention_text(loaded, [parameters_from(parameters or [])], parameters),
        engine=engine,
        instance_type=instance_type,
        cache=cache,
        cache_max_age=cache_max_age,
        collect=False,
    )
    _print_value(wait_and_show(job).result(0), as_json=as_json)


def _loaded(udf: str, packages: list[str] | None, image: str | None) -> Any:
    """The UDF, with these packages beside those that it brings along, and with that image."""
    from fanfold.api.submit import with_environment

    loaded, more = load_udf(udf), None
    if packages:
        from fanfold.core.options import unwrapped
        from fanfold.environments.requirements import with_more

        function, own = unwrapped(loaded)
        more = with_more(function, own.packages, packages)
    return with_environment(loaded, packages=more, image=image)


def submit(
    udf: options.UdfFile,
    values: options.Values = None,
    *,
    inputs: options.InputsFile = None,
    numbers: options.Numbers = None,
    results_of: options.ResultsOf = None,
    by: options.GroupedBy = None,
    constants: options.Constants = None,
    engine: options.EngineName = None,
    instance_type: options.InstanceTypeName = None,
    workers: options.Workers = None,
    processes: options.Processes = "1",
    retries: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Tries beyond the first, for a run that was lost. [default: 2]"),
    ] = None,
    retry_on: Annotated[
        list[str] | None, typer.Option(metavar="ERROR", help="An exception that is worth another try; repeat it.")
    ] = None,
    cache: options.Cache = True,
    cache_max_age: options.CacheMaxAge = None,
    packages: options.Packages = None,
    image: options.Image = None,
    tag: options.Tags = None,
    budget: options.Budget = None,
    ramp: Annotated[bool, typer.Option("--ramp", help="Start 1, 5, 50 runs, then all; stop where they fail.")] = False,
    escalate: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A machine, or several with commas, for runs that met a limit of time or memory, while others go on.",
            autocompletion=options.instance_type_names,
        ),
    ] = None,
    stop_on_error: Annotated[
        str,
        typer.Option(metavar="WHEN", help="Start no more runs when 10 fail alike (same), at the first, or never."),
    ] = "same",
    debug: Annotated[bool, typer.Option("--debug", help="Run the first input only and print its value.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help=f"Write the results to it: {options.FORMATS}")
    ] = None,
    notify: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Who is told when the job has ended: https://... or an SNS topic's ARN."),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(metavar="N/s", help="How many runs may begin in a time: 20/s, 100/m, 500/h."),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(metavar="N", help="So many short inputs share an invocation of a function, up to 40.")
    ] = None,
    hedge: Annotated[
        bool, typer.Option("--hedge", help="Start a duplicate of each slow run; the first that ends counts.")
    ] = False,
    no_wait: options.NoWait = False,
    as_json: options.AsJson = False,
) -> None:
    """Run a UDF over many inputs, in parallel.

    Inputs are values, a file, a range, or another job's results. A row of a file is one run, its columns are
    parameters; so is a line of JSON. Every input is checked against the UDF's annotations before anything starts.
    Waits for the end and prints what it took; -o writes the results to a file, as `fanfold collect` does later.
    Ctrl-C cancels the job.
    """
    from fanfold.api.submit import submit as start
    from fanfold.core.options import places, unwrapped

    _check_output(output, debug=debug, no_wait=no_wait)
    function = _loaded(udf, packages, image)
    if no_wait and not debug:
        detach(places(engine, instance_type)[0] or unwrapped(function)[1].engine)
    with redirect_stdout(sys.stderr if debug else sys.stdout):  # what a UDF prints is not the command's output
        outcome: Any = start(
            function,
            mention_text(function, inputs_from(values or [], inputs, numbers, results_of, by), values, inputs),
            engine=engine,
            instance_type=instance_type,
            max_workers=workers,
            n_processes_per_worker=options.processes(processes),
            max_retry=retries,
            retry_on=tuple(retry_on or ()),
            cache=cache,
            cache_max_age=cache_max_age,
            tags=options.tags(tag),
            ramp=ramp,
            budget_usd=budget,
            debug_mode=debug,
            escalate=escalate.split(",") if escalate else None,
            stop_on_error=stop_on_error,
            notify=notify,
            rate=rate,
            batch_size=batch_size,
            hedge=hedge,
            collect=False,
            **_constants(constants or [], start),
        )
    if debug:
        _print_value(outcome, as_json=as_json)
    else:
        _see_to_end(outcome, output, no_wait=no_wait, as_json=as_json)


def _see_to_end(job: Job, output: Path | None, *, no_wait: bool, as_json: bool) -> None:
    """Report a job's start, or wait for its end, write its results and report that."""
    if no_wait:
        report_start(job, as_json=as_json)
        return
    with cancelling(job):
        note(f"{job.name}: {counted(len(job), 'run')}, job {job.id}")
        ended = _wait_for(job)
    _write_results(ended, output)
    report_end(ended, as_json=as_json)


def _write_results(ended: Job, output: Path | None) -> None:
    if output is None:
        return
    from fanfold.job.export import name_of

    name = name_of(output)
    if ended.status != JobStatus.COMPLETED.value:
        later = f"`fanfold collect {ended.id} -o {name} --ignore-exceptions`"
        note(f"{name} was not written; {later} writes what there is.")
        return
    frame = ended.collect(output)
    note(f"{name}: {counted(len(frame), 'row')}")


def _check_output(output: Path | None, *, debug: bool, no_wait: bool) -> None:
    """Raises `InputError` for a file that could not be written, before anything starts."""
    if output is None:
        return
    from fanfold.job.export import check_target

    if debug or no_wait:
        raise InputError(
            "-o writes the results of a whole job when it has ended.",
            next_step="leave out --debug and --no-wait, or `fanfold collect JOB -o FILE` later. Nothing was started.",
        )
    check_target(output)


def _wait_for(job: Job) -> Job:
    """Wait for a job's end; raises `RampStopped` where its ramp has stopped it."""
    from fanfold.api.submit import raising_ramp_stopped, wait_for_ramp

    with raising_ramp_stopped(job):
        wait_for_ramp(job, None)
        return job.wait()


def _constants(pairs: list[str], start: Any) -> dict[str, Any]:
    """The constants, none of which may be called like an option of `fanfold.submit`."""
    import inspect

    constants: dict[str, Any] = parameters_from(pairs)
    for name in constants.keys() & inspect.signature(start).parameters.keys():
        raise InputError(
            f"--set {name}=...: a constant cannot be called {name!r}, which `fanfold.submit` keeps for itself.",
            next_step="give it with each input, as a column of the file.",
        )
    return constants


def _print_value(value: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(value_record(value))
    elif value is not None:
        print_text(str(value))
