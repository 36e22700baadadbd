"""Capturing a function: it, what it refers to, and nothing else.

Names are resolved by the values they have now, in the module that the function lives in. A value travels as an import,
as the definition or the statement that made it, or by the codec; what can do neither is refused by name and line.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

from fanfold.codec import encode_json
from fanfold.errors import CodecError, FanfoldError
from fanfold.source import imports, refusals, scope
from fanfold.source.blank import Piece, shipped_text
from fanfold.source.bundle import Bundle
from fanfold.source.decorators import udf_function, unwrapped
from fanfold.source.fingerprint import tree_hash
from fanfold.source.home import Home
from fanfold.source.imports import Found, Imported
from fanfold.source.origin import Definition, Place, locate, made_by
from fanfold.source.project import Project
from fanfold.source.recipes import is_alias, is_recipe, spelled
from fanfold.source.refusals import Usage
from fanfold.source.shipment import Shipment

#: The import at the top binds the feature itself, which knows its flag.
_POSTPONED = annotations.compiler_flag

PutBlob = Callable[[str, bytes], object]

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
        return self._shipment.bundle(entry)

    # Statements that travel

    def _take(self, name: str, place: Place, function: FunctionType | None = None) -> Usage:
        """Let a definition or an assignment travel, and look into the names it uses."""
        usage = Usage(place.source.path, place.node, name)
        piece = Piece(place, self._home.udf_decorators(place.node))
        if not self._shipment.add(name, piece):
            return usage
        if self._shipment.overlaps(place):
            raise refusals.defined_inside(self._home.function, name)
        if self._shipment.bound_elsewhere(name, place):
            raise refusals.two_definitions(usage, name)
        flags = function.__code__.co_flags if function else 0
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
            self._import(name, value, usage, home.enclosing.get(name, []))
        for name in sorted(self._read_at_definition()):
            found = imports.any_import(name, home.enclosing.get(name, []), home.package)
            if not found:
                raise refusals.closure(usage, name)
            self._use_statements(name, found[-1:], usage)

    def _read_at_definition(self) -> set[str]:
        """Local variables around the UDF that its decorators, defaults and annotations use."""
        home = self._home
        names = scope.definition_names(home.place.node, home.udf_decorators(home.place.node))
        if home.function.__code__.co_flags & _POSTPONED:
            names -= scope.names_in(scope.every_annotation(home.place.node))
        return {name for name in names if home.is_local_around(name)}

    # Names

    def _resolve(self, name: str, usage: Usage) -> None:
        value = self._home.namespace[name]
        if name in _MODULE_ATTRIBUTES or self._import(name, value, usage, self._home.bindings(name)):
            return
        if isinstance(value, ModuleType):
            raise refusals.cannot_travel(usage, name, value)
        ways = (self._rename, self._define, self._encode, self._remake)
        if not any(way(name, value, usage) for way in ways):
            raise refusals.cannot_travel(usage, name, value)

    def _import(self, name: str, value: Any, usage: Usage, places: list[Place]) -> bool:
        """Let an import statement give the name its value; False where none does."""
        home = self._home
        found = imports.found_imports(name, value, places, home.package)
        chains = scope.attribute_chains(usage.node).get(name, set()) if isinstance(value, ModuleType) else set()
        if found := imports.used(found, chains):
            self._use_statements(name, found, usage)
        elif written := self._written_import(name, value):
            self._shipment.write_import(name, *written)
            self._project.require(Imported(written[0], (written[1],), usage.line_of(name)), usage.path)
        if not (found or written):
            return False
        stated = [f"{each.module}.{each.attribute}." for each in found]
        for below in imports.submodules(value, chains) if isinstance(value, ModuleType) else ():
            if any(module.startswith(f"{below}.") for module in stated):
                continue
            self._shipment.write_submodule(below)
            self._project.require(Imported(below, (), usage.line_of(name)), usage.path)
        return True

    def _written_import(self, name: str, value: Any) -> tuple[str, str] | None:
        home = self._home
        if any(isinstance(place.node, Definition) for place in home.bindings(name)):
            return None
        written = imports.written_import(name, value, home.bindings("*"), home.package)
        return None if written and written[0] == home.name else written

    def _use_statements(self, name: str, found: list[Found], usage: Usage) -> None:
        for each in found:
            self._shipment.use_import(name, each)
            names = (each.attribute,) if each.attribute else ()
            line = each.place.node.lineno
            self._project.require(Imported(each.module, names, line), usage.path)

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
            self._take(name, made_by(definitions, function), function if isinstance(function, FunctionType) else None)
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
        try:
            self._shipment.values[name] = encode_json(value, put_blob=self._put_blob, name=name)
        except (FanfoldError, OSError) as error:  # of the last, `put_blob` is the only source
            if not isinstance(error, CodecError):
                raise
            return False
        except Exception:  # noqa: BLE001 - a proxy of the user's, which raises whatever it is asked
            return False
        self._shipment.parts.add(("value", name, self._shipment.values[name]))
        return True

    def _remake(self, name: str, value: Any, _usage: Usage) -> bool:
        """Let an expression or an assignment make the value again; False where that is not safe."""
        if expression := spelled(value):
            self._shipment.write_value(name, expression)
            return True
        places = self._home.bindings(name)
        if not places or not is_recipe(value, places[-1].node, self._home.namespace):
            return False
        self._take(name, places[-1])
        return True
