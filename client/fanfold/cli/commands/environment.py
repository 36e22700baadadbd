"""What UDFs find around them: packages of their own, and secrets."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from fanfold.cli import options
from fanfold.cli.output import print_json, print_text
from fanfold.core.formatting import counted

if TYPE_CHECKING:
    from fanfold.engines.base import Secrets


def update(as_json: options.AsJson = False) -> None:
    """Take the newest versions that the same words allow, from now on.

    A list of packages keeps the versions that it had when it was first used, until this command. Nothing is fetched
    now.
    """
    from fanfold.submission.packages import forget_locks

    forgotten = forget_locks()
    if as_json:
        print_json({"forgotten": forgotten})
    else:
        print_text(f"{counted(forgotten, 'list')} of packages will be looked up anew")


# Secrets, of this machine or of a deployment.

SecretName = Annotated[str, typer.Argument(metavar="NAME", help="Such as db-password, which runs have as DB_PASSWORD.")]


def set_secret(name: SecretName, engine: options.EngineName = None, as_json: options.AsJson = False) -> None:
    """Keep a secret. The command asks for its value.

    Where stdin is no terminal, it reads the value from there. It never shows the value. Here the secret goes into the
    system's keyring, or where there is none into a file that only you may read; with --engine aws into the deployment,
    for everybody's UDFs.
    """
    value = typer.prompt("Value", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.read().rstrip("\n")
    _secrets(engine).set(name, value)
    _say_names([name], as_json, f"{name} is kept")


def list_secrets(engine: options.EngineName = None, as_json: options.AsJson = False) -> None:
    """List the names of the secrets that are kept."""
    names = _secrets(engine).names()
    _say_names(names, as_json, "\n".join(names) or "no secrets")


def remove_secret(name: SecretName, engine: options.EngineName = None, as_json: options.AsJson = False) -> None:
    """Forget a secret."""
    _secrets(engine).remove(name)
    _say_names([name], as_json, f"{name} is forgotten")


def _secrets(engine: str | None) -> Secrets:
    from fanfold.engines.base import engine_for

    return engine_for(engine).stores.secrets


def _say_names(names: list[str], as_json: bool, text: str) -> None:
    if as_json:
        print_json({"secrets": names})
    else:
        print_text(text)
