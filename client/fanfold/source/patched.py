"""What somebody has put in the place of a library's own things, has removed there, or keeps from being imported.

A worker imports libraries as they are installed. Nothing is looked for that no code which travels mentions.
"""

from __future__ import annotations

import ast
import builtins
import functools
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from functools import lru_cache
from importlib.machinery import PathFinder
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, cast

from fanfold.contract.records import NamedTuple
from fanfold.source.filled import OWN, classes_of, members_of
from fanfold.source.modules import imported_object, is_library, is_project_path, is_put_into_builtins, is_replaced
from fanfold.source.removed import GONE, bound_in, given_by, surely_bound
from fanfold.source.texts import Source, dotted, names_in, parse, read

if TYPE_CHECKING:
    from fanfold.source.graph import Graph

_MISSING: Any = object()
#: What cannot change, so that a text's word for it can be trusted.
_CONSTANTS = frozenset({str, bytes, int, float, complex, bool, tuple, frozenset, type(None)})
#: Of a class of which nobody can set an attribute.
_IMMUTABLE = 1 << 8
#: Modules in C of which a second one may be made, to see what they hold at first.
_COMPUTING = frozenset("binascii cmath errno itertools math time zlib".split())


class Patch(NamedTuple):
    """What a module holds by now: a dotted name within it, and the value; `GONE` where there is none any more."""

    module: str
    name: str
    value: Any


def take_patches(graph: Graph) -> None:
    """Have all that travel which concerns the libraries that code which travels imports."""
    known: set[tuple[str, str]] = {(each[0], each[1]) for each in graph.after}
    is_new = True
    while is_new:
        is_new = False
        mentioned = graph.project.mentioned(graph)
        libraries = sorted(graph.project.libraries)
        found = [patch for name in libraries for patch in patches_of(name, mentioned)]
        nodes = [*((graph.home or {}, node) for node in graph.nodes_kept), *_trees(graph)]
        found += [patch for namespace, node in nodes for patch in removed_by_chain(namespace, node)]
        found += [patch for namespace, node in _trees(graph) for patch in put_into_builtins(namespace, node)]
        for patch in found:
            if (patch.module, patch.name) in known:
                continue
            known.add((patch.module, patch.name))
            is_new = True
            if patch.module == "builtins" and graph.can_travel(patch.value):
                graph.after.insert(0, (patch.module, patch.name, graph.ref(patch.value)))  # modules may need it at once
            elif patch.value is GONE:
                graph.after.append((patch.module, patch.name, None))
            elif graph.can_travel(patch.value):
                if not patch.name:
                    graph.project.imports.discard(patch.module)
                graph.after.append((patch.module, patch.name, graph.ref(patch.value)))
            else:
                path = next((each.path for each in graph.kept.sources()), "")
                graph.left.append((path, 1, f"{patch.module}.{patch.name}", "it was replaced by what cannot travel"))


def put_into_builtins(namespace: dict[str, Any], tree: ast.AST) -> Iterator[Patch]:
    """What a module of the project takes from `builtins`, where somebody has put it."""
    for name in _names_read(tree):
        if name not in namespace and is_put_into_builtins(name):
            yield Patch("builtins", name, vars(builtins)[name])


@lru_cache(maxsize=1024)
def _names_read(tree: ast.AST) -> tuple[str, ...]:
    return tuple(sorted(names_in([tree])))


def _trees(graph: Graph) -> Iterator[tuple[dict[str, Any], ast.AST]]:
    """The namespaces and the syntax of the project's modules that are loaded."""
    for name, file in graph.project.files.items():
        module = sys.modules.get(name)
        if module is not None and file.path.endswith(".py") and getattr(module, "__file__", None) == file.path:
            yield vars(module), parse(file.path, read(file.path)).tree


def patches_of(name: str, mentioned: AbstractSet[str]) -> Iterator[Patch]:
    """What is other than installed of one module that code imports."""
    module = sys.modules.get(name, _MISSING)
    if module is None:
        yield Patch(name, "", GONE)  # somebody wants nobody to import it
    elif type(module) is not ModuleType:
        return
    elif getattr(module, "__spec__", None) is None and not hasattr(module, "__file__") and name != "__main__":
        yield Patch(name, "", module)  # made by a program, which has put it there
    elif is_library(name, vars(module)):
        yield from patched_in(module, mentioned, set())


