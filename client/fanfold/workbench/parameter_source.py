"""One parameter as a field of a form, from its annotation and default as they are written."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from fanfold.workbench.form import Field, text_of

_KINDS = {"int": "number", "float": "number", "date": "date", "datetime": "datetime-local"}
_ENUMS = ("Enum", "StrEnum", "IntEnum")


def field_of(arg: ast.arg, default: ast.expr | None, known: Mapping[str, Any]) -> Field:
    """The field for a parameter; `known` is what the module says of its names.

    A default that has to be computed is left out of the form and so to the UDF, and stands there as a hint.
    """
    hint = _evaluated(arg.annotation)
    annotation = "" if hint is None else ast.unparse(hint)
    kind, options = _input_for(_without_none(hint), known)
    told = None if default is None else _value(default, known)
    computed = ast.unparse(default) if default is not None and told is None and not _is_none(default) else ""
    return Field(arg.arg, kind, told or "", default is None, options, annotation, computed)


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
