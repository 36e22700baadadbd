"""A UDF's parameters as fields of a form."""

from __future__ import annotations

import datetime as dt
import enum
import inspect
import json
import typing
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from fanfold.errors import InputError

_KINDS: dict[Any, str] = {int: "number", float: "number", dt.date: "date", dt.datetime: "datetime-local"}


class Field(NamedTuple):
    """A parameter: the kind of input that suits it, the text it has at first, and what it may be chosen from."""

    name: str
    kind: str
    default: str
    required: bool
    options: tuple[str, ...] = ()
    annotation: str = ""


def fields_of(fn: Callable[..., Any]) -> list[Field]:
    """The parameters of a function, in order."""
    try:
        hints = typing.get_type_hints(fn)
    except Exception:  # noqa: BLE001  the user's own annotations; what they mean is told when it runs
        hints = {}
    parameters = inspect.signature(fn).parameters.values()
    named = [one for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    return [_field(one, hints.get(one.name)) for one in named]


def _field(parameter: inspect.Parameter, hint: Any) -> Field:
    required = parameter.default is parameter.empty
    default = "" if required or parameter.default is None else _text(parameter.default)
    told = "" if parameter.annotation is parameter.empty else inspect.formatannotation(parameter.annotation)
    options = _options(hint)
    kind = "choice" if options else _KINDS.get(hint, "text")
    return Field(parameter.name, kind, default, required, options, told.strip("'"))


def _options(hint: Any) -> tuple[str, ...]:
    if hint is bool:
        return ("true", "false")
    if typing.get_origin(hint) is Literal:
        return tuple(map(str, typing.get_args(hint)))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return tuple(str(one.value) for one in hint)
    return ()


def _text(value: Any) -> str:
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, (bool, list, dict)):
        return json.dumps(value, default=str)
    return str(value)


def arguments(fields: list[Field], given: dict[str, str]) -> dict[str, str]:
    """Arguments from the texts in a form: what is empty is left to the UDF's default."""
    return {one.name: given[one.name] for one in fields if given.get(one.name, "") != ""}


def inputs_from(text: str, fields: list[Field], given: dict[str, str]) -> list[dict[str, Any]]:
    """Inputs, one a line: an object in JSON is keyword arguments, anything else goes to the first parameter.

    What a line does not say is taken from the form.
    """
    first = fields[0].name if fields else ""
    others = arguments(fields[1:], given)
    inputs: list[dict[str, Any]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip().startswith("{"):
            try:
                inputs.append({**others, **json.loads(line)})
            except ValueError as error:
                raise InputError(f"Line {number} is not JSON: {error}.", next_step="mend it.") from None
        elif line.strip():
            inputs.append({first: line.strip(), **others})
    if not inputs:
        raise InputError("There are no inputs.", next_step="write one a line.")
    return inputs
