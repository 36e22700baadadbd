"""Import statements: what they bind, which of them gave a name its value, and how to write one."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any, NamedTuple

from fanfold.source.syntax import bound_name, dotted
from fanfold.source.texts import Place

_MISSING: Any = object()
_IMPORT_FAILURES = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


class Imported(NamedTuple):
    """A module that code imports, and the names taken of it; `optional` where the code can do without."""

    module: str
    names: tuple[str, ...]
    line: int
    optional: bool = False


class Found(NamedTuple):
    """The part of an import statement that gave a name its value."""

    place: Place
    alias: ast.alias
    module: str
    attribute: str


def imports_in(node: ast.AST, package: str, *, optional: bool = False) -> Iterator[Imported]:
    """Every import in the node, those for type checkers alone left out."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Imported(alias.name, (), node.lineno, optional)
    elif isinstance(node, ast.ImportFrom):
        names = tuple(alias.name for alias in node.names)
        yield Imported(absolute_module(node, package), names, node.lineno, optional)
    elif isinstance(node, ast.Try):
        caught = optional or any(map(_catches_import_failure, node.handlers))
        for child in _statements(node):
            yield from imports_in(child, package, optional=caught)
    elif isinstance(node, ast.If) and (dotted(node.test) or ("",))[-1] == "TYPE_CHECKING":
        for child in node.orelse:
            yield from imports_in(child, package, optional=optional)
    else:
        for child in _statements(node):
            yield from imports_in(child, package, optional=optional)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """What may hold an import: expressions cannot, and are sometimes nested deeper than Python can recurse."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.stmt, ast.ExceptHandler, ast.match_case)):
            yield child


def _catches_import_failure(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any((dotted(each) or ("",))[-1] in _IMPORT_FAILURES for each in types)


def absolute_module(node: ast.ImportFrom, package: str) -> str:
    """The module that `from ... import` names, seen from `package`."""
    if not node.level:
        return node.module or ""
    base = package.split(".")
    kept = base[: len(base) - node.level + 1]
    return ".".join([*kept, *([node.module] if node.module else [])])


def found_imports(name: str, value: Any, places: Iterable[Place], package: str) -> list[Found]:
    """The import statements that bind `name` to this very object."""
    found = []
    for place in places:
        if not isinstance(place.node, (ast.Import, ast.ImportFrom)):
            continue
        for alias in place.node.names:
            if bound_name(place.node, alias) == name:
                module, attribute = target(place.node, alias, package)
                if value is _MISSING or imported_object(place.node, alias, package) is value:
                    found.append(Found(place, alias, module, attribute))
    return found


def used(found: list[Found], chains: set[tuple[str, ...]]) -> list[Found]:
    """Of `import a.b` and `import a.c`, those of which the code uses something; the last if there is no telling."""
    chosen = [
        each
        for each in found
        if each.attribute or each.alias.asname or tuple(each.module.split(".")[1:]) in chains | {()}
    ]
    return chosen or found[-1:]


def any_import(name: str, places: Iterable[Place], package: str) -> list[Found]:
    """The import statements that bind `name`, to whatever."""
    return found_imports(name, _MISSING, places, package)


def target(node: ast.Import | ast.ImportFrom, alias: ast.alias, package: str) -> tuple[str, str]:
    """The module and the attribute that an alias names; no attribute where it names a module by `import`."""
    if isinstance(node, ast.Import):
        return alias.name, ""
    return absolute_module(node, package), alias.name


def imported_object(node: ast.Import | ast.ImportFrom, alias: ast.alias, package: str) -> Any:
    """What the alias is bound to, going by the modules that are loaded."""
    module, attribute = target(node, alias, package)
    if isinstance(node, ast.ImportFrom):
        return attribute_of(module, attribute)
    return sys.modules.get(module if alias.asname else module.partition(".")[0], _MISSING)


def attribute_of(module: str, attribute: str) -> Any:
    """What `from module import attribute` gives, if the module is loaded."""
    try:
        return getattr(sys.modules[module], attribute)
    except Exception:  # noqa: BLE001 - a module's own `__getattr__` may raise anything
        return sys.modules.get(f"{module}.{attribute}", _MISSING)


def written_import(name: str, value: Any, star_imports: Iterable[Place], package: str) -> tuple[str, str] | None:
    """Module and attribute of an import that gives this very object, where no statement of the user's does."""
    if isinstance(value, ModuleType):
        return (value.__name__, "") if sys.modules.get(value.__name__) is value else None
    modules = [absolute_module(p.node, package) for p in star_imports if isinstance(p.node, ast.ImportFrom)]
    for module in modules:
        if attribute_of(module, name) is value:
            return module, name
    own, attribute = asked(value, "__module__"), asked(value, "__qualname__")
    if isinstance(own, str) and isinstance(attribute, str) and own != "__main__":
        return (own, attribute) if attribute_of(own, attribute) is value else None
    return None


def asked(value: Any, attribute: str) -> Any:
    """An attribute of a value of the user's, None where it has none: a proxy may raise anything."""
    try:
        return getattr(value, attribute, None)
    except Exception:  # noqa: BLE001 - see above
        return None


def import_line(name: str, module: str, attribute: str) -> str:
    """An import statement that binds `name`."""
    if attribute:
        return f"from {module} import {attribute}" + (f" as {name}" if name != attribute else "")
    return f"import {module}" + (f" as {name}" if name != module else "")


def narrowed(node: ast.Import | ast.ImportFrom, wanted: Iterable[ast.alias]) -> str | None:
    """The statement with only the `wanted` parts; None where that is all of it."""
    ids = set(map(id, wanted))
    if len(ids) == len(node.names):
        return None
    kept = [alias for alias in node.names if id(alias) in ids]
    return ast.unparse(
        ast.Import(kept) if isinstance(node, ast.Import) else ast.ImportFrom(node.module, kept, node.level)
    )


def submodules(module: ModuleType, chains: Iterable[tuple[str, ...]]) -> set[str]:
    """The modules below a package that the attribute chains go through."""
    found = set()
    for chain in chains if hasattr(module, "__path__") else ():
        current: Any = module
        for attribute in chain:
            below = sys.modules.get(f"{current.__name__}.{attribute}")
            if below is None or getattr(current, attribute, None) is not below:
                break
            found.add(f"{current.__name__}.{attribute}")
            current = below
    return found
