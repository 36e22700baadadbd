"""The command that has this machine use a deployment from now on."""

from __future__ import annotations

from typing import Annotated

import typer

from fanfold.cli import options
from fanfold.cli.output import note, print_json, print_text


def connect(
    deployment: Annotated[str, typer.Argument(metavar="NAME", help="The deployment's name, such as main.")],
    region: Annotated[
        str | None, typer.Option("--region", metavar="REGION", help="Its AWS region; else as boto3 finds it.")
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option("--profile", metavar="NAME", help="The AWS profile to sign in with; else as boto3 finds it."),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Have this machine run things in a deployment from now on.

    Looks whether it is there, and only then writes it to config.toml in Fanfold's home. `--engine local` of a command
    still runs things here.
    """
    from fanfold import settings
    from fanfold.engines.base import engine_for

    given = {"deployment": deployment, "region": region, "profile": profile}
    settings.configure(deployment=deployment, region=region, profile=profile)
    described = engine_for("aws").describe()
    path = settings.write_to_file(given)
    if as_json:
        print_json({**given, "file": str(path), "instance_types": sorted(described.instance_types)})
        return
    print_text(f"{path} names the deployment {deployment!r} now.")
    note(f"It has {', '.join(sorted(described.instance_types)) or 'no machines'}; `fanfold doctor` looks at the rest.")
