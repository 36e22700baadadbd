"""Drift: what loaded modules of the project hold by now, where their files would not give the same again.

A module travels as its file, which is executed where it runs. What was replaced, set or changed since travels as well.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import lru_cache
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from fanfold.codec.registry import is_bulk
from fanfold.contract.records import NamedTuple
from fanfold.source import refusals
from fanfold.source.assigned import Given, bound_otherwise, changed_names, given_by, other_names
from fanfold.source.classes import MISSING, declared, is_enum, makes_fields
from fanfold.source.functions import Located, is_compiled_as_it_stands, locate
from fanfold.source.instances import encoded
from fanfold.source.modules import imported_object, is_library, module_name, target, udf_function, unwrapped
from fanfold.source.rebound import function_of, is_of_before, is_of_elsewhere, was_bound_again, wrappers
from fanfold.source.removed import mangled, removed_from
from fanfold.source.texts import (
    Definition,
    Place,
    Source,
    UseSite,
    bindings,
    bound_name,
    bound_names,
    first_line,
    inside,
    names_in,
    top_level,
)

if TYPE_CHECKING:
    from fanfold.source.graph import Graph


#: What a module may not be able to do where it is imported, and then does without.
_ATTEMPTS = (ast.Try, getattr(ast, "TryStar", ast.Try))


class Held(NamedTuple):
    """One thing that a definition holds, as a reader would call it: `helper.k`, `Config.FACTOR`, `LIMIT`."""

    name: str
    value: Any
    #: What the source says; None where it says nothing.
    expression: ast.expr | None
    #: What the expression sees besides the module's names.
    local: Mapping[str, Any] | None = None
    #: Whether the value is to stand in the expression's place, or to be set when the whole has been executed.
    in_place: bool = True
    #: Whose code may change it as it runs.
    within: ast.Module | Definition | None = None
    #: Whether the expression is the only one that gives the value.
    is_sole: bool = True
    #: Whether a decorator or a metaclass had a hand in it.
    is_made_over: bool = False

    @property
    def may_start_anew(self) -> bool:
        """Whether the source is to be trusted with it all the same: its own code changes it, or makes it."""
        changed = self.within is not None and self.name.rpartition(".")[2] in changed_names(self.within)
        return self.is_made_over or changed

    @property
    def key(self) -> str:
        """A name for the value that no source has; a field may have a default, and another value set on its class."""
        own = self.name.replace(".", "·") if "." in self.name else f"{self.name}·now"
        return own if self.in_place else f"{own}·set"

    def differs(self, namespace: dict[str, Any]) -> bool | None:
        """Whether the source would give something else by now; None where there is no telling."""
        if self.expression is None or not self.is_sole:
            return None
        return differs(self.expression, self.value, namespace, self.local)


def by_definition(name: str, place: Place, value: Any) -> Iterator[Held]:
    """What a function or a class holds that this definition made."""
    wrapped = udf_function(value) or value
    made = unwrapped(wrapped)
    if isinstance(made, FunctionType):
        yield from _by_function(name, place.node, made)
        if isinstance(wrapped, FunctionType):
            yield from _set_on(name, vars(wrapped))
    elif isinstance(made, type) and isinstance(place.node, ast.ClassDef):
        yield from _by_class(name, place, made)


def by_module(source: Source, namespace: Mapping[str, Any]) -> Iterator[Held]:
    """What a module of that source holds under the names that it binds at its top level."""
    places = list(top_level(source))
    at_once = changed_names(source.tree, at_once=True)
    for name, binders in bindings(places).items():
        value = namespace.get(name, MISSING)
        is_tried = any(isinstance(node, _ATTEMPTS) for place in binders for node in place.ancestors)
        if value is MISSING or (is_tried and _is_given_by_one(name, value, binders)):
            continue
        if isinstance(binders[-1].node, Definition):
            yield from by_definition(name, binders[-1], value)
        elif all(given_by(place.node, name) for place in binders):
            held = Held(name, value, None, None, name not in at_once, source.tree, len(binders) == 1)
            # Where one or another may be executed, all of them; of those that follow each other, what stays.
            for place in binders if any(place.ancestors for place in binders) else binders[-1:]:
                expression, is_own = given_by(place.node, name)  # type: ignore[misc]
                in_place = held.in_place and is_own and not is_tried
                yield held._replace(expression=None if is_tried else expression, in_place=in_place)
    for name in sorted(bound_otherwise(source) - _bindings(source).keys() & namespace.keys()):
        yield Held(name, namespace[name], None, None, in_place=False, within=source.tree)


def _is_given_by_one(name: str, value: Any, binders: list[Place]) -> bool:
    """Whether one of several statements gives a name just that: which of them did may be up to where it is executed."""
    said = [given.expression for place in binders if (given := given_by(place.node, name))]
    return any(each is not None and differs(each, value, {}) is False for each in said)


def _by_function(name: str, node: ast.stmt, function: FunctionType) -> Iterator[Held]:
    """The defaults of a function's parameters."""
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return
    if first_line(node) != function.__code__.co_firstlineno:
        return
    spec = node.args
    positional = [*spec.posonlyargs, *spec.args][-len(spec.defaults) :] if spec.defaults else []
    values = dict(zip([arg.arg for arg in reversed(positional)], reversed(function.__defaults__ or ()), strict=False))
    values |= function.__kwdefaults__ or {}
    for arg, default in zip([*positional, *spec.kwonlyargs], [*spec.defaults, *spec.kw_defaults], strict=True):
        if default is not None and arg.arg in values:
            yield Held(f"{name}.{arg.arg}", values[arg.arg], default, within=node)


