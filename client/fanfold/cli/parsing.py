"""Commands whose arguments are parsed without pydantic, as long as text is all they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from typer.core import TyperCommand, TyperGroup


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
