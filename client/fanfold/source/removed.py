"""What somebody has removed since from a module, a class or a function: its text gives it, and it is not there."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import lru_cache
from types import FunctionType
from typing import Any

from fanfold.source.texts import Definition, Source, bindings, bound_names, dotted, first_line, top_level


class GONE:
    """Stands for the value of what has been removed: a class, which pickles by its name."""


#: By which code may ask for what it does not name.
_BY_TEXT = frozenset(("getattr", "hasattr", "globals", "vars", "dir", "__dict__", "eval", "exec", "getmembers"))


def removed_from(
    source: Source, namespace: Mapping[str, Any], mentioned: AbstractSet[str]
) -> Iterator[tuple[str, Any]]:
    """What a loaded module's text gives it and it has no more, by dotted name: `GONE`, or the defaults that are left.

    Nothing of a module whose text has not been executed to its end.
    """
    if "__builtins__" not in namespace or getattr(namespace.get("__spec__"), "_initializing", False):
        return
    anything = not mentioned.isdisjoint(_BY_TEXT)
    for name, node in given_by(source, namespace).items():
        is_said = anything or name in mentioned
        if name not in namespace:
            if is_said:
                yield name, GONE
        elif isinstance(node, ast.ClassDef):
            made = namespace[name]
            if isinstance(made, type) and made.__qualname__ == name and made.__module__ == namespace.get("__name__"):
                yield from _removed_from_class(name, node, made, None if anything else mentioned)
        elif is_said and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _removed_defaults(name, node, namespace[name])
    yield from _removed_attributes(source, namespace)


def _removed_attributes(source: Source, namespace: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for chain in _attributes_set(source):
        owner = namespace.get(chain[0])
        for attribute in chain[1:-1]:
            owner = getattr(owner, attribute, None)
        if isinstance(owner, (type, FunctionType)) and not hasattr(owner, chain[-1]):
            yield ".".join(chain), GONE


def _removed_from_class(
    owner: str, node: ast.ClassDef, made: type, mentioned: AbstractSet[str] | None
) -> Iterator[tuple[str, Any]]:
    from fanfold.source.drift import is_plain

    as_said = is_plain(node, made)
    for name, member in _surely(node.body).items():
        # A metaclass or a decorator may take values out, as `dataclass` does, and what is decorated.
        is_method = isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef) and not member.decorator_list
        own = vars(made).get(mangled(name, made.__name__), GONE)
        if own is GONE:
            is_said = mentioned is None or name in mentioned or (name.startswith("__") and name.endswith("__"))
            if is_said and (as_said or is_method):
                yield f"{owner}.{mangled(name, made.__name__)}", GONE
        elif is_method:
            yield from _removed_defaults(f"{owner}.{name}", member, own)  # type: ignore[arg-type]
        elif isinstance(member, ast.ClassDef) and isinstance(own, type) and own.__qualname__ == f"{owner}.{name}":
            yield from _removed_from_class(f"{owner}.{name}", member, own, mentioned)


def _removed_defaults(
    name: str, node: ast.FunctionDef | ast.AsyncFunctionDef, function: Any
) -> Iterator[tuple[str, Any]]:
    if type(function) is not FunctionType or function.__code__.co_firstlineno != first_line(node):
        return
    if len(function.__defaults__ or ()) < len(node.args.defaults):
        yield f"{name}.__defaults__", function.__defaults__
    if len(function.__kwdefaults__ or ()) < sum(each is not None for each in node.args.kw_defaults):
        yield f"{name}.__kwdefaults__", function.__kwdefaults__


def given_by(source: Source, namespace: Mapping[str, Any]) -> dict[str, ast.stmt]:
    """The names that a text has given a module: those of an `if` where others show which way it went."""
    found = dict(surely_bound(source))
    for branch, only_there in _branches(source):
        if any(name in namespace for name in only_there):
            found = {**branch, **found}
    return found


@lru_cache(maxsize=1024)
def _branches(source: Source) -> list[tuple[dict[str, ast.stmt], list[str]]]:
    """What each branch of an `if` gives, and which of these names no other statement gives."""
    known = bindings(top_level(source))
    found = []
    for place in top_level(source):
        if isinstance(place.node, ast.If):
            for body in (place.node.body, place.node.orelse):
                given = _surely(body)
                found.append((given, [name for name in given if len(known.get(name, ())) == 1]))
    return found


@lru_cache(maxsize=1024)
def surely_bound(source: Source) -> dict[str, ast.stmt]:
    """The names that executing a text always leaves in its module, each with the statement that gives it last."""
    return _surely(source.tree.body)


def bound_in(node: ast.ClassDef) -> dict[str, ast.stmt]:
    """The same of a class's body."""
    return _surely(node.body)


def _surely(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    found: dict[str, ast.stmt] = {}
    for node in body:
        if isinstance(node, (ast.If, ast.Try)):
            found |= _in_every_branch(node)
            if isinstance(node, ast.Try):
                found |= _surely(node.finalbody)
        elif isinstance(node, ast.With):
            found |= _surely(node.body)
        elif not isinstance(node, (ast.For, ast.While)):
            found |= dict.fromkeys((name for name in bound_names(node) if name != "*"), node)
        for name in _let_go(node):
            found.pop(name, None)
    return found


def _in_every_branch(node: ast.If | ast.Try) -> dict[str, ast.stmt]:
    if isinstance(node, ast.If):
        bodies = [node.body, node.orelse]
    else:
        bodies = [[*node.body, *node.orelse], *(handler.body for handler in node.handlers)]
    branches = [_surely(body) for body in bodies if not (body and isinstance(body[-1], ast.Raise))]
    kept = set.intersection(*(set(each) for each in branches)) if branches else set()
    return {name: statement for name, statement in branches[0].items() if name in kept} if branches else {}


def _let_go(node: ast.stmt) -> Iterator[str]:
    """The names that a statement may remove itself: by `del` within it, as the target of a loop, by `except ... as`."""
    if isinstance(node, Definition):
        return
    for each in ast.walk(node):
        if isinstance(each, ast.ExceptHandler) and each.name:
            yield each.name
        elif isinstance(each, ast.Name) and isinstance(each.ctx, ast.Del):
            yield each.id


def mangled(attribute: str, owner: str) -> str:
    """The name that an attribute of a class has there: `__x` is `_Class__x`."""
    private = attribute.startswith("__") and not attribute.endswith("__")
    return f"_{owner.lstrip('_')}{attribute}" if private else attribute


@lru_cache(maxsize=1024)
def _attributes_set(source: Source) -> list[tuple[str, ...]]:
    """What the top of a text sets on its own functions and classes: `f.unit = "m"`."""
    found = []
    for node in source.tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
            chain = dotted(node.targets[0])
            if chain:
                found.append(chain)
    return found