def patched_in(module: ModuleType, names: AbstractSet[str], seen: set[str]) -> Iterator[Patch]:
    """What is other than installed in a library's module, and in those within it that code mentions."""
    seen.add(module.__name__)
    for name in names & vars(module).keys():
        value = vars(module)[name]
        if type(value) is ModuleType:
            if value.__name__ not in seen and is_library(value.__name__):
                yield from patched_in(value, names, seen)
        elif issubclass(type(value), type) and is_library(value.__module__):
            if value.__flags__ & _IMMUTABLE:
                continue
            for member in names & vars(value).keys():
                if _is_put_there(vars(value)[member]):
                    yield Patch(module.__name__, f"{name}.{member}", vars(value)[member])
        elif not module.__name__.startswith("unittest") and (_is_put_there(value) or _is_other(module, name, value)):
            yield Patch(module.__name__, name, value)
    yield from _put_into_classes(module)


def _put_into_classes(module: ModuleType) -> Iterator[Patch]:
    """What the classes of a module's package have of the user's own: `json.dumps` asks `JSONEncoder.default`."""
    for name, value in classes_of(module):
        for member, held, what in members_of(value):
            if what == OWN:
                yield Patch(module.__name__, f"{name}.{member}", held)


def _is_put_there(value: Any) -> bool:
    # By its type: a lazy object (flask's `request`) fails whatever it is asked.
    inner = value.__func__ if issubclass(type(value), (MethodType, staticmethod, classmethod)) else value
    if type(inner) is FunctionType:
        # One in a namespace of its own has been made by a library.
        return inner.__globals__.get("__name__") in sys.modules and is_replaced(inner)
    kind = inner if issubclass(type(inner), type) else type(inner)
    home = sys.modules.get(str(kind.__module__))
    file = getattr(home, "__file__", None)
    is_of_project = kind.__module__ in ("__main__", "unittest.mock") or (
        isinstance(file, str) and is_project_path(file)
    )
    return is_of_project and is_replaced(inner)  # Cython's functions say a module that is in no file


# What a library has of its own, or of another's, where its text says something else


def _is_other(module: ModuleType, name: str, value: Any) -> bool:
    """Whether a library's thing stands where the library's text has another. Most of them need not be looked up."""
    kind = type(value)
    if kind in (FunctionType, BuiltinFunctionType):
        return bool(value.__name__ != name) and _is_another(module, name, value)
    if kind is functools.partial:
        return _is_another(module, name, value)
    return kind in _CONSTANTS and not name.startswith("__") and _is_another_constant(module, name, value)


def _is_another(module: ModuleType, name: str, value: Any) -> bool:
    source = _source(module)
    if source is None:
        first = _first(module.__name__, name)
        return first is not _MISSING and getattr(first, "__name__", None) != getattr(value, "__name__", None)
    node = surely_bound(source).get(name)
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        # `functools` itself gives functions of its own other names.
        is_its_own = (
            type(value) is FunctionType and value.__globals__ is vars(module) and value.__code__.co_name == name
        )
        return not (node.decorator_list or is_its_own)
    if isinstance(node, ast.ImportFrom):
        package = str(module.__package__ or "")
        alias = next((each for each in node.names if (each.asname or each.name) == name), None)
        found = _MISSING if alias is None else imported_object(node, alias, package)
        return isinstance(found, (FunctionType, BuiltinFunctionType)) and found is not value
    if node is None:
        held = [vars(each)[name] for each in _starred(source, module) if name in vars(each)]
        return bool(held) and all(each is not value for each in held)
    return False


def _is_another_constant(module: ModuleType, name: str, value: Any) -> bool:
    file = getattr(module, "__file__", None)
    if not (isinstance(file, str) and file.endswith(".py")):
        first = _first(module.__name__, name)
        return type(first) in _CONSTANTS and repr(first) != repr(value)
    expression = _said_of(file, name)
    if expression is None:
        return False
    from fanfold.source.drift import differs  # which most jobs need not load

    return differs(expression, value, vars(module)) is True


@lru_cache(maxsize=1024)
def _said_of(file: str, name: str) -> ast.expr | None:
    """What a file gives a name, where it is one statement of one line that does, and no code changes it."""
    text, name = _read(file) or "", re.escape(name)
    said = re.findall(rf"(?m)^{name}[ \t]*(?::[^=\n]*)?=(?!=)[ \t]*(.*)$", text)
    if len(said) != 1 or re.search(rf"(?m)\bglobal\b.*\b{name}\b|\b{name}\s*[-+*/|&]=|^\s+{name}[ \t]*=(?!=)", text):
        return None
    try:
        return cast("ast.expr", ast.parse(said[0].strip(), mode="eval").body)
    except (SyntaxError, ValueError):
        return None


