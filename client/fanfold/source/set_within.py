"""What functions set in libraries: `lib.options.depth = 9`, `lib.options.tags.append("a")`. A run has what stands now.

Whether such a function was called need not be known: what a library holds at that place is what it holds. A call of a
library's own setter (`lib.set_depth(9)`) does not say where it puts what it is given, and is only named.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import lru_cache
from types import ModuleType
from typing import Any

from fanfold.contract.records import NamedTuple
from fanfold.source.assigned import CHANGING
from fanfold.source.filled import KINDS, Filled
from fanfold.source.modules import held_by, is_library
from fanfold.source.texts import Definition, Source, dotted

#: Libraries of which a process has its own, or that say themselves how they stand.
_NOT = frozenset("IPython builtins fanfold importlib multiprocessing os pytest signal sys threading unittest".split())
_MISSING: Any = object()
#: What libraries call functions that set something.
_SETTERS = re.compile(r"^(set|set_\w+|set[A-Z]\w*|register\w*|enable_\w+|disable_\w+|configure|use_\w+)$")


class _Place(NamedTuple):
    """What a statement sets: dotted names, and the item of that, where it sets one."""

    chain: tuple[str, ...]
    #: `set` where the names are given another value, `item`, `held` where what they stand for is changed, `call`.
    how: str
    #: Of an item its key, of a call the constants that it is given.
    key: Any
    line: int
    text: str
    #: The function at the top of the file that it stands in; "" for the top of the file.
    within: str
    #: The modules that this function imports itself, by its names for them.
    imported: tuple[tuple[str, str], ...]


def set_within(source: Source, namespace: Mapping[str, Any], used: AbstractSet[str]) -> Iterator[Filled]:
    """What libraries that are `used` hold by now where code of this text sets them."""
    for place in _places(source):
        if place.how == "call" or (found := _owner(place, namespace, used)) is None:
            continue
        module, path, root = found
        owner = _walked(root, place.chain[1:-1] if place.how == "set" else place.chain[1:])
        names = [*path, *place.chain[1:]]
        if place.how == "set":
            held = vars(owner).get(place.chain[-1], _MISSING) if _has_own(owner) else _asked(owner, place.chain[-1])
            if held is not _MISSING:
                yield Filled(module, ".".join(names), held, is_whole=True)
        elif place.how == "item" and type(owner) is not list:
            if (held := _item(owner, place.key)) is not _MISSING:
                yield Filled(module, ".".join(names), {place.key: held}, is_whole=False)
        elif type(owner) in KINDS:
            yield Filled(module, ".".join(names), owner, is_whole=True)


def calls_within(
    source: Source, namespace: Mapping[str, Any], used: AbstractSet[str], carried: Iterable[Filled]
) -> Iterator[tuple[int, str]]:
    """Calls of libraries' setters in functions that the top of the file calls: their lines and texts.

    None that have put something into what is `carried`: what they were given, or an object of the user's own.
    """
    found_in: dict[str, list[Any]] = {}
    for each in carried:
        found_in.setdefault(each.module.partition(".")[0], []).append(each.held)
    called = _called_at_top(source)
    for place in _places(source):
        if place.how in ("call", "held") and place.within in called:
            found = _owner(place, namespace, used)
            what = _MISSING if found is None else _walked(found[2], place.chain[1:])
            # What a method of another kind does is not seen in a container: `jax.config.update(...)`.
            if found is None or (type(what) in KINDS if place.how == "held" else not callable(what)):
                continue
            held = found_in.get(found[0].partition(".")[0], [])
            is_there = all(any(each is value or each == value for each in held) for value in place.key or ())
            if not held or not is_there:
                yield place.line, f"{place.text} within {place.within}()"


def _owner(place: _Place, namespace: Mapping[str, Any], used: AbstractSet[str]) -> tuple[str, list[str], Any] | None:
    """The library's thing that a chain begins with: its module, its name there, and itself; None for another's."""
    name = dict(place.imported).get(place.chain[0])
    root = namespace.get(place.chain[0], _MISSING) if name is None else sys.modules.get(name, _MISSING)
    is_module = type(root) is ModuleType
    module = root.__name__ if is_module else getattr(root, "__module__", None) or type(root).__module__
    package = str(module).partition(".")[0]
    if root is _MISSING or package in _NOT or package not in used or not is_library(str(module)):
        return None
    if is_module:
        return module, [], root
    own = held_by(root, str(module)) or held_by(root, package)
    if own is None or (place.how == "set" and len(place.chain) < 2):
        return None
    return (str(module) if held_by(root, str(module)) else package), [own], root


def _has_own(owner: Any) -> bool:
    return issubclass(type(owner), (type, ModuleType))


def _walked(root: Any, names: Iterable[str]) -> Any:
    for name in names:
        root = _asked(root, name)
    return root


def _asked(owner: Any, name: str) -> Any:
    try:
        return getattr(owner, name, _MISSING)
    except Exception:  # noqa: BLE001 - a library's own, which cannot be asked
        return _MISSING


def _item(owner: Any, key: Any) -> Any:
    try:
        return owner[key]
    except Exception:  # noqa: BLE001 - as above, or it is there no more
        return _MISSING


# What a text says


@lru_cache(maxsize=256)
def _places(source: Source) -> list[_Place]:
    found: list[_Place] = []
    for node in source.tree.body:
        if isinstance(node, Definition):
            name = getattr(node, "name", "")
            for each in ast.walk(node):
                if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    found += _in_body(each, name)
        elif isinstance(node, ast.Expr):
            found += (place for place in _of_statement(node, "", ()) if place.how == "held")
    return list(dict.fromkeys(found))


def _in_body(function: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> Iterator[_Place]:
    """What the statements of a function set, but on its own variables."""
    imports = [alias for each in ast.walk(function) if isinstance(each, ast.Import) for alias in each.names]
    imported = tuple(
        (each.asname or top, each.name if each.asname else top) for each in imports for top in [_top(each)]
    )
    arguments = {each.arg for each in ast.walk(function.args) if isinstance(each, ast.arg)}
    stored = {each.id for each in ast.walk(function) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
    own = (arguments | stored) - {
        name for each in ast.walk(function) if isinstance(each, ast.Global) for name in each.names
    }
    for node in ast.walk(function):
        if isinstance(node, ast.stmt):
            yield from (place for place in _of_statement(node, name, imported) if place.chain[0] not in own)


def _top(alias: ast.alias) -> str:
    return alias.name.partition(".")[0]


def _of_statement(node: ast.stmt, within: str, imported: tuple[tuple[str, str], ...]) -> Iterator[_Place]:
    targets: list[ast.expr] = []
    if isinstance(node, (ast.Assign, ast.Delete)):
        targets = node.targets
    elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
        targets = [node.target]
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
        func = node.value.func
        chain = dotted(func.value) if func.attr in CHANGING else dotted(func) if _SETTERS.match(func.attr) else None
        if chain:
            how = "held" if func.attr in CHANGING else "call"
            given = [*node.value.args, *(each.value for each in node.value.keywords)]
            constants = tuple(each.value for each in given if isinstance(each, ast.Constant))
            yield _Place(chain, how, constants, node.lineno, ast.unparse(node), within, imported)
    for target in targets:
        chain, key = dotted(target), None
        how = "held" if isinstance(node, ast.Delete) else "set"
        if isinstance(target, ast.Subscript):
            chain, key = dotted(target.value), getattr(target.slice, "value", None)
            how = "item" if type(key) in (str, int) and how == "set" else "held"
        if chain and (how != "set" or len(chain) > 1):
            yield _Place(chain, how, key, node.lineno, ast.unparse(node), within, imported)


@lru_cache(maxsize=256)
def _called_at_top(source: Source) -> frozenset[str]:
    """The functions that statements at the top of a file call, and those that these call."""
    bodies = {node.name: node for node in source.tree.body if isinstance(node, ast.FunctionDef)}
    waiting: list[ast.AST] = [node for node in source.tree.body if isinstance(node, (ast.Expr, ast.Assign))]
    found: set[str] = set()
    while waiting:
        called = {each.func.id for each in ast.walk(waiting.pop()) if _is_call_by_name(each)}  # type: ignore[attr-defined]
        new = (called & bodies.keys()) - found
        found |= new
        waiting += [bodies[name] for name in new]
    return frozenset(found)


def _is_call_by_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
