"""Commands whose arguments are parsed without pydantic, as long as text is all they are."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from fanfold.cli.exits import ExitCode, code_for
from fanfold.errors import FanfoldError


class LightCommand(TyperCommand):
    """A command that imports pydantic only for an argument that has to become something else than text."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command's arguments."""
        _defer_pydantic(self.get_params(ctx))
        return super().parse_args(ctx, args)


class LightGroup(TyperGroup):
    """A group with the same thrift."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the group's own options."""
        _defer_pydantic(self.get_params(ctx))
        return super().parse_args(ctx, args)


def _defer_pydantic(params: Iterable[Any]) -> None:
    # Since 0.29 Typer has pydantic coerce every value, text to text and None to None, which takes 120 ms of the 300
    # that `fanfold jobs` takes. Typer offers no way around it; where its insides change, this only does nothing.
    for param in params:
        if getattr(param, "_runtime_param", "unknown") is None:
            param._runtime_param = _WhenNeeded()


class _WhenNeeded:
    """Stands for Typer's own coercion, and makes it when a value needs one."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value as the command takes it."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        wanted = param.type_descriptor.annotation
        if type(value) is wanted:
            return value
        if wanted == list[str] and isinstance(value, (list, tuple)) and all(type(item) is str for item in value):
            return list(value)
        param._runtime_param = None
        return param.get_runtime_param().coerce(value, param=param, ctx=ctx)


# What stands around every command: errors become a message and an exit code, never a traceback of Fanfold's.


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
