"""Which names a piece of source takes from its module, and what statements give a module its names."""

from __future__ import annotations

import ast
import symtable
from collections import defaultdict
from collections.abc import Iterable, Iterator

from fanfold.source.origin import Definition, Place


def global_names(text: str) -> set[str]:
    """The names that `text` reads from its module's namespace, wherever in it, builtins included."""
    top = symtable.symtable(text, "<captured>", "exec")
    names = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_referenced()}
    classes = (n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.ClassDef))
    return names.union(*map(_global_names, top.get_children()), *map(_read_before_bound, classes))


def _read_before_bound(node: ast.ClassDef) -> set[str]:
    """Names that a class body reads from outside and then makes its own, as in `limit = limit`."""
    read: set[str] = set()
    own: set[str] = set()
    for statement in node.body:
        read |= (definition_names(statement) & set(bound_names(statement))) - own
        own.update(bound_names(statement))
    return read


def _global_names(table: symtable.SymbolTable) -> set[str]:
    names = {
        symbol.get_name()
        for symbol in table.get_symbols()
        # `global x; x += 1` reads what it declares, though the table says only that it is assigned.
        if (symbol.is_global() and symbol.is_referenced()) or symbol.is_declared_global()
    }
    return names.union(*(_global_names(child) for child in table.get_children()))


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


def attribute_chains(node: ast.AST) -> dict[str, set[tuple[str, ...]]]:
    """By name, the attributes taken of it: `a.b.c` gives {"a": {("b",), ("b", "c")}}."""
    chains: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for n in ast.walk(node):
        chain = dotted(n) if isinstance(n, ast.Attribute) else None
        if chain is not None:
            chains[chain[0]].add(chain[1:])
    return chains


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