def _set_on(name: str, attributes: Mapping[str, Any]) -> Iterator[Held]:
    """Attributes that no statement of the definition's own has given."""
    for attribute, value in attributes.items():
        if not attribute.startswith("_"):
            yield Held(f"{name}.{attribute}", value, None, in_place=False)


def _by_class(name: str, place: Place, made: type) -> Iterator[Held]:
    """A class's attributes, its methods' defaults, and what was set on it since."""
    statements = list(inside(place))
    if not _is_made_by(statements, made):
        return
    bound = [n for statement in statements for n in bound_names(statement.node)]
    before: dict[str, Any] = {}
    for statement in statements:
        node, member = statement.node, vars(made).get(mangled(_named(statement.node), made.__name__))
        if isinstance(node, ast.ClassDef) and isinstance(member, type):
            yield from _by_class(f"{name}.{node.name}", statement, member)
        elif isinstance(node, Definition) and (function := _own_function(member)):
            yield from _by_function(f"{name}.{node.name}", node, function)
        for own in bound_names(node):
            given = given_by(node, own) if bound.count(own) == 1 else None
            if given is not None:
                for held in _by_assignment(name, given, own, place.node, made):  # type: ignore[arg-type]
                    yield held._replace(local=before.copy())
        before |= {n: vars(made)[n] for n in bound_names(node) if n in vars(made)}
    if is_plain(place.node, made) or "__dataclass_fields__" in vars(made):
        known = {n for n in bound if declared(made, n) is MISSING or same(declared(made, n), vars(made).get(n))}
        yield from _set_on(name, {n: value for n, value in vars(made).items() if n not in known})


def _by_assignment(name: str, given: Given, target: str, node: ast.ClassDef, made: type) -> Iterator[Held]:
    expression = given.expression
    members, plain = vars(made), is_plain(node, made)
    default = declared(made, target)
    value = members.get(mangled(target, made.__name__), MISSING) if default is MISSING else default
    # A call in such a class is a field with all its settings, of which the value is only one.
    if value is MISSING or (isinstance(expression, ast.Call) and not plain):
        return
    if is_enum(made) and (default is MISSING or expression is None or not names_in([expression])):
        return
    as_said = plain or default is not MISSING or makes_fields(made)
    in_place = as_said and given.is_own and target not in changed_names(node, at_once=True)
    is_made_over = not as_said or is_enum(made)
    yield Held(f"{name}.{target}", value, expression, None, in_place, node, is_made_over=is_made_over)


