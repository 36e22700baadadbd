"""What statements give to names: `x = 1`, `a = b = []`, `x, (y, z) = pair()`, and what they change in place."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from fanfold.contract.records import NamedTuple
from fanfold.source.texts import Definition, Source


class Given(NamedTuple):
    """The expression of a name's value, where the text has one for it, and whether that is for this name alone."""

    expression: ast.expr | None
    is_own: bool


def given_by(node: ast.stmt, name: str) -> Given | None:
    """What an assignment gives a name; None where the statement is none that binds it."""
    if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
        return None
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    for target in targets:
        found = _within(target, node.value, name)
        if found is not None:
            return found._replace(is_own=found.is_own and len(targets) == 1)
    return None


def _within(target: ast.expr, value: ast.expr | None, name: str) -> Given | None:
    if isinstance(target, ast.Name):
        return Given(value, value is not None) if target.id == name else None
    if isinstance(target, ast.Starred):
        return _within(target.value, None, name)
    if not isinstance(target, (ast.Tuple, ast.List)):
        return None
    parts: list[ast.expr | None] = [None] * len(target.elts)
    both = [*target.elts, *value.elts] if isinstance(value, (ast.Tuple, ast.List)) else []
    if len(both) == 2 * len(target.elts) and not any(isinstance(each, ast.Starred) for each in both):
        parts = list(both[len(target.elts) :])
    found = (_within(each, part, name) for each, part in zip(target.elts, parts, strict=True))
    return next((each for each in found if each is not None), None)


def other_names(name: str, value: Any, namespace: Mapping[str, Any]) -> list[str]:
    """The other names under which a module holds a container, as after `a = b = []`: set by itself it would be two."""
    if type(value) not in (list, dict, set):
        return []
    return [other for other, held in namespace.items() if held is value and other != name]


@lru_cache(maxsize=1024)
def bound_otherwise(source: Source) -> frozenset[str]:
    """Names of a module that no assignment, definition or import of its own binds: in a loop, by `:=`, by a function's
    `global`."""
    found: set[str] = set()
    waiting: list[tuple[ast.AST, bool]] = [(source.tree, True)]
    while waiting:
        node, is_at_top = waiting.pop()
        if isinstance(node, ast.Global):
            found.update(node.names)
        elif is_at_top and isinstance(node, ast.NamedExpr):
            found.add(node.target.id)
        elif is_at_top and isinstance(node, (ast.For, ast.AsyncFor)):
            found.update(n.id for n in ast.walk(node.target) if isinstance(n, ast.Name))
        within = is_at_top and not isinstance(node, Definition | ast.Lambda)
        waiting += [(each, within) for each in ast.iter_child_nodes(node)]
    return frozenset(found)


# Which names a text's own code changes, beyond giving them their first value.

CHANGING = {
    "add", "append", "appendleft", "clear", "difference_update", "discard", "extend", "insert", "intersection_update",
    "pop", "popitem", "popleft", "remove", "reverse", "setdefault", "sort", "symmetric_difference_update", "update",
}  # fmt: skip


@lru_cache(maxsize=2048)
def changed_names(node: ast.Module | Definition, *, at_once: bool = False) -> frozenset[str]:
    """Names and attributes that a module's, class's or function's code changes in place, counts up or has `global`.

    `at_once`: only by what is executed with the body itself, not by the functions that it defines.
    """
    statements = [s for s in node.body if not (at_once and isinstance(s, Definition))]
    return frozenset(name for statement in statements for n in ast.walk(statement) for name in _changed(n))


def _changed(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Global):
        yield from node.names
    elif isinstance(node, ast.AugAssign):
        yield from _name_changed(node.target)
    elif isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(node.ctx, (ast.Store, ast.Del)):
        yield from _name_changed(node.value)
        if isinstance(node, ast.Attribute):
            yield node.attr
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGING:
        yield from _name_changed(node.func.value)
    elif isinstance(node, (ast.For, ast.AsyncFor)):
        yield from (n.id for n in ast.walk(node.target) if isinstance(n, ast.Name))


def _name_changed(node: ast.expr) -> Iterator[str]:
    """`x` of `x`, and of `x[0]`; `registry` of `cls.registry`."""
    while isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
