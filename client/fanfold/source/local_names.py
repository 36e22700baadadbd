"""What the statement of a class within a function takes from the functions around it, once these have returned.

A function's variables are gone when it has returned. What they were is told by what holds them still: the cells of the
class's own functions, its bases, its annotations, and imports, which mean the same wherever they stand.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from types import CodeType
from typing import Any

from fanfold.source.modules import absolute_module
from fanfold.source.rebound import function_of
from fanfold.source.texts import Source, bound_name

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_MISSING: Any = object()


def local_names(made: type, node: ast.ClassDef, source: Source, package: str) -> dict[str, Any]:
    """The names of functions around a class that its statement reads, with what they were, where that can be told."""
    if "<locals>" not in made.__qualname__:
        return {}
    found = {**_of_bases(made, node), **_of_annotations(made, node), **_of_cells(made)}
    for around, local in reversed(_around(source, node)):
        for name in _named(node) & local - found.keys():
            if (value := _imported(around, name, package)) is not _MISSING:
                found[name] = value
    return found


def untold_names(node: ast.ClassDef, source: Source, told: Iterable[str], left_out: Iterable[ast.expr]) -> set[str]:
    """The names of functions around a class that its statement reads as it is executed, and nothing tells any more."""
    skipped = {id(each) for each in left_out}
    local = frozenset[str]().union(*(names for _, names in _around(source, node)))
    return {name for name in _read(node, skipped) if name in local} - set(told)


def _of_cells(made: type) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for member in list(vars(made).values()):
        function = function_of(member)
        if function is None:
            continue
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                if name != "__class__" and cell.cell_contents is not made:
                    found[name] = cell.cell_contents
            except ValueError:
                continue
    return found


def _of_bases(made: type, node: ast.ClassDef) -> dict[str, Any]:
    found: dict[str, Any] = {}
    bases = vars(made).get("__orig_bases__", made.__bases__)
    if len(bases) == len(node.bases):
        found = {each.id: base for each, base in zip(node.bases, bases, strict=True) if isinstance(each, ast.Name)}
    named = _named(node)
    for base in [*made.__mro__[1:], *bases]:
        name = getattr(base, "__name__", "")
        if name in named and "<locals>" in getattr(base, "__qualname__", ""):
            found.setdefault(name, base)
    return found


def _of_annotations(made: type, node: ast.ClassDef) -> dict[str, Any]:
    """`item: Inner`, of which the class has what it said."""
    values = vars(made).get("__annotations__") if sys.version_info < (3, 14) else None
    if type(values) is not dict:
        return {}
    said = (each for each in node.body if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name))
    pairs = ((each.annotation, values.get(each.target.id)) for each in said)  # type: ignore[union-attr]
    return {at.id: value for at, value in pairs if isinstance(at, ast.Name) and isinstance(value, type)}


def _named(node: ast.ClassDef) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


# The functions around it


@lru_cache(maxsize=64)
def _around(source: Source, node: ast.ClassDef) -> list[tuple[ast.AST, frozenset[str]]]:
    """The functions that a statement stands in, the outermost first, each with the names of its own."""
    chain: list[ast.AST] = []
    at: ast.AST = source.tree
    while at is not node:
        at = next(each for each in _statements_of(at) if _holds(each, node))
        if isinstance(at, _FUNCTIONS):
            chain.append(at)
    found: list[tuple[ast.AST, frozenset[str]]] = []
    code = compile(source.text, source.path, "exec", dont_inherit=True) if chain else None
    for each in chain:
        code = next((one for one in _codes(code) if _is_of(one, each)), None)
        if code is None:
            break
        found.append((each, frozenset(code.co_varnames + code.co_cellvars)))
    return found


def _statements_of(node: ast.AST) -> Iterator[ast.AST]:
    return (each for each in ast.iter_child_nodes(node) if not isinstance(each, ast.expr))


def _holds(node: ast.AST, inner: ast.AST) -> bool:
    return any(each is inner for each in ast.walk(node))


def _codes(code: CodeType | None) -> Iterator[CodeType]:
    """The codes within one, at any depth: those of functions stand in those of their classes."""
    for const in () if code is None else code.co_consts:
        if isinstance(const, CodeType):
            yield const
            yield from _codes(const)


def _is_of(code: CodeType, node: Any) -> bool:
    first = min([each.lineno for each in node.decorator_list], default=node.lineno)
    return bool(code.co_name == node.name and code.co_firstlineno == first)


def _imported(around: Any, name: str, package: str) -> Any:
    """What a function's import statement gives a name; `_MISSING` where it is bound by anything else, or twice."""
    binders = [each for each in _binders(around) if each[0] == name]
    if len(binders) != 1 or binders[0][1] is None:
        return _MISSING
    _, node, alias = binders[0]
    if isinstance(node, ast.Import):
        return sys.modules.get(alias.name if alias.asname else alias.name.partition(".")[0], _MISSING)
    module = absolute_module(node, package)
    held = vars(sys.modules[module]) if module in sys.modules else {}
    return held.get(alias.name, sys.modules.get(f"{module}.{alias.name}", _MISSING))


def _binders(around: Any) -> Iterator[tuple[str, Any, Any]]:
    """Each name that a function binds, with the import and its part where one does."""
    waiting: list[ast.AST] = [around.args, *around.body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from ((bound_name(node, alias), node, alias) for alias in node.names)
        elif isinstance(node, ast.arg):
            yield node.arg, None, None
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id, None, None
        elif isinstance(own := getattr(node, "name", None), str):  # of a definition, an `except`, a pattern
            yield own, None, None
        if not isinstance(node, (*_FUNCTIONS, ast.ClassDef, ast.Lambda, ast.Import, ast.ImportFrom)):
            waiting += ast.iter_child_nodes(node)


def _read(node: ast.AST, skipped: set[int]) -> Iterator[str]:
    """The names that a statement reads as it is executed, its lambdas included; what its functions read is left out."""
    waiting: list[ast.AST] = [node]
    while waiting:
        each = waiting.pop()
        if id(each) in skipped:
            continue
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load):
            yield each.id
        elif isinstance(each, _FUNCTIONS):
            waiting += [*each.decorator_list, *each.args.defaults, *filter(None, each.args.kw_defaults)]
        else:
            waiting += ast.iter_child_nodes(each)