def _is_made_by(statements: list[Place], made: type) -> bool:
    """Whether a class is the one that a body of these statements makes, and not one of C's in its place."""
    lines = {first_line(s.node) for s in statements if isinstance(s.node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    functions = list(filter(None, map(_own_function, vars(made).values())))
    own = [f for f in functions if statements and f.__code__.co_filename == statements[0].source.path]
    if functions and not own:  # all of its methods have been replaced
        return True
    return not lines or any(function.__code__.co_firstlineno in lines for function in own)


def is_plain(node: ast.stmt, made: type) -> bool:
    """Whether nothing but the class's body has made it what it is."""
    return type(made).__name__ in ("type", "ABCMeta") and not getattr(node, "decorator_list", ())


def _own_function(member: Any) -> FunctionType | None:
    """The function of a method of any kind, with what wraps it."""
    if issubclass(type(member), property):
        member = member.fget
    elif issubclass(type(member), (staticmethod, classmethod)):
        member = member.__func__
    return member if type(member) is FunctionType else None


def _named(node: ast.stmt) -> str:
    return node.name if isinstance(node, Definition) else ""


# What an expression gives now: told by evaluating it, where that can change nothing

#: Reading names, attributes and items, and arithmetic. A call might do anything, and twice.
_HARMLESS = (
    ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.Slice, ast.Starred, ast.expr_context,
    ast.Dict, ast.List, ast.Tuple, ast.Set, ast.UnaryOp, ast.BinOp, ast.operator, ast.unaryop,
)  # fmt: skip


def is_harmless(expression: ast.expr) -> bool:
    """Whether an expression may be evaluated though nobody asked for it."""
    return all(isinstance(node, _HARMLESS) for node in ast.walk(expression))


def differs(
    expression: ast.expr, value: Any, namespace: dict[str, Any], local: Mapping[str, Any] | None = None
) -> bool | None:
    """Whether an expression would give something else than `value` by now; None where there is no telling."""
    if type(expression) is ast.Constant:
        return not same(expression.value, value)
    if not is_harmless(expression):
        return True if is_of_elsewhere(value, [expression], namespace) else None
    try:
        made = evaluated(expression, namespace, local)
    except Exception:  # noqa: BLE001 - a name that is gone, or an object of the user's that will not be read
        return None
    return not same(made, value)


def evaluated(expression: ast.expr, namespace: dict[str, Any], local: Mapping[str, Any] | None = None) -> Any:
    """The value of an expression that is known to be harmless."""
    return eval(compile(ast.Expression(expression), "<now>", "eval"), namespace, local)  # noqa: S307 - see above


def same(one: Any, other: Any) -> bool:
    """Whether two values are one, or equal in all that a codec writes of them, or in what they are made of."""
    if one is other or type(one) is not type(other):
        return one is other
    text = encoded(one)
    if text is not None:
        return text == encoded(other)
    if type(one).__name__ == "builtin_function_or_method":  # made anew each time that it is asked for
        return one.__self__ is other.__self__ and bool(one.__name__ == other.__name__)
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 - an object of the user's, which raises whatever it is asked
        return False


# What a loaded module of the project holds by now that its text would not give again, and how that travels.

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
    when all of it has been executed, by dotted name; `held` has the values themselves by dotted name."""

    values: dict[str, str]
    given: dict[ast.expr, str]
    lines: list[str]
    after: list[tuple[str, Any]]
    held: dict[str, Any]


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
    found = Changes({}, {}, [], [], {})
    replaced = dict(_replaced(source, namespace, mentioned))
    for name, value in replaced.items():
        if name.partition(".")[0] in mentioned or name.rpartition(".")[2] in mentioned:
            found.after.append((name, value))
    for held in by_module(source, namespace):
        owner, _, attribute = held.name.rpartition(".")
        if held.name in replaced or owner in replaced or mentioned.isdisjoint((attribute, owner.partition(".")[0])):
            continue
        differs = held.differs(namespace)
        if isinstance(held.expression, ast.Name) and f"{owner}.{held.expression.id}".lstrip(".") in replaced:
            found.after.append((held.name, held.value))  # another name of what was there before
            continue
        # A table that a module has loaded, it can load again.
        if differs is False or (differs is None and is_bulk(type(held.value))):
            continue
        others = [] if held.in_place else other_names(held.name, held.value, namespace)
        if (others or _holds_another(held.value, namespace)) and graph.can_travel(held.value):
            found.after.extend((name, held.value) for name in (held.name, *others))
            continue
        _take(graph, found, held, differs, source, attribute in directly)
    found.after.extend((name, value) for name, value in _added(graph, source, namespace) if name in mentioned)
    found.after.extend(
        each for each in removed_from(source, namespace, mentioned) if each[0].partition(".")[0] not in replaced
    )
    return found


def _holds_another(value: Any, namespace: dict[str, Any]) -> bool:
    """Whether a container has within what the module has under a name of its own as well: a text has each twice."""
    if type(value) not in (list, dict, tuple):
        return False
    named = {id(each) for each in namespace.values() if type(each) in (list, dict, set) and each is not value}
    waiting, seen = [value], set()
    while waiting and named:
        parts = waiting.pop()
        for part in parts.values() if type(parts) is dict else parts:
            if id(part) in named:
                return True
            if type(part) in (list, dict, tuple) and id(part) not in seen:
                seen.add(id(part))
                waiting.append(part)
    return False


def _added(graph: Graph, source: Source, namespace: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Names that somebody has given a module: its text says nothing of them."""
    if not (said := _said(source)):
        return
    package = str(namespace.get("__name__"))
    for name, value in list(namespace.items()):
        if name in said or name.startswith("__") or f"{package}.{name}" in sys.modules:
            continue
        if graph.can_travel(value):
            yield name, value


def may_execute(source: Source, name: str) -> bool:
    """Whether a text may itself execute another that makes a name which no statement of it binds."""
    return not _said(source) and name not in _bindings(source)


@lru_cache(maxsize=1024)
def _said(source: Source) -> frozenset[str]:
    """Every name that a text says; none where it may make names that it does not say."""
    said = set(re.findall(r"\w+", source.text)) | ({"*"} if "import *" in source.text else set())
    unsaid = {"globals", "vars", "exec", "setattr", "__dict__", "*"}
    return frozenset() if said & unsaid else frozenset(said | {"@py_builtins", "@pytest_ar"})


def _take(graph: Graph, found: Changes, held: Held, differs: bool | None, source: Source, is_direct: bool) -> None:
    text = encoded(held.value, graph.put_blob, held.name)
    if text is not None:
        found.values[held.key] = text
        found.held[held.name] = held.value
        if held.in_place and held.expression is not None:
            found.given[held.expression] = held.key
        else:
            found.lines.append(f"\n{held.name} = {held.key}")
        return
    may_be_left = held.may_start_anew or _is_its_own_doing(held, source)
    if (differs or has_settings(held.value)) and not (may_be_left and not has_settings(held.value)):
        if graph.can_travel(held.value):
            found.after.append((held.name, held.value))
        elif differs and is_direct and not may_be_left:
            usage = UseSite(source.path, source.tree, held.name)
            raise refusals.changed(usage, held.name, held.value, held.expression)


def has_settings(value: Any) -> bool:
    """Whether an object is one of the user's, or keeps what somebody may have set."""
    kind = type(value)
    if issubclass(kind, (type, FunctionType, ModuleType)):
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


#: By which code may get at what it does not name.
_BY_TEXT = frozenset(
    ("getattr", "globals", "vars", "__dict__", "eval", "exec", "getmembers", "attrgetter", "methodcaller")
)


def _replaced(source: Source, namespace: dict[str, Any], mentioned: AbstractSet[str]) -> Iterator[tuple[str, Any]]:
    """Functions, classes and methods that are others than the text's, by dotted name.

    A function that nobody can get at may be another by now. Raises `CaptureError` where one that is used was edited.
    """
    names_all = mentioned.isdisjoint(_BY_TEXT)
    for name, places in _bindings(source).items():
        if name not in namespace or (names_all and name not in mentioned and _only_defines(places[-1].node)):
            continue
        value, node = namespace[name], places[-1].node
        if isinstance(node, Definition):
            yield from _of_definition(name, places, value, namespace)
        elif _is_replaced_import(name, places, value, namespace):
            yield name, value


def _only_defines(node: ast.stmt) -> bool:
    """Whether a statement does no more than define a function."""
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not node.decorator_list


def node_is_tried(places: list[Place]) -> bool:
    """Whether one or another statement gives a name its value."""
    return len(places) > 1 or bool(places[-1].ancestors)


def _is_replaced_import(name: str, places: list[Place], value: Any, namespace: dict[str, Any]) -> bool:
    node = places[-1].node
    package = str(namespace.get("__package__") or "")
    if node_is_tried(places):
        return _is_none_of(name, places, value, package)
    if not isinstance(node, (ast.Import, ast.ImportFrom)):
        return False
    alias = next(alias for alias in node.names if bound_name(node, alias) == name)
    now = imported_object(node, alias, package)
    if now is value or isinstance(value, FunctionType):
        return now is not value and not is_of_before(value, now)
    if isinstance(now, ModuleType):  # of one that was only loaded anew, the name is the same
        return not (isinstance(value, ModuleType) and value.__name__ == now.__name__ and value.__spec__ is not None)
    return isinstance(node, ast.ImportFrom) and was_bound_again(*target(node, alias, package), value)


def _is_none_of(name: str, places: list[Place], value: Any, package: str) -> bool:
    """Whether a name is none of what several imports may have given it."""
    found = []
    for place in places:
        if not isinstance(place.node, (ast.Import, ast.ImportFrom)):
            return False
        alias = next(alias for alias in place.node.names if bound_name(place.node, alias) == name)
        found.append(imported_object(place.node, alias, package))
    if isinstance(value, FunctionType):
        of_library = is_library(module_name(value.__globals__), value.__globals__)
        return not of_library and not any(now is value or is_of_before(value, now) for now in found)
    return not any(now is value or type(now) is type(value) for now in found)


def _module_of(made: type) -> str | None:
    """The module that a class says it is of; None for an Enum of which Python 3.10 itself says that it is of none."""
    return None if is_enum(made) and made.__module__ == "<unknown>" else made.__module__


def _of_definition(name: str, places: list[Place], value: Any, namespace: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    lines = {first_line(place.node) for place in places if isinstance(place.node, Definition)}
    is_decorated = any(getattr(place.node, "decorator_list", ()) for place in places)
    whole = udf_function(value) or value
    made = unwrapped(whole)
    if wrappers(whole) > max(len(getattr(place.node, "decorator_list", ())) for place in places):
        yield name, value  # wrapped since, by more than its statement says
    elif isinstance(places[-1].node, ast.ClassDef):
        is_its_own = isinstance(made, type) and _module_of(made) in (None, namespace.get("__name__"))
        if isinstance(made, type) and is_its_own and made.__qualname__ == name:
            yield from _of_class(name, places, made, namespace)
        elif not is_decorated:
            yield name, value
    elif isinstance(made, FunctionType):
        if _is_another(made, places, lines, namespace):
            yield name, value
    elif not is_decorated:
        yield name, value


def _is_another(function: FunctionType, places: list[Place], lines: set[int], namespace: dict[str, Any]) -> bool:
    """Whether a function is none that a definition makes of these. Raises where the text was edited since."""
    if node_is_tried(places) and _is_of_text(function, places[0].source, namespace):
        return False
    decorators = [each for place in places for each in getattr(place.node, "decorator_list", ())]
    if decorators and function.__globals__ is not namespace:
        return is_of_elsewhere(function, decorators, namespace)
    return not _is_as_said(function, lines, places[0].source, namespace)


def _is_of_text(function: FunctionType, source: Source, namespace: dict[str, Any]) -> bool:
    """Whether a function stands in a text: of statements of one name, one or another may have made it."""
    found = locate(function) if function.__globals__ is namespace else None
    return isinstance(found, Located) and found.source is source


def _is_as_said(function: FunctionType, lines: set[int], source: Source, namespace: dict[str, Any]) -> bool:
    """Whether a function is one that the text defines in these lines. Raises where the text was edited since."""
    if function.__globals__ is not namespace:
        return False
    found = locate(function)
    if isinstance(found, Located):
        if found.source.path == source.path and found.source.text != source.text:
            raise refusals.stale(function)  # only in what `linecache` has of the file as it was
        return found.source.path == source.path and found.line in lines
    if found.path and found.path == namespace.get("__file__"):
        if not is_compiled_as_it_stands(namespace):
            return True
        raise refusals.stale(function)
    return False


def _of_class(name: str, places: list[Place], made: type, namespace: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    defined, bound = _said_of_class(places)
    methods = (statement.node for place in places for statement in inside(place))
    decorators = {m.name: len(m.decorator_list) for m in methods if isinstance(m, Definition)}
    is_generated = bool(places[-1].node.decorator_list) or type(made).__name__ not in ("type", "ABCMeta")  # type: ignore[attr-defined]
    for attribute, value in list(vars(made).items()):
        own = attribute.removeprefix(f"_{made.__name__.lstrip('_')}") if attribute.startswith("_") else attribute
        function = function_of(value)
        if function is None:
            continue
        written = function.__code__.co_filename.startswith("<")  # by `dataclass`
        if written or is_library(module_name(function.__globals__), function.__globals__):
            continue
        lines = defined.get(attribute) or defined.get(own)
        if lines:
            inner = getattr(value, "__func__", getattr(value, "fget", value))
            said = max(decorators.get(attribute, 0), decorators.get(own, 0))
            is_other = wrappers(inner) > said or not _is_as_said(function, lines, places[0].source, namespace)
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


def held_paths(modules: list[str], mentioned: AbstractSet[str]) -> list[str]:
    """The paths that these modules hold at their top and code mentions: the cache asks what their files are.

    As encoded texts.
    """
    held = (value for each in modules for name, value in list(vars(sys.modules[each]).items()) if name in mentioned)
    spread = (each for value in held for each in (value.values() if type(value) is dict else (value,)))
    found = {str(each) for each in spread if type(each).__module__.partition(".")[0] == "pathlib"}
    return [json.dumps({"$path": ["Path", path]}) for path in sorted(found)]
