"""What a loaded module of the project holds by now that its text would not give again, and how that travels."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from functools import lru_cache
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from fanfold.codec.registry import is_bulk
from fanfold.source import refusals
from fanfold.source.codes import Located, is_compiled_as_it_stands, locate
from fanfold.source.decorators import udf_function, unwrapped
from fanfold.source.drift import Held, by_module, encoded
from fanfold.source.imports import imported_object
from fanfold.source.names import is_library
from fanfold.source.refusals import Usage
from fanfold.source.syntax import bindings, bound_name, bound_names, changed_names, names_in
from fanfold.source.texts import Definition, Place, Source, first_line, inside, top_level

if TYPE_CHECKING:
    from fanfold.source.graph import Graph

#: Classes of the standard library whose objects keep settings, and are what their attributes say.
_SETTINGS = {
    "SimpleNamespace",
    "Namespace",
    "ConfigParser",
    "partial",
    "ChainMap",
    "defaultdict",
    "OrderedDict",
    "Counter",
}


class Changes(NamedTuple):
    """What travels with a module: values as the codec's text by key, where in its text each stands, and what is set
    when all of it has been executed, by dotted name."""

    values: dict[str, str]
    given: dict[ast.expr, str]
    lines: list[str]
    after: list[tuple[str, Any]]


@lru_cache(maxsize=1024)
def statements(source: Source) -> list[Place]:
    """Every statement that runs in the module's own namespace."""
    return list(top_level(source))


@lru_cache(maxsize=1024)
def _bindings(source: Source) -> dict[str, list[Place]]:
    return bindings(statements(source))


def changes(
    graph: Graph, source: Source, namespace: dict[str, Any], mentioned: AbstractSet[str], directly: AbstractSet[str]
) -> Changes:
    """What has to travel of the names that any code mentions.

    Raises `CaptureError` where a function was edited since it was loaded, or where a value cannot travel and the code
    that uses the project mentions it itself, `directly`.
    """
    found = Changes({}, {}, [], [])
    replaced = dict(_replaced(source, namespace))
    for name, value in replaced.items():
        if name.partition(".")[0] in mentioned or name.rpartition(".")[2] in mentioned:
            found.after.append((name, value))
    for held in by_module(source, namespace):
        owner, _, attribute = held.name.rpartition(".")
        if held.name in replaced or owner in replaced or mentioned.isdisjoint((attribute, owner.partition(".")[0])):
            continue
        differs = held.differs(namespace)
        # A table that a module has loaded, it can load again.
        if differs is False or (differs is None and is_bulk(type(held.value))):
            continue
        _take(graph, found, held, differs, source, attribute in directly)
    return found


def _take(graph: Graph, found: Changes, held: Held, differs: bool | None, source: Source, is_direct: bool) -> None:
    text = encoded(held.value, graph.put_blob, held.name)
    if text is not None:
        found.values[held.key] = text
        if held.in_place and held.expression is not None:
            found.given[held.expression] = held.key
        else:
            found.lines.append(f"\n{held.name} = {held.key}")
        return
    may_be_left = held.may_start_anew or _is_its_own_doing(held, source)
    if (differs or _has_settings(held.value)) and not (may_be_left and not _has_settings(held.value)):
        if graph.can_travel(held.value):
            found.after.append((held.name, held.value))
        elif differs and is_direct and not may_be_left:
            usage = Usage(source.path, source.tree, held.name)
            raise refusals.changed(usage, held.name, held.value, held.expression)


def _has_settings(value: Any) -> bool:
    """Whether an object is one of the user's, or keeps what somebody may have set."""
    kind = type(value)
    if isinstance(value, (type, FunctionType, ModuleType)):
        return False
    if kind in (list, dict, set, tuple):
        return True
    return kind.__name__ in _SETTINGS or not (kind.__module__ == "builtins" or is_library(kind.__module__))


def _is_its_own_doing(held: Held, source: Source) -> bool:
    """Whether the module's code, executed from its first line to its last, may itself have made the difference."""
    if held.name.rpartition(".")[2] in changed_names(source.tree):
        return True
    binders = _bindings(source)
    for name in names_in([held.expression]):
        lines = [place.node.lineno for place in binders.get(name, ())]
        # One that is bound again, or only later, stands for something else by the end.
        if len(lines) > 1 or (lines and lines[0] > held.expression.lineno):  # type: ignore[union-attr]
            return True
    return "*" in binders