@lru_cache(maxsize=256)
def _first(module: str, name: str) -> Any:
    """What a module in C holds under a name when it is new."""
    if module not in _COMPUTING:
        return _MISSING
    spec = importlib.util.find_spec(module)
    if spec is None or spec.loader is None:
        return _MISSING
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return getattr(made, name, _MISSING)


def _text(module: ModuleType) -> str | None:
    file = getattr(module, "__file__", None)
    return _read(file) if isinstance(file, str) and file.endswith(".py") else None


@lru_cache(maxsize=64)
def _read(path: str) -> str | None:
    try:
        return read(path)
    except (OSError, SyntaxError, UnicodeError):
        return None


def _source(module: ModuleType) -> Source | None:
    text = _text(module)
    try:
        return None if text is None else parse(str(module.__file__), text)
    except SyntaxError:
        return None


def _starred(source: Source | None, module: ModuleType) -> Iterator[ModuleType]:
    """The modules of which a text imports everything."""
    for node in ast.walk(source.tree) if source else ():
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            name = importlib.util.resolve_name(f"{'.' * node.level}{node.module or ''}", module.__package__ or "")
            if type(sys.modules.get(name)) is ModuleType:
                yield sys.modules[name]


# What has been removed: asked only of what code names by its whole chain, `json.loads`


def removed_by_chain(namespace: dict[str, Any], node: ast.AST) -> Iterator[Patch]:
    """What a node of code names of libraries' modules and classes, and these have no more."""
    chains = _chains(node)
    for chain in chains:
        start = namespace.get(chain[0], sys.modules.get(_imported_as(node).get(chain[0], chain[0])))
        if isinstance(start, type) or type(start) is ModuleType:
            yield from _removed_of(start, chain[1:])


def _removed_of(start: Any, attributes: Iterable[str]) -> Iterator[Patch]:
    owner = start
    for attribute in attributes:
        if not (isinstance(owner, type) or type(owner) is ModuleType):
            return
        name = owner.__module__ if isinstance(owner, type) else owner.__name__
        home = sys.modules.get(name)
        if type(home) is not ModuleType or not is_library(name, vars(home)):
            return
        if attribute not in vars(owner):
            if _gave(home, owner, attribute):
                path = f"{owner.__qualname__}.{attribute}" if isinstance(owner, type) else attribute
                yield Patch(name, path, GONE)
            return
        owner = vars(owner)[attribute]


def _gave(home: ModuleType, owner: Any, attribute: str) -> bool:
    """Whether a library's text gives its module or its class an attribute, whatever else happens."""
    text = _text(home)
    if text is None:
        return owner is home and _first(home.__name__, attribute) is not _MISSING
    name = re.escape(attribute)
    if isinstance(owner, type):
        # Where a class does not say it, a base class has it.
        return bool(re.search(rf"(?m)^\s+(?:async )?(?:def )?{name}\s*[(:=]", text)) and _gave_class(
            home, owner, attribute
        )
    if not re.search(rf"\b{name}\b|import \*", text) or _is_submodule(home, attribute):
        return False
    source = _source(home)
    known = given_by(source, vars(home)) if source else {}
    return attribute in known or any(attribute in vars(each) for each in _starred(source, home))


def _is_submodule(home: ModuleType, attribute: str) -> bool:
    """Whether a package has a module of that name, which may not be loaded yet, as `np.random`."""
    name = f"{home.__name__}.{attribute}"
    return name in sys.modules or PathFinder.find_spec(name, getattr(home, "__path__", [])) is not None


def _gave_class(home: ModuleType, owner: type, attribute: str) -> bool:
    source = _source(home)
    node = given_by(source, vars(home)).get(owner.__qualname__) if source else None
    return isinstance(node, ast.ClassDef) and attribute in bound_in(node)


@lru_cache(maxsize=1024)
def _chains(node: ast.AST) -> frozenset[tuple[str, ...]]:
    """The dotted names in code, also those that it asks for by `hasattr(json, "loads")`."""
    found = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute):
            chain = dotted(each)
        elif isinstance(each, ast.Call) and dotted(each.func) in (("hasattr",), ("getattr",)) and len(each.args) > 1:
            head, name = dotted(each.args[0]), each.args[1]
            said = isinstance(name, ast.Constant) and isinstance(name.value, str)
            chain = (*head, name.value) if head and said else None  # type: ignore[attr-defined]
        else:
            continue
        if chain:
            found.add(chain)
    return frozenset(found)


@lru_cache(maxsize=1024)
def _imported_as(node: ast.AST) -> dict[str, str]:
    """The names that code gives to modules itself: `import time as t`."""
    imports = (each for each in ast.walk(node) if isinstance(each, ast.Import))
    return {alias.asname: alias.name for each in imports for alias in each.names if alias.asname}
