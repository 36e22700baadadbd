"""Which decorators are Fanfold's own: they stay here, and count for nothing in the code hash."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import Any

from fanfold.source.imports import asked, imported_object
from fanfold.source.syntax import bound_name, bound_names, dotted
from fanfold.source.texts import Place

_MISSING: Any = object()

Lookup = Callable[[str], Any]


def udf_function(value: Any) -> Any:
    """The function that a UDF object wraps; None for anything that is no UDF."""
    wrapped = asked(value, "__fanfold_udf__")
    # An object that answers to every name (a mock, a proxy) is no UDF; one around a cached or jitted function is.
    return wrapped if isinstance(wrapped, FunctionType) or hasattr(wrapped, "__wrapped__") else None


def unwrapped(value: Any) -> Any:
    """What `functools.wraps` says is inside; the value itself where it says nothing."""
    try:
        if not callable(value) or not hasattr(value, "__wrapped__"):
            return value
        from inspect import unwrap

        return unwrap(value)
    except Exception:  # noqa: BLE001 - a proxy may raise anything, and a circle does
        return value


def udf_decorators(node: ast.AST, lookup: Lookup) -> tuple[ast.expr, ...]:
    """Those of a definition's decorators that are `fanfold.udf`, by whatever name."""
    return tuple(each for each in getattr(node, "decorator_list", ()) if _is_udf(each, lookup))


def _is_udf(decorator: ast.expr, lookup: Lookup) -> bool:
    value = _value_of(decorator.func if isinstance(decorator, ast.Call) else decorator, lookup)
    return getattr(value, "__fanfold_decorator__", None) is True


def _value_of(expression: ast.expr, lookup: Lookup) -> Any:
    chain = dotted(expression)
    value = lookup(chain[0]) if chain else None
    for attribute in (chain or ("",))[1:]:
        value = getattr(value, attribute, None)
    return value


def looked_up(namespace: Mapping[str, Any], places: Iterable[Place], package: str) -> Lookup:
    """Finds a name's value in a namespace, or by a statement in `places`: an import, `name = fanfold.udf(...)`."""

    def lookup(name: str) -> Any:
        value = namespace.get(name, getattr(builtins, name, _MISSING))
        return stated(name) if value is _MISSING else value

    def stated(name: str) -> Any:
        for node in (place.node for place in places):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                for alias in node.names:
                    if bound_name(node, alias) == name:
                        return imported_object(node, alias, package)
            elif isinstance(node, ast.Assign) and name in bound_names(node) and isinstance(node.value, ast.Call):
                return _called(node.value, lambda other: None if other == name else lookup(other))
        return None

    return lookup


def _called(call: ast.Call, lookup: Lookup) -> Any:
    """The `fanfold.udf` that an expression calls; None where it calls something else."""
    return _value_of(call.func, lookup) if _is_udf(call, lookup) else None
