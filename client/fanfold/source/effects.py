"""Calls at the top of a file that change other code (`nest_asyncio.apply()`), and what belongs to a run alone.

A package that is there for its effect need not be installed where a run is: the call is made again where it is.
"""

from __future__ import annotations

import ast
import copy
import os
import re
import sys
from collections.abc import Set
from types import FunctionType, ModuleType
from typing import Any

from fanfold.contract.records import NamedTuple
from fanfold.source.modules import is_library, own_name
from fanfold.source.texts import dotted

#: What packages call functions that change other code for good.
_CHANGES_OTHERS = re.compile(
    r"^(apply|(monkey_?)?patch(_\w+)?|inject\w*|install\w*|register_\w+|enable_\w+|activate\w*)$"
)
#: What these change is the process that a worker lives in, which talks to its own by then.
_OF_THE_WORKER = frozenset({"eventlet"})
OF_THE_WORKER = "it would change the worker itself: call it at the top of the function's own process, or leave it out"

#: Calls and attributes that belong to one process: a run has its own.
_OWN_CALLS = re.compile(r"^(seed|manual_seed|set_seed|chdir|nice|freeze)$")
_OWN_LISTS = frozenset({("sys", "path"), ("sys", "argv")})
_OWN_ATTRIBUTES = re.compile(r"^(stdin|stdout|stderr|argv|path|\w*hook|ps1|ps2|tracebacklimit|dont_write_bytecode)$")
OWN = "a run has seeds, a folder, a search path and streams of its own"
#: What a variable of the environment begins with that says to Fanfold how to run, and not to what is run.
_OF_FANFOLD = "FANFOLD_"
_TOLD = "a run has what Fanfold is told of its own"
#: What other code may need to run at all.
_MISSED = "a worker has its own"


#: Whose classes others give attributes to: `xarray.register_dataarray_accessor("rio")`.
_EXTENDED = {
    "pandas": ("DataFrame", "Series", "Index"),
    "polars": ("DataFrame", "LazyFrame", "Series", "Expr"),
    "xarray": ("DataArray", "Dataset", "DataTree"),
}


def gives_attribute(package: str, mentions: Set[str]) -> bool:
    """Whether a package has given another's tables or arrays an attribute that code mentions: rioxarray `array.rio`."""
    for library, names in _EXTENDED.items():
        module = sys.modules.get(library)
        if module is None or library == package:
            continue
        for kind in filter(None, (getattr(module, name, None) for name in names)):
            for given in map(vars(kind).get, mentions & vars(kind).keys()):
                made = getattr(given, "_accessor", None) or getattr(given, "_ns", None)
                if str(getattr(made, "__module__", "")).partition(".")[0] == package:
                    return True
    return False


class Effect(NamedTuple):
    """A call of a library's function, by the function's name, with the expressions of its arguments."""

    module: str
    name: str
    args: list[ast.expr]
    keywords: dict[str, ast.expr]


def effect_of(node: ast.stmt, namespace: dict[str, Any]) -> Effect | None:
    """The call by which a statement changes other code; None for any other statement."""
    called = node.value if isinstance(node, ast.Expr) else None
    if not isinstance(called, ast.Call) or any(each.arg is None for each in called.keywords):
        return None
    function = _value(called.func, namespace)
    if type(function) is not FunctionType or not _CHANGES_OTHERS.match(function.__name__):
        return None
    found = own_name(function) or _by_module(called.func, namespace)
    package = found[0].partition(".")[0] if found else ""
    if found is None or package in sys.stdlib_module_names or not is_library(package):
        return None
    return Effect(*found, called.args, {str(each.arg): each.value for each in called.keywords})


def is_of_the_worker(effect: Effect) -> bool:
    """Whether it changes what a worker itself needs."""
    return effect.module.partition(".")[0] in _OF_THE_WORKER


def own_of_a_run(node: ast.stmt, namespace: dict[str, Any]) -> str:
    """Why what a statement sets up is a run's own affair; nothing for any other statement."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        chain = dotted(node.value.func) or ()
        root = namespace.get(chain[0]) if chain else None
        module = getattr(root, "__name__", None) or getattr(root, "__module__", None)
        if len(chain) < 2 or not isinstance(module, str) or not is_library(module):
            return ""
        if _OWN_CALLS.match(chain[-1]) or (module, chain[1]) in _OWN_LISTS:
            return OWN
        is_way_of_import = module == "sys" and chain[1] in ("meta_path", "path_hooks")
        return _MISSED if chain[-1] == "set_start_method" or is_way_of_import else ""
    target = node.targets[0] if isinstance(node, ast.Assign) else None
    if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
        is_of_sys = namespace.get(target.value.id) is sys
        return OWN if is_of_sys and _OWN_ATTRIBUTES.match(target.attr) else ""
    return ""


def own_of_fanfold(node: ast.stmt, namespace: dict[str, Any]) -> str:
    """Why a statement stays that sets one of Fanfold's own variables: `os.environ["FANFOLD_HOME"] = ...`."""
    owner: ast.expr
    call = node.value if isinstance(node, ast.Expr) else None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.args:
        owner, name = call.func.value, call.args[0]
    elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
        owner, name = node.targets[0].value, node.targets[0].slice
    else:
        return ""
    is_its = isinstance(name, ast.Constant) and isinstance(name.value, str) and name.value.startswith(_OF_FANFOLD)
    return _TOLD if is_its and _value(owner, namespace) is os.environ else ""


def _by_module(expression: ast.expr, namespace: dict[str, Any]) -> tuple[str, str] | None:
    """The module and the name by which an expression gets at a function that the module makes when it is asked."""
    owner = _value(expression.value, namespace) if isinstance(expression, ast.Attribute) else None
    return (owner.__name__, expression.attr) if type(owner) is ModuleType else None  # type: ignore[attr-defined]


def _value(expression: ast.expr, namespace: dict[str, Any]) -> Any:
    chain = dotted(expression)
    value = namespace.get(chain[0]) if chain else None
    for attribute in (chain or ("",))[1:]:
        value = getattr(value, attribute, None)
    return value


def value_since(node: ast.Assign, namespace: dict[str, Any]) -> tuple[Any, ...]:
    """The value by now of what a statement sets, where that is another: `getcontext().prec = 50`, and 20 since.

    `None` stands for an item that is there no more.
    """
    from fanfold.source.capture import is_harmless  # which asks this
    from fanfold.source.drift import evaluated, same

    target: Any = node.targets[0]
    if not is_harmless(node.value, namespace) or not is_harmless(target, namespace):
        return ()
    try:
        now, said = evaluated(_read_of(target), namespace), evaluated(node.value, namespace)
    except KeyError:
        return (None,)
    except Exception:  # noqa: BLE001 - a library's own, which cannot be asked
        return ()
    return (now,) if type(now) in _PLAIN and not same(now, said) and now != said else ()


#: Values of which it can be told whether a library keeps the one that it was given.
_PLAIN = (str, int, float, bool, bytes)


def _read_of(target: ast.expr) -> ast.expr:
    """What an assignment sets, as an expression that reads it."""
    read = copy.copy(target)
    read.ctx = ast.Load()  # type: ignore[attr-defined]
    return read
