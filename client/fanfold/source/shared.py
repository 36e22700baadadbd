"""What the code that travels and a module of the project both hold stays one object where they run.

Such a module travels as its file, which makes its objects when it is executed: `from lib import REGISTRY` holds the
very list that `lib.register` fills. Where the file gives what is there now, the code takes it from the module by name;
else the module is given what travels.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any

from fanfold.contract.records import NamedTuple
from fanfold.source.drift import Held, by_module, statements
from fanfold.source.instances import OF_THREADS, OF_TYPES
from fanfold.source.texts import bindings

if TYPE_CHECKING:
    from fanfold.source.graph import Graph
    from fanfold.source.texts import Source

#: The nodes of objects that are made, each of which is another one.
_MADE = frozenset({"value", "call", "list", "dict", "set", "at"})


class Module(NamedTuple):
    """A module of the project that travels and is loaded: its text, and the names whose values the bundle gives it."""

    name: str
    source: Source
    given: AbstractSet[str]


def names_in(graph: Graph, module: str) -> set[str]:
    """The names under which a module holds an object that code which travels holds as well."""
    return {name for name, value in list(vars(sys.modules[module]).items()) if _number(graph, value) is not None}


def join(graph: Graph, modules: list[Module]) -> None:
    """Have each such object be one, in the code that travels and in these modules."""
    holders: dict[int, list[tuple[Module, str]]] = {}
    for module in modules:
        for name, value in list(vars(sys.modules[module.name]).items()):
            number = None if name.startswith("__") else _number(graph, value)
            if number is not None:
                holders.setdefault(number, []).append((module, name))
    definitions: dict[str, dict[str, Held]] = {}
    for number, places in holders.items():
        is_part = graph.nodes[number][0] == "at"  # of a container that travels with it: the file's own is another one
        if not is_part and (where := _by_name(places, definitions)) is not None:
            graph.give_name(number, *where)
            continue
        for module, name in places:
            if all(after[:2] != (module.name, name) for after in graph.after):
                graph.after.append((module.name, name, number))


def _number(graph: Graph, value: Any) -> int | None:
    number = graph.number_of(value)
    if number is None or graph.nodes[number][0] not in _MADE:
        return None
    cannot_change = graph.nodes[number][0] == "value" and type(value).__hash__ is not None
    return None if cannot_change else number


def _by_name(places: list[tuple[Module, str]], definitions: dict[str, dict[str, Held]]) -> tuple[str, str] | None:
    """The module and the name by which the file's own object is the one that is there now; None where it is not."""
    for module, name in places:
        namespace = vars(sys.modules[module.name])
        if _has_no_state(namespace[name]):
            if _is_made_by(module.source, name):
                return module.name, name
            continue
        if module.name not in definitions:
            definitions[module.name] = dict(_defined(module.source, namespace))
        held = _given_first(definitions[module.name], name)
        if held and (name in module.given or (held.is_sole and held.differs(namespace) is False)):
            return module.name, name
    return None


def _given_first(definitions: dict[str, Held], name: str) -> Held | None:
    """What gives a name its value, or the name that it is another of: `also = table` is what `table` is."""
    held, seen = definitions.get(name), {name}
    while held and isinstance(held.expression, ast.Name) and held.expression.id not in seen:
        seen.add(held.expression.id)
        held = definitions.get(held.expression.id, held)
    return held


def _is_made_by(source: Source, name: str) -> bool:
    """Whether a module gives a name its value itself, and does not import it."""
    found = [place.node for place in bindings(statements(source)).get(name, ())]
    return bool(found) and not any(isinstance(node, (ast.Import, ast.ImportFrom)) for node in found)


def _defined(source: Source, namespace: Mapping[str, Any]) -> Iterator[tuple[str, Held]]:
    return ((held.name, held) for held in by_module(source, namespace) if "." not in held.name)


def _has_no_state(value: Any) -> bool:
    """Whether a new one is as good: a mark (`MISSING = object()`), a lock, a name of types."""
    kind = type(value)
    if kind is ContextVar:
        unset = object()
        return value.get(unset) is Context().run(value.get, unset)
    return kind is object or kind.__module__ in OF_TYPES or kind.__module__ in OF_THREADS
