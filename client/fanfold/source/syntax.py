"""What statements say of names: which they bind, read, annotate with, or change."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache

from fanfold.source.texts import Definition, Place


def definition_names(node: ast.stmt, without: Iterable[ast.expr] = ()) -> set[str]:
    """The names that are read already when the statement is executed: decorators, bases, defaults, annotations.

    `without` are decorators and defaults that do not count.
    """
    left_out = set(map(id, without))
    decorators = [each for each in getattr(node, "decorator_list", ()) if id(each) not in left_out]
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        spec = node.args
        every = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, *filter(None, (spec.vararg, spec.kwarg))]
        defaults = (each for each in (*spec.defaults, *spec.kw_defaults) if id(each) not in left_out)
        parts: list[ast.AST | None] = [*decorators, *defaults, node.returns]
        return names_in([*parts, *(arg.annotation for arg in every)])
    if isinstance(node, ast.ClassDef):
        outer = names_in([*decorators, *node.bases, *(keyword.value for keyword in node.keywords)])
        return outer.union(*(definition_names(statement) for statement in node.body))
    return names_in([node])


def names_in(nodes: Iterable[ast.AST | None]) -> set[str]:
    """Every name read anywhere in the nodes, whatever its scope."""
    found = (n for node in nodes if node is not None for n in ast.walk(node))
    return {n.id for n in found if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def every_annotation(node: ast.AST) -> Iterator[ast.expr]:
    """Every annotation in the node."""
    for n in ast.walk(node):
        for field in ("annotation", "returns"):
            annotation = getattr(n, field, None)
            if isinstance(annotation, ast.expr):
                yield annotation


def annotation_names(node: ast.AST, *, unevaluated: bool) -> set[str]:
    """The names in annotations that are strings; in all of them where `unevaluated` (`from __future__`)."""
    found: set[str] = set()
    for annotation in every_annotation(node):
        strings = (n.value for n in ast.walk(annotation) if isinstance(n, ast.Constant) and isinstance(n.value, str))
        found |= names_in(map(_expression, strings))
        if unevaluated:
            found |= names_in([annotation])
    return found


def _expression(text: str) -> ast.AST | None:
    try:
        return ast.parse(text.strip(), mode="eval")
    except SyntaxError:  # Annotated[int, "any text"], Literal["a b"]
        return None


def dotted(node: ast.AST) -> tuple[str, ...] | None:
    """`a.b.c` as ("a", "b", "c"); None for anything else."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        head = dotted(node.value)
        return None if head is None else (*head, node.attr)
    return None


def bindings(places: Iterable[Place]) -> dict[str, list[Place]]:
    """The statements that give each name its value, in order; a star import stands under `*`."""
    found: dict[str, list[Place]] = defaultdict(list)
    for place in places:
        for name in bound_names(place.node):
            found[name].append(place)
    return found


def bound_names(node: ast.stmt) -> list[str]:
    """The names that one statement binds, those that the statements within it bind left out."""
    if isinstance(node, Definition):
        return [node.name]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [bound_name(node, alias) for alias in node.names]
    if isinstance(node, ast.Assign):
        # `table[key] = value` reads `table`; it does not bind it.
        names = (n for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name))
        return [n.id for n in names if isinstance(n.ctx, ast.Store)]
    if isinstance(node, ast.AnnAssign) and node.value is not None and isinstance(node.target, ast.Name):
        return [node.target.id]
    name = getattr(node, "name", None)  # `type Alias = ...`, from 3.12 on
    return [name.id] if isinstance(name, ast.Name) else []


def bound_name(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> str:
    """The name that one part of an import statement binds."""
    if alias.asname:
        return alias.asname
    return alias.name.partition(".")[0] if isinstance(node, ast.Import) else alias.name


def identifiers(node: ast.AST) -> Iterator[str]:
    """Every name and attribute that code reads, and every name that it imports."""
    for n in ast.walk(node):
        if isinstance(n, ast.alias):
            yield n.name
        elif isinstance(n, (ast.Name, ast.Attribute)) and isinstance(n.ctx, ast.Load):
            yield n.id if isinstance(n, ast.Name) else n.attr


# Which names a text's own code changes, beyond giving them their first value

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
