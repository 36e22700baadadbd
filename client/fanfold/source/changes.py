"""Which names a text's own code changes, beyond giving them their first value."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache

from fanfold.source.origin import Definition

_CHANGING = {
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
        yield from _named(node.target)
    elif isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(node.ctx, (ast.Store, ast.Del)):
        yield from _named(node.value)
        if isinstance(node, ast.Attribute):
            yield node.attr
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGING:
        yield from _named(node.func.value)
    elif isinstance(node, (ast.For, ast.AsyncFor)):
        yield from (n.id for n in ast.walk(node.target) if isinstance(n, ast.Name))


def _named(node: ast.expr) -> Iterator[str]:
    """`x` of `x`, and of `x[0]`; `registry` of `cls.registry`."""
    while isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
