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
    # that `fanfold jobs` takes. `process_value` is where click lets a parameter say what becomes of its value.
    for param in params:
        if not isinstance(param.process_value, _TextAsItIs):
            param.process_value = _TextAsItIs(param)


class _TextAsItIs:
    """Takes None and text as they are, where text is wanted; asks the parameter itself for all else."""

    def __init__(self, param: Any) -> None:
        self._param = param
        self._process = param.process_value

    def __call__(self, ctx: Any, value: Any) -> Any:
        """The value as the command takes it. Raises what the parameter raises."""
        param = self._param
        wanted = param.type_descriptor.annotation
        if value is None and not param.required:
            value = () if param.multiple or param.nargs == -1 else None
        elif value and wanted == list[str] and all(type(item) is str for item in value):
            value = list(value)
        elif value is None or type(value) is not wanted:
            return self._process(ctx, value)
        return value if param.callback is None else param.callback(ctx, param, value)


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
            sys.last_type = KeyboardInterrupt  # as Python notes it: what still runs at the end is cancelled
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
