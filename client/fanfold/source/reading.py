"""What a module's text says, read once however often it is submitted: a project may have many long ones."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import lru_cache
from types import FunctionType
from typing import Any

from fanfold.source import refusals
from fanfold.source.decorators import udf_function, unwrapped
from fanfold.source.fingerprint import tree_hash
from fanfold.source.imports import Imported, imports_in
from fanfold.source.origin import Definition, Place, Source, everywhere, top_level
from fanfold.source.scope import bindings, identifiers
from fanfold.source.stale import is_changed

#: As many texts as are kept parsed.
_once = lru_cache(maxsize=1024)


@_once
def statements(source: Source) -> list[Place]:
    """Every statement that runs in the module's own namespace."""
    return list(top_level(source))


@_once
def decorated(source: Source) -> list[Place]:
    """Every definition that has a decorator."""
    return [place for place in everywhere(source) if getattr(place.node, "decorator_list", None)]


@_once
def all_imports(source: Source, package: str) -> list[Imported]:
    """Every import in the text."""
    return list(imports_in(source.tree, package))


@_once
def module_hash(source: Source, without: tuple[ast.expr, ...]) -> str:
    """The hash of the whole, with some decorators left out."""
    return tree_hash(source.tree, without)


@_once
def mentions(source: Source) -> frozenset[str]:
    """Every name that the text mentions."""
    return frozenset(identifiers(source.tree))


@_once
def _functions(source: Source) -> list[str]:
    return [name for name, places in bindings(statements(source)).items() if isinstance(places[-1].node, Definition)]


def check_functions(source: Source, namespace: Mapping[str, Any]) -> None:
    """Raises `CaptureError` where a function that was loaded from the text is not what it says any more."""
    for name in _functions(source):
        value = namespace.get(name)
        members = vars(value).values() if isinstance(value, type) else [value]
        for member in members:
            function = unwrapped(udf_function(member) or member)
            if not isinstance(function, FunctionType) or function.__globals__ is not namespace:
                continue
            if function.__code__.co_filename == source.path and is_changed(function, source):
                raise refusals.stale(function)
