"""A UDF's parameters as fields of a form, and what is written there as inputs."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from fanfold.errors import InputError


class Field(NamedTuple):
    """A parameter: the kind of input that suits it, the text it has at first, and what it may be chosen from."""

    name: str
    kind: str
    default: str
    required: bool
    options: tuple[str, ...] = ()
    annotation: str = ""
    #: A default that only the UDF can compute, as it is written there.
    computed: str = ""

    @property
    def label(self) -> str:
        """The parameter's name and what is known of it."""
        return f"{self.name}{f': {self.annotation}' if self.annotation else ''}{' (required)' if self.required else ''}"


def text_of(value: Any) -> str:
    """A value as it is written in a form."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def arguments(fields: tuple[Field, ...], given: dict[str, str]) -> dict[str, str]:
    """Arguments from the texts in a form: what is empty is left to the UDF's default."""
    return {one.name: given[one.name] for one in fields if given.get(one.name, "") != ""}


def inputs_from(text: str, fields: tuple[Field, ...], given: dict[str, str]) -> list[dict[str, Any]]:
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
                raise InputError(f"Line {number} is not JSON: {error}.", next_step="fix that line.") from None
        elif line.strip():
            inputs.append({first: line.strip(), **others})
    if not inputs:
        raise InputError("There are no inputs.", next_step="write one a line.")
    return inputs


# One parameter as a field of a form, from its annotation and default as they are written.

_KINDS = {"int": "number", "float": "number", "date": "date", "datetime": "datetime-local"}
_ENUMS = ("Enum", "StrEnum", "IntEnum")


def field_of(arg: ast.arg, default: ast.expr | None, known: Mapping[str, Any]) -> Field:
    """The field for a parameter; `known` is what the module says of its names.

    A default that has to be computed is left out of the form and so to the UDF, and stands there as a hint.
    """
    hint = _evaluated(arg.annotation)
    annotation = "" if hint is None else ast.unparse(hint)
    kind, options = _input_for(_without_none(hint), known)
    text = None if default is None else _value(default, known)
    computed = ast.unparse(default) if default is not None and text is None and not _is_none(default) else ""
    return Field(arg.arg, kind, text or "", default is None, options, annotation, computed)


def _evaluated(hint: ast.expr | None) -> ast.expr | None:
    """An annotation that is written as a string is what stands in the string."""
    if isinstance(hint, ast.Constant) and isinstance(hint.value, str):
        with suppress(SyntaxError):
            return ast.parse(hint.value, mode="eval").body
    return hint


def _without_none(hint: ast.expr | None) -> ast.expr | None:
    """`int` for `int | None` and `Optional[int]`."""
    if isinstance(hint, ast.BinOp) and isinstance(hint.op, ast.BitOr):
        if _is_none(hint.right):
            return hint.left
        return hint.right if _is_none(hint.left) else hint
    if isinstance(hint, ast.Subscript) and _last_name(hint.value) == "Optional":
        return hint.slice
    return hint


def _input_for(hint: ast.expr | None, known: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    options = _options(hint, known)
    if options:
        return "choice", options
    return _KINDS.get("" if hint is None else _last_name(hint), "text"), ()


def _options(hint: ast.expr | None, known: Mapping[str, Any]) -> tuple[str, ...]:
    if isinstance(hint, ast.Subscript) and _last_name(hint.value) == "Literal":
        parts = hint.slice.elts if isinstance(hint.slice, ast.Tuple) else [hint.slice]
        return tuple(str(part.value) for part in parts if isinstance(part, ast.Constant))
    if not isinstance(hint, ast.Name):
        return ()
    if hint.id == "bool":
        return ("true", "false")
    return tuple(_members(known.get(hint.id)).values())


def _members(node: Any) -> dict[str, str]:
    """The members of an enum that is defined in the file, each with its value as text."""
    if not isinstance(node, ast.ClassDef) or not any(_last_name(base) in _ENUMS for base in node.bases):
        return {}
    return {
        target.id: str(statement.value.value)
        for statement in node.body
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }


def _value(node: ast.expr, known: Mapping[str, Any]) -> str | None:
    """A default as text for the form; None where there is none to be read."""
    if isinstance(node, ast.Name) and isinstance(known.get(node.id), ast.expr):
        node = known[node.id]
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return _members(known.get(node.value.id)).get(node.attr)
    with suppress(ValueError):
        value = ast.literal_eval(node)
        return None if value is None else text_of(value)
    return _moment(node)


def _moment(node: ast.expr) -> str | None:
    """`date(2013, 1, 31)` as the form writes dates."""
    import datetime as dt

    if isinstance(node, ast.Call) and not node.keywords and _last_name(node.func) in ("date", "datetime"):
        with suppress(ValueError, TypeError, OverflowError):
            parts = [ast.literal_eval(argument) for argument in node.args]
            return str(getattr(dt, _last_name(node.func))(*parts).isoformat())
    return None


def _last_name(node: ast.expr) -> str:
    """`c` for `a.b.c` and for `c`."""
    return getattr(node, "attr", getattr(node, "id", ""))


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
