"""Commands to ask before anything runs: plan, doctor."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fanfold.api.udf_file import load_udf
from fanfold.cli import options
from fanfold.cli.exits import ExitCode
from fanfold.cli.inputs import inputs_from, parameters_from
from fanfold.cli.output import Column, note, print_json, print_table, print_text
from fanfold.cli.records import check_record, instance_type_record, plan_record
from fanfold.errors import InputError


def plan(
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
    cache: options.Cache = True,
    past_runs_only: Annotated[
        bool, typer.Option("--past-runs-only", help="Run nothing for a sample; what was never run is an error.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Say what a submit would take, in time and dollars.

    It compares the ways to run it, and says which seems best. It goes by this UDF's past runs; where there are none, it
    runs 3 to 6 of the inputs, and keeps their results in the cache.
    """
    from fanfold.submission.plan import plan as planned

    found = planned(
        load_udf(udf),
        inputs_from(values or [], inputs, numbers, results_of, by),
        engine=engine,
        instance_type=instance_type,
        max_workers=workers,
        cache=cache,
        past_runs_only=past_runs_only,
        **dict[str, Any](parameters_from(constants or [])),
    )
    if as_json:
        print_json(plan_record(found))
    else:
        print_text(str(found))


def explain(
    udf: Annotated[
        str | None, typer.Argument(metavar="UDF", help="Its file, as flights.py; or flights.py:delays.")
    ] = None,
    *,
    cache: Annotated[
        tuple[str, str] | None,
        typer.Option("--cache", metavar="EARLIER LATER", help="Two jobs instead: why the later one was (not) cached."),
    ] = None,
    engine: options.EngineName = None,
    as_json: options.AsJson = False,
) -> None:
    """Say what travels with a UDF, and what stays behind.

    It tells by which lane each thing goes, with sizes; which statements of the top of its file are executed again, and
    which are not; and the code hash, by which the cache knows it. Nothing is sent. With --cache it is about two jobs:
    which part of the cache key differs, and why each run came from the cache or did not.
    """
    if (udf is None) == (cache is None):
        raise InputError("Give a UDF, or --cache with two jobs.", next_step="`fanfold explain --cache EARLIER LATER`.")
    if cache is not None:
        _explain_cache(*cache, engine=engine, as_json=as_json)
        return
    from fanfold.source.explain import explain as explained

    found = explained(load_udf(str(udf)))
    if as_json:
        print_json(found.as_dict())
    else:
        print_text(str(found))


def _explain_cache(earlier: str, later: str, *, engine: str | None, as_json: bool) -> None:
    from dataclasses import asdict

    from fanfold.api.submit import get_job

    told = get_job(later, engine=engine).explain_cache(get_job(earlier, engine=engine))
    if as_json:
        print_json(asdict(told))
    else:
        print_text(str(told))


def doctor(as_json: options.AsJson = False) -> None:
    """Look for what may be in the way, here and in AWS.

    Here: Python, cores, memory, disk, the store, a worker process, optional packages. In AWS, where a deployment is
    named: whether it is found and in order, and the account's quotas of runs and vCPUs. Exits with 1 where something
    fails.
    """
    from fanfold.diagnosis import doctor as diagnosed

    found = diagnosed(show=False)
    if as_json:
        print_json([check_record(check) for check in found.checks])
    else:
        print_text(str(found))
    if not found:
        raise typer.Exit(ExitCode.FAILED)


# What can be asked for: instance-types.

_COLUMNS = (
    Column("name"),
    Column("vCPUs", right=True),
    Column("memory", right=True),
    Column("served by"),
    Column("per hour", right=True),
    Column("Spot", right=True),
)


def instance_types(engine: options.EngineName = None, as_json: options.AsJson = False) -> None:
    """List the machines that --instance-type takes.

    Each stands with what its name means, and what it costs on AWS, on demand and as a Spot machine; on this machine
    they cost nothing. The machine that serves it may have more vCPUs and memory.
    """
    from fanfold.core.pricing import prices
    from fanfold.engines.base import engine_for

    charged = prices()
    known = engine_for(engine).describe().instance_types.values()
    if as_json:
        print_json([instance_type_record(machine, charged) for machine in known])
        return
    rows = [
        (
            machine.name,
            f"{machine.vcpus:,}",
            f"{machine.memory_gib:,g} GiB",
            machine.host.name,
            # To the cent, the small ones would all look alike.
            *(f"${machine.host.price(charged, spot=spot):,.3f}" for spot in (False, True)),
        )
        for machine in known
    ]
    print_table(_COLUMNS, rows)
    note(f"Prices of {charged.as_of} in {charged.region}.")
