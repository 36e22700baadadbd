"""What stands around every command: errors become a message and an exit code, never a traceback of Fanfold's."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer

from fanfold.cli.exits import ExitCode, code_for
from fanfold.cli.parsing import LightGroup
from fanfold.errors import FanfoldError


class GuardedGroup(LightGroup):
    """A group of commands that ends with an exit code whatever happens within."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Raises `typer.Exit` in place of errors, Ctrl-C and a pipe that was closed."""
        try:
            return super().invoke(ctx)
        except FanfoldError as error:
            typer.echo(f"Error: {error}", err=True)
            raise typer.Exit(code_for(error)) from None
        except KeyboardInterrupt as interrupt:
            typer.echo(f"Interrupted: {interrupt}." if interrupt.args else "Interrupted.", err=True)
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        except BrokenPipeError:
            _discard_output()
            raise typer.Exit(ExitCode.PIPE_CLOSED) from None


def _discard_output() -> None:
    """Send what is still buffered to nowhere: the interpreter flushes it at its end, and would complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
