"""Capturing a function: it, what it refers to, and nothing else.

Names are resolved by the values they have now, in the module that the function lives in. A value travels as an import,
as the definition or the statement that made it, or by the codec; what can do neither is refused by name and line.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from types import FunctionType, ModuleType
from typing import Any

from fanfold.source import held, imports, refusals, scope
from fanfold.source.blank import Piece, shipped_text
from fanfold.source.bundle import Bundle
from fanfold.source.decorators import udf_function, unwrapped
from fanfold.source.expression import PutBlob, encoded
from fanfold.source.fingerprint import tree_hash
from fanfold.source.held import Held
from fanfold.source.home import Home
from fanfold.source.origin import Definition, Place, locate, made_by
from fanfold.source.project import Project
from fanfold.source.recipes import is_alias, is_outdated, is_recipe, spelled
from fanfold.source.refusals import Usage
from fanfold.source.shipment import Shipment
from fanfold.source.taken_imports import ImportTaker

#: The import at the top binds the feature itself, which knows its flag.
_POSTPONED = annotations.compiler_flag

#: The module sets these itself wherever it is loaded.
_MODULE_ATTRIBUTES = frozenset(
    {"__name__", "__file__", "__doc__", "__package__", "__spec__", "__loader__", "__path__", "__builtins__"}
)


def capture(fn: Any, *, put_blob: PutBlob | None = None) -> Bundle:
    """The source of a function or a UDF with everything it refers to, ready to be sent.

    `put_blob(sha256_hex, data)` keeps large values (frames, arrays) apart; without it they travel in the bundle.
    Raises `CaptureError`, which names the variable, the file and line, and the next step, where something it uses
    cannot travel, or Python has not kept its source.
    """
    outer = udf_function(fn) or fn
    function = unwrapped(outer)
    if not isinstance(function, FunctionType) or function.__name__ == "<lambda>":
        raise refusals.not_a_function(function)
    place = locate(function)
    home = Home(function, place)
    kept = len(getattr(place.node, "decorator_list", ())) - len(home.udf_decorators(place.node))
    if function is not outer and not kept:
        raise refusals.wrapped_by_call(function)
    return _Capture(home, put_blob).bundle()


class _Capture:
    """Works through names until there are none left, and notes down what has to travel."""

    def __init__(self, home: Home, put_blob: PutBlob | None) -> None:
        self._home = home
        self._project = Project()
        self._shipment = Shipment(home, self._project)
        self._imports = ImportTaker(home, self._project, self._shipment)
        self._put_blob = put_blob or self._shipment.blobs.__setitem__
        self._pending: list[tuple[str, Usage]] = []
        self._done: set[str] = set()

    def bundle(self) -> Bundle:
        home = self._home
        entry = home.function.__code__.co_name
        self._done.add(entry)
        usage = self._take(entry, home.place, home.function)
        self._close_over(usage)
        while self._pending:
            name, usage = self._pending.pop()
            if isinstance(home.namespace.get(name), ModuleType) or name not in self._done:
                self._done.add(name)
                self._resolve(name, usage)
        self._project.settle(self._shipment.mentions(), self._put_blob)
        return self._shipment.bundle(entry)

    # Statements that travel

    def _take(self, name: str, place: Place, value: Any = None) -> Usage:
        """Let a definition, or the assignment that made a value, travel, and look into the names it uses."""
        usage = Usage(place.source.path, place.node, name)
        given = self._given(held.by_definition(name, place, value), usage)
        piece = Piece(place, self._home.udf_decorators(place.node), given=given)
        if not self._shipment.add(name, piece):
            return usage
        if self._shipment.overlaps(place):
            raise refusals.defined_inside(self._home.function, name)
        if self._shipment.bound_elsewhere(name, place):
            raise refusals.two_definitions(usage, name)
        made = unwrapped(udf_function(value) or value)
        flags = made.__code__.co_flags if isinstance(made, FunctionType) else 0
        unevaluated = bool(flags & _POSTPONED) or place.source.postpones_annotations
        if unevaluated or self._home.annotates_ahead(place):
            self._shipment.postpone_annotations(place.source, stated=unevaluated)
        self._shipment.parts.add(("statement", name, tree_hash(place.node, piece.without)))
        names = scope.global_names(shipped_text(place.source, [piece]).lstrip("\n"))
        names |= scope.annotation_names(place.node, unevaluated=unevaluated)
        self._pending += [(n, usage) for n in sorted(names) if n in self._home.namespace]
        for imported in imports.imports_in(place.node, self._home.package):
            self._project.require(imported, place.source.path)
        return usage

    def _given(self, holdings: Iterable[Held], usage: Usage) -> dict[ast.expr, str]:
        """Have values travel where the source would give something else by now; what stands for which expression."""
        given = {}
        # What stands in a function is evaluated among its variables, of which nobody knows any more.
        namespace = {} if usage.node is self._home.place.node and self._home.is_nested else self._home.namespace
        for each in holdings:
            differs = each.differs(namespace)
            if differs is False:
                continue
            if not self._encode(each.key, each.value, usage):
                if differs and not each.may_start_anew:
                    raise refusals.changed(usage, each.name, each.value, each.expression)
            elif each.in_place and each.expression:
                given[each.expression] = each.key
            else:
                self._shipment.set_afterwards(each.name, each.key)
        return given

    def _close_over(self, usage: Usage) -> None:
        """Bring along what a nested function takes from around it: modules only."""
        home, function = self._home, self._home.function
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:  # not assigned yet: the function's own name, while it is being decorated
                value = function
            if unwrapped(udf_function(value) or value) is function:
                continue
            found = imports.found_imports(name, value, home.enclosing.get(name, []), home.package)
            if not isinstance(value, ModuleType) and not found:
                raise refusals.closure(usage, name, value)
            self._done.add(name)
            self._imports.take(name, value, usage, home.enclosing.get(name, []))
        for name in sorted(self._read_at_definition()):
            found = imports.any_import(name, home.enclosing.get(name, []), home.package)
            if not found:
                raise refusals.closure(usage, name)
            self._imports.use(name, found[-1:], usage)

    def _read_at_definition(self) -> set[str]:
        """Local variables around the UDF that its decorators, defaults and annotations use."""
        home, piece = self._home, self._shipment.piece(self._home.place)
        names = scope.definition_names(home.place.node, [*piece.without, *piece.given])
        if home.function.__code__.co_flags & _POSTPONED:
            names -= scope.names_in(scope.every_annotation(home.place.node))
        return {name for name in names if home.is_local_around(name)}

    # Names

    def _resolve(self, name: str, usage: Usage) -> None:
        value = self._home.namespace[name]
        if name in _MODULE_ATTRIBUTES or self._imports.take(name, value, usage, self._home.bindings(name)):
            return
        if isinstance(value, ModuleType):
            raise refusals.cannot_travel(usage, name, value)
        ways = (self._rename, self._define, self._encode, self._remake)
        if not any(way(name, value, usage) for way in ways):
            raise refusals.cannot_travel(usage, name, value)

    def _rename(self, name: str, value: Any, _usage: Usage) -> bool:
        """Let a statement like `other = function` travel; False where there is none."""
        places = self._home.bindings(name)
        if not places or not is_alias(value, places[-1].node, self._home.namespace):
            return False
        self._take(name, places[-1])
        return True

    def _define(self, name: str, value: Any, usage: Usage) -> bool:
        """Let the name's definition travel; False where it has none."""
        wrapped = udf_function(value) or value
        function = unwrapped(wrapped)
        places = self._home.bindings(name)
        definitions = [place for place in places if isinstance(place.node, Definition)]
        if definitions:
            if not isinstance(places[-1].node, Definition):
                if function is not wrapped:
                    raise refusals.wrapped_by_call(function)
                if not isinstance(function, (FunctionType, type)):
                    return False
            self._take(name, made_by(definitions, function), value)
            self._extend(name)
            return True
        if not isinstance(function, FunctionType) or function.__name__ == "<lambda>":
            return False
        if function.__globals__ is not self._home.namespace or "<locals>" in function.__qualname__:
            raise refusals.closure_made_elsewhere(usage, name, function)
        if function is not wrapped:
            raise refusals.wrapped_by_call(function)
        self._alias(name, function)
        return True

    def _extend(self, name: str) -> None:
        """Let what registers itself with a definition travel too, such as `@name.register`."""
        for place, attribute in self._home.extensions(name):
            self._take(f"{name}.{attribute}", place)

    def _alias(self, name: str, function: FunctionType) -> None:
        """Let a function travel of which only the code says where it is, under this name and its own."""
        own = function.__code__.co_name
        self._done.add(own)
        self._take(own, locate(function), function)
        if name != own:
            self._shipment.write_alias(name, own)

    def _encode(self, name: str, value: Any, _usage: Usage) -> bool:
        """Let the value travel by the codec; False where it knows none."""
        text = encoded(value, self._put_blob, name)
        if text is None:
            return False
        self._shipment.values[name] = text
        self._shipment.parts.add(("value", name, text))
        return True

    def _remake(self, name: str, value: Any, _usage: Usage) -> bool:
        """Let an expression or an assignment make the value again; False where that is not safe."""
        if expression := spelled(value):
            self._shipment.write_value(name, expression)
            return True
        places = self._home.bindings(name)
        if not places or not is_recipe(value, places[-1].node, self._home.namespace):
            return False
        if is_outdated(value, places[-1].node, self._home.namespace):
            own = Usage(places[-1].source.path, places[-1].node, name)
            raise refusals.changed(own, name, value, getattr(places[-1].node, "value", None))
        self._take(name, places[-1], value)
        return True
