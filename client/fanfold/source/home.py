"""The module that a UDF is written in: its namespace, its texts, and what stands around a nested function."""

from __future__ import annotations

import ast
import builtins
import sys
from collections import defaultdict
from functools import cached_property
from types import FunctionType
from typing import Any

from fanfold.source.decorators import Lookup, looked_up, udf_decorators
from fanfold.source.origin import Place, Source, inside, sources_beside, top_level
from fanfold.source.scope import bindings, dotted, every_annotation, names_in

#: Whether this Python evaluates annotations only when they are asked for.
_ANNOTATES_LATE = sys.version_info >= (3, 14)


class Home:
    """What a function's module says of the names that the function uses."""

    def __init__(self, function: FunctionType, place: Place) -> None:
        self.function = function
        self.place = place
        self.namespace: dict[str, Any] = function.__globals__
        self.name = str(self.namespace.get("__name__", "__main__"))
        self.package = str(self.namespace.get("__package__") or self._package_by_name())

    def _package_by_name(self) -> str:
        return self.name if "__path__" in self.namespace else self.name.rpartition(".")[0]

    @cached_property
    def sources(self) -> list[Source]:
        """The texts that share the namespace, the later the newer."""
        return sources_beside(self.place.source)

    @cached_property
    def _bindings(self) -> dict[str, list[Place]]:
        return bindings(place for source in self.sources for place in top_level(source))

    def bindings(self, name: str) -> list[Place]:
        """The statements that give `name` a value, oldest first."""
        return self._bindings.get(name, [])

    def extensions(self, name: str) -> list[tuple[Place, str]]:
        """The definitions with a decorator that is an attribute of `name`, and which: `@name.register`."""
        return self._extensions.get(name, [])

    @cached_property
    def _extensions(self) -> dict[str, list[tuple[Place, str]]]:
        found: dict[str, list[tuple[Place, str]]] = defaultdict(list)
        for place in (place for source in self.sources for place in top_level(source)):
            for root, attribute, *_ in _decorator_chains(place.node):
                found[root].append((place, attribute))
        return found

    def annotates_ahead(self, place: Place) -> bool:
        """Whether annotations name what is not there yet, or never: fine from 3.14 on, an error where older runs it."""
        if not _ANNOTATES_LATE:
            return False
        names = names_in(every_annotation(place.node))
        later = {
            name
            for name in names
            for other in self.bindings(name)
            if other.source is place.source and other.node.lineno >= place.node.lineno
        }
        return bool(later) or any(name not in self.namespace and not hasattr(builtins, name) for name in names)

    @cached_property
    def _around(self) -> list[Place]:
        """The functions that a nested function stands in."""
        scopes = (ast.FunctionDef, ast.AsyncFunctionDef)
        chain = self.place.ancestors
        return [Place(self.place.source, n, chain[:i]) for i, n in enumerate(chain) if isinstance(n, scopes)]

    @property
    def is_nested(self) -> bool:
        """Whether the function stands in another."""
        return bool(self._around)

    @cached_property
    def enclosing(self) -> dict[str, list[Place]]:
        """The statements that give names a value in the functions around a nested one."""
        return bindings(place for around in self._around for place in inside(around))

    def is_local_around(self, name: str) -> bool:
        """Whether a function around the UDF has a variable of that name."""
        arguments = [n.arg for around in self._around for n in ast.walk(around.node.args) if isinstance(n, ast.arg)]  # type: ignore[attr-defined]
        return name in self.enclosing or name in arguments

    @cached_property
    def _lookup(self) -> Lookup:
        nested = [place for around in self._around for place in inside(around)]
        return looked_up(self.namespace, nested, self.package)

    def udf_decorators(self, node: ast.stmt) -> tuple[ast.expr, ...]:
        """Those of a definition's decorators that are Fanfold's."""
        return udf_decorators(node, self._lookup)

    def is_importable(self) -> bool:
        """Whether `import` of the module's name gives the namespace that the function lives in."""
        return getattr(sys.modules.get(self.name), "__dict__", None) is self.namespace


def _decorator_chains(node: ast.stmt) -> list[tuple[str, ...]]:
    calls = [each.func if isinstance(each, ast.Call) else each for each in getattr(node, "decorator_list", ())]
    return [chain for chain in map(dotted, calls) if chain is not None and len(chain) > 1]
