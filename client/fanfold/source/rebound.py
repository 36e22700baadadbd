"""What somebody has done since to the names of a module: bound them again elsewhere, or wrapped what they stand for."""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from types import FunctionType, ModuleType
from typing import Any

from fanfold.source.modules import attribute_of, is_library, unwrapped
from fanfold.source.texts import names_in


def function_of(member: Any) -> FunctionType | None:
    """The function of a method or property, whatever wraps it; None for anything else.

    A lazy object (flask's `request`) or a dead proxy fails whatever it is asked.
    """
    try:
        found = unwrapped(getattr(member, "__func__", getattr(member, "fget", member)))
        return found if isinstance(found, FunctionType) else None
    except Exception:  # noqa: BLE001 - the user's own object
        return None


def wrappers(value: Any) -> int:
    """How many wrappers of the user's are around a function, by what `functools.wraps` says."""
    found = 0
    while isinstance(value, FunctionType) and "__wrapped__" in vars(value) and found < _MOST:
        found += not is_library(str(value.__globals__.get("__name__")))
        value = vars(value)["__wrapped__"]
    return found


#: Of a function that says that it wraps itself there is no end.
_MOST = 100


def is_of_elsewhere(function: Any, said: list[ast.expr], namespace: Mapping[str, Any]) -> bool:
    """Whether a function is of a module that has no part in what these expressions say: somebody has put it there."""
    if type(function) is not FunctionType:
        return False
    where = _top(function.__globals__.get("__name__"))
    if function.__globals__ is namespace:
        return any(isinstance(each, ast.Lambda) and not _is_lambda_of(function, each) for each in said)
    if is_library(where):
        return False
    return where not in {_top(namespace.get("__name__")), *map(_home, map(namespace.get, names_in(said)))}


def _is_lambda_of(function: FunctionType, node: ast.Lambda) -> bool:
    return function.__code__.co_name == "<lambda>" and function.__code__.co_firstlineno == node.lineno


def _home(value: Any) -> str:
    """The package that a thing is of."""
    if type(value) is ModuleType:
        return _top(value.__name__)
    function = function_of(value)
    return _top(
        getattr(value if isinstance(value, type) else type(value), "__module__", "")
        if function is None
        else function.__globals__.get("__name__")
    )


def _top(module: Any) -> str:
    return str(module).partition(".")[0]


def is_of_before(function: FunctionType, now: Any) -> bool:
    """Whether a function is that of its module before this was loaded anew."""
    said = (getattr(now, "__module__", None), getattr(now, "__qualname__", None))
    is_current = attribute_of(function.__module__, function.__qualname__) is now
    return is_current and said == (function.__module__, function.__qualname__)


def was_bound_again(module: str, attribute: str, value: Any) -> bool:
    """Whether a module of the project has another value by now than it had when this one was imported."""
    home = sys.modules.get(module)
    if home is None or attribute not in vars(home) or is_library(module, vars(home)):
        return False
    from fanfold.source.drift import same  # which asks this

    now = vars(home)[attribute]
    kinds = (value, now) if isinstance(value, type) else (type(value), type(now))
    if kinds[0] is not kinds[1]:
        return len({(kind.__module__, kind.__qualname__) for kind in kinds}) > 1  # one that was reloaded is no other
    return not same(now, value)