# Functions and classes


def _replaced(source: Source, namespace: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Functions, classes and methods that are others than the text's, by dotted name."""
    for name, places in _bindings(source).items():
        if name not in namespace:
            continue
        value, node = namespace[name], places[-1].node
        if isinstance(node, Definition):
            yield from _of_definition(name, places, value, namespace)
        elif _is_replaced_import(name, places, value, namespace):
            yield name, value


def node_is_tried(places: list[Place]) -> bool:
    """Whether one or another statement gives a name its value."""
    return len(places) > 1 or bool(places[-1].ancestors)


def _is_replaced_import(name: str, places: list[Place], value: Any, namespace: dict[str, Any]) -> bool:
    node = places[-1].node
    if not isinstance(node, (ast.Import, ast.ImportFrom)) or node_is_tried(places):
        return False
    package = str(namespace.get("__package__") or "")
    alias = next(alias for alias in node.names if bound_name(node, alias) == name)
    now = imported_object(node, alias, package)
    return now is not value and isinstance(value, FunctionType) and value.__module__ != getattr(now, "__module__", None)


def _of_definition(name: str, places: list[Place], value: Any, namespace: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    lines = {first_line(place.node) for place in places if isinstance(place.node, Definition)}
    is_decorated = any(getattr(place.node, "decorator_list", ()) for place in places)
    made = unwrapped(udf_function(value) or value)
    if isinstance(places[-1].node, ast.ClassDef):
        if isinstance(made, type) and made.__qualname__ == name and made.__module__ == namespace.get("__name__"):
            yield from _of_class(name, places, made, namespace)
        elif not is_decorated:
            yield name, value
    elif isinstance(made, FunctionType):
        if node_is_tried(places) and _is_of_text(made, places[0].source, namespace):
            return
        if not _is_as_said(made, lines, namespace) and not (is_decorated and made.__globals__ is not namespace):
            yield name, value
    elif not is_decorated:
        yield name, value


def _is_of_text(function: FunctionType, source: Source, namespace: dict[str, Any]) -> bool:
    """Whether a function stands in a text: of statements of one name, one or another may have made it."""
    found = locate(function) if function.__globals__ is namespace else None
    return isinstance(found, Located) and found.source is source


def _is_as_said(function: FunctionType, lines: set[int], namespace: dict[str, Any]) -> bool:
    """Whether a function is one that the text defines in these lines. Raises where the text was edited since."""
    if function.__globals__ is not namespace:
        return False
    found = locate(function)
    if isinstance(found, Located):
        return found.line in lines
    if found.path and found.path == namespace.get("__file__"):
        if not is_compiled_as_it_stands(namespace):
            return True
        raise refusals.stale(function)
    return False


def _of_class(name: str, places: list[Place], made: type, namespace: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    defined, bound = _said_of_class(places)
    is_generated = bool(places[-1].node.decorator_list) or type(made).__name__ not in ("type", "ABCMeta")  # type: ignore[attr-defined]
    for attribute, value in vars(made).items():
        own = attribute.removeprefix(f"_{made.__name__.lstrip('_')}") if attribute.startswith("_") else attribute
        function = unwrapped(getattr(value, "__func__", getattr(value, "fget", value)))
        if not isinstance(function, FunctionType):
            continue
        written = function.__code__.co_filename.startswith("<")  # by `dataclass`
        if written or is_library(str(function.__globals__.get("__name__")), function.__globals__):
            continue
        lines = defined.get(attribute) or defined.get(own)
        if lines:
            is_other = not _is_as_said(function, lines, namespace)
        else:
            is_other = not {attribute, own} & bound and (isinstance(locate(function), Located) or not is_generated)
        if is_other and not (isinstance(value, property) and function.__globals__ is namespace):
            yield f"{name}.{attribute}", value


def _said_of_class(places: list[Place]) -> tuple[dict[str, set[int]], set[str]]:
    """The lines of a class's methods by name, and every name that its body binds."""
    bodies = [statement for place in places for statement in inside(place)]
    defined: dict[str, set[int]] = {}
    for statement in bodies:
        if isinstance(statement.node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            defined.setdefault(statement.node.name, set()).add(first_line(statement.node))
    return defined, {each for statement in bodies for each in bound_names(statement.node)}
