"""All commands of `fanfold`, each with an example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from fanfold.cli.commands import (
    advice,
    agents,
    connect,
    data,
    environment,
    origins,
    results,
    schedules,
    start,
    steer,
    storage,
    watch,
    workbench,
)
from fanfold.cli.groups import GuardedGroup, LightCommand, LightGroup
from fanfold.contract.records import NamedTuple


class Command(NamedTuple):
    """A command and what its help shows as examples."""

    run: Callable[..., Any]
    examples: tuple[str, ...]


_JOB = "20260131-141502-river-7f3a09c4"

#: The order is that of `fanfold --help`. Another command is another line here; its JSON keys go into `records.KEYS`,
#: and `docs/cli.md` is written anew with FANFOLD_UPDATE_DOCS=1 by tests/cli/test_reference.py.
COMMANDS: dict[str, Command] = {
    "run": Command(
        start.run, ("fanfold run flights.py day=2013-01-01", "fanfold run flights.py --with scikit-learn==1.5.2")
    ),
    "submit": Command(
        start.submit,
        (
            "fanfold submit flights.py 2013-01-01 2013-01-02",
            "fanfold submit flights.py --inputs days.csv --workers 4",
            "fanfold submit square.py -- -1 -2",
            "fanfold submit square.py --range 0:100 --set power=3 --escalate medium",
            "fanfold submit total.py --results-of - --by year --budget 5",
            "fanfold submit heavy.py -i y.csv --instance-type medium --processes auto",
            "JOB=$(fanfold submit square.py --range 0:100 --no-wait)",
        ),
    ),
    "plan": Command(
        advice.plan, ("fanfold plan flights.py --inputs days.csv", "fanfold plan square.py --range 0:10000 --json")
    ),
    "jobs": Command(
        watch.jobs,
        (
            "fanfold jobs --limit 5",
            "fanfold jobs --tag project=floods",
            "fanfold jobs --watch",
            "fanfold jobs --json | jq '.[0].id'",
        ),
    ),
    "status": Command(watch.status, (f"fanfold status {_JOB}", f"fanfold status --watch {_JOB}")),
    "logs": Command(watch.logs, (f"fanfold logs -f {_JOB}", f"fanfold logs {_JOB} --run 3")),
    "times": Command(results.times, (f"fanfold times {_JOB} --slowest --limit 10",)),
    "errors": Command(results.errors, (f"fanfold errors {_JOB}", f"fanfold errors {_JOB} --run 3")),
    "report": Command(results.report, (f"fanfold report {_JOB} -o report.html",)),
    "debug": Command(origins.debug, (f"fanfold debug {_JOB} 17", f"fanfold debug {_JOB} 17 --json")),
    "collect": Command(results.collect, (f"fanfold collect {_JOB} -o delays.parquet",)),
    "profile": Command(
        origins.profile, (f"fanfold profile {_JOB} 17", f"fanfold profile {_JOB} 17 --memory -o page.html")
    ),
    "why": Command(origins.why, (f"fanfold why {_JOB} 17",)),
    "diff": Command(origins.diff, (f"fanfold diff {_JOB} -",)),
    "export": Command(results.export, (f"fanfold export {_JOB} delays-2013",)),
    "cancel": Command(steer.cancel, (f"fanfold cancel {_JOB}",)),
    "retry": Command(
        steer.retry,
        (
            f"fanfold retry {_JOB}",
            f"fanfold retry {_JOB} --with flights.py:delays",
            f"fanfold retry {_JOB} --run 3 --run 7",
        ),
    ),
    "verify": Command(results.verify, (f"fanfold verify {_JOB}", "fanfold verify delays-2013")),
    "remove": Command(storage.remove, (f"fanfold remove {_JOB}", "fanfold remove --older-than 7d")),
    "salvage": Command(storage.salvage, ("fanfold salvage",)),
    "ls": Command(data.ls, ("fanfold ls", "fanfold ls tiles --recursive")),
    "cp": Command(
        data.cp, ("fanfold cp days.csv data:", "fanfold cp tiles data:tiles", "fanfold cp data:tiles/7.tif .")
    ),
    "instance-types": Command(advice.instance_types, ("fanfold instance-types",)),
    "explain": Command(
        advice.explain,
        (
            "fanfold explain flights.py",
            "fanfold explain flights.py:delays --json",
            f"fanfold explain --cache {_JOB} -",
        ),
    ),
    "connect": Command(connect.connect, ("fanfold connect main --region eu-central-1",)),
    "doctor": Command(advice.doctor, ("fanfold doctor",)),
    "workbench": Command(
        workbench.workbench, ("fanfold workbench", "fanfold workbench flights/ --no-open --port 8800")
    ),
    "mcp": Command(agents.mcp, ("fanfold mcp",)),
}

#: Groups of commands: what each is about, and its commands.
GROUPS: dict[str, tuple[str, dict[str, Command]]] = {
    "cache": (
        "The results that are kept on this machine.",
        {
            "size": Command(storage.size, ("fanfold cache size",)),
            "clear": Command(
                storage.clear, ("fanfold cache clear --older-than 7d", "fanfold cache clear --udf delays")
            ),
        },
    ),
    "packages": (
        "The packages that UDFs bring along (packages=, --with).",
        {"update": Command(environment.update, ("fanfold packages update",))},
    ),
    "secret": (
        "Secrets, which UDFs ask for by their names.",
        {
            "set": Command(
                environment.set_secret,
                ("fanfold secret set db-password", "fanfold secret set db-password --engine aws"),
            ),
            "list": Command(environment.list_secrets, ("fanfold secret list",)),
            "remove": Command(environment.remove_secret, ("fanfold secret remove db-password",)),
        },
    ),
    "schedule": (
        "What a deployment runs by itself.",
        {
            "list": Command(schedules.list_schedules, ("fanfold schedule list",)),
            "show": Command(schedules.show, ("fanfold schedule show nightly",)),
            "pause": Command(schedules.pause, ("fanfold schedule pause nightly",)),
            "resume": Command(schedules.resume, ("fanfold schedule resume nightly",)),
            "remove": Command(schedules.remove, ("fanfold schedule remove nightly",)),
        },
    ),
}


def _group(help_text: str, **settings: Any) -> typer.Typer:
    # Plain help: it is read in 80 columns, in pipes and in docs/cli.md, and needs no rich to be imported.
    return typer.Typer(
        help=help_text,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        **settings,
    )


def _add(group: typer.Typer, commands: dict[str, Command]) -> None:
    for name, command in commands.items():
        examples = "\n".join(f"  {example}" for example in command.examples)
        title = "Example" if len(command.examples) == 1 else "Examples"
        group.command(name, cls=LightCommand, epilog=f"\b\n{title}:\n{examples}")(command.run)


def _print_version(asked: bool) -> None:
    if asked:
        from fanfold import __version__

        typer.echo(f"fanfold {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Scale a Python function out: run a UDF over many inputs, and fold the results back."""


app = _group(str(_options.__doc__), cls=GuardedGroup)
app.callback()(_options)
_add(app, COMMANDS)
for _name, (_about, _commands) in GROUPS.items():
    _below = _group(_about, cls=LightGroup)
    _add(_below, _commands)
    app.add_typer(_below, name=_name)
