"""How classes are made: bare, as a dataclass, or by their statements, compiled and executed, and what these read."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType
from typing import Any

from fanfold.source.rebuild import FUTURES


def executed(code: CodeType, parts: dict[str, Any], space: dict[str, Any], given: list[Any], local: Any) -> Any:
    """The class that a statement makes. Its names are the module's; those of functions around it are its maker's."""
    found: dict[str, Any] = {}
    space[_GIVEN] = given
    try:
        exec(code, space, found)  # noqa: S102 - the user's own class
        return found[parts["name"]] if not local else found[_MAKER](**local)[parts["name"]]
    finally:
        space.pop(_GIVEN, None)


#: Names that no source has: of the values given to a class's statement, and of the function that executes it.
_GIVEN, _MAKER = "·given", "·make"


def statement_code(text: str, path: str, parts: dict[str, Any]) -> CodeType:
    """The code that makes a class of its statement, with what is given in the place of some expressions."""
    import ast

    tree = ast.parse(text, path)
    lines = (parts["name"], parts["line"])
    node = next(n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and (n.name, n.lineno) == lines)
    node.decorator_list = [each for n, each in enumerate(node.decorator_list) if n not in parts["without"]]
    spots = {tuple(spot): number for number, (spot, _) in enumerate(parts["given"])}

    class Give(ast.NodeTransformer):
        def generic_visit(self, n: ast.AST) -> ast.AST:
            spot = tuple(getattr(n, name, None) for name in ("lineno", "col_offset", "end_lineno", "end_col_offset"))
            if isinstance(n, ast.expr) and spot in spots:
                name = ast.Name(_GIVEN, ast.Load())
                taken = ast.Subscript(name, ast.Constant(spots[spot]), ast.Load())
                return ast.fix_missing_locations(ast.copy_location(taken, n))
            return super().generic_visit(n)

    made = Give().visit(node)
    flags = FUTURES if parts.get("postponed") else 0
    if not parts.get("local"):
        plain: CodeType = compile(ast.Module([made], []), path, "exec", flags=flags, dont_inherit=True)
        return plain
    arguments = ast.parse(f"def f({', '.join(parts.get('local', {}))}): return locals()").body[0]
    arguments.name, arguments.body = _MAKER, [made, *arguments.body]  # type: ignore[attr-defined]
    module = ast.fix_missing_locations(ast.Module([arguments], []))
    code: CodeType = compile(module, path, "exec", flags=flags, dont_inherit=True)
    return code


#: What a code has that is executed when it is called, and not where it stands: a function's.
_OPTIMIZED = 0x1
#: Functions whose code is executed where they stand, or asked for by what makes a class.
_EXECUTED_THERE = re.compile(r"<(lambda|genexpr|listcomp|setcomp|dictcomp|generic parameters of .*)>|__annotate\w*__")


def read_first(
    code: CodeType, parts: dict[str, Any], nodes: list[Any], spaces: list[Any], space: dict[str, Any]
) -> Iterator[tuple[str, int, bool]]:
    """The names that a statement reads as it is executed, with their nodes, and whether it reads them itself.

    Of what stands in a text alone, the classes whose statements are above it.
    """
    known = {**spaces[parts["space"]].get("names", {}), **spaces[parts["space"]].get("globals", {})}
    for name, how in _names_read(code, known, space):
        if type(known[name]) is int and (how != "said" or _stands_above(nodes[known[name]], parts)):
            yield name, known[name], how != "called"


def _stands_above(node: list[Any], parts: dict[str, Any]) -> bool:
    if node[0] != "statement":
        return False
    return bool(node[1]["source"] == parts["source"] and node[1]["line"] < parts["line"])


def _names_read(code: CodeType, known: Mapping[str, Any], space: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Names with how they are read: by the statement itself, by functions that it may call, in texts."""
    seen: set[str] = set()
    said: set[str] = set()
    pending = [(each, "itself") for each in _executed_at_once(code)]
    while pending:
        at, how = pending.pop(0)
        if how == "itself":
            said.update(word for each in at.co_consts if isinstance(each, str) for word in re.findall(r"\w+", each))
        for name in at.co_names:
            if name in known and name not in seen:
                seen.add(name)
                yield name, how
                if isinstance(function := space.get(name), FunctionType):
                    pending.extend((each, "called") for each in _all(function.__code__))
    yield from ((name, "said") for name in sorted(said - seen) if name in known)


def _executed_at_once(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType) and (
            inner.co_name == _MAKER or not inner.co_flags & _OPTIMIZED or _EXECUTED_THERE.match(inner.co_name)
        ):
            yield from _executed_at_once(inner)


def _all(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _all(inner)


def setup_code(text: str, path: str, line: int, column: int) -> CodeType:
    """The code of the statement, or of the decorator, that begins there."""
    import ast

    tree = ast.parse(text, path)
    every = [*tree.body, *(d for n in tree.body for d in getattr(n, "decorator_list", ()))]
    node: Any = next(n for n in every if (n.lineno, n.col_offset) == (line, column))
    if isinstance(node, ast.expr):
        return compile(ast.Expression(node), path, "eval", dont_inherit=True)
    return compile(ast.Module([node], []), path, "exec", dont_inherit=True)


def write_dataclass(made: type, parts: dict[str, Any], given: dict[str, Any], annotations: dict[str, Any]) -> None:
    """Have `dataclass` write the methods of a class that has been made member by member."""
    import dataclasses
    import typing

    missing = object()
    now = {name: vars(made).get(name, missing) for name in given}
    for name, settings in given.items():
        setattr(made, name, dataclasses.field(**settings))
    # An annotation may be text, of names that the worker does not have: what it meant is known.
    marks = {**dict.fromkeys(parts.get("class", ()), typing.ClassVar)}
    marks |= {name: dataclasses.InitVar(annotations[name]) for name in parts.get("init", ())}
    made.__annotations__ = {n: marks.get(n, a) for n, a in annotations.items() if n in given or n in marks}
    dataclasses.dataclass(made, **parts["options"])
    made.__annotations__ = annotations
    for name, value in now.items():
        if value is not missing:
            setattr(made, name, value)
        elif name in vars(made):
            delattr(made, name)


def bare_class(metaclass: type, name: str, bases: tuple[type, ...], space: dict[str, Any]) -> type:
    """A class without members. What its bases do with each new class (`__init_subclass__`) has been done already."""
    silenced = [(base, c) for base in bases for c in base.__mro__ if _is_made(c) and "__init_subclass__" in vars(c)]
    kept = [(c, vars(c)["__init_subclass__"]) for _, c in silenced]
    for c, _ in kept:
        type.__setattr__(c, "__init_subclass__", classmethod(_do_nothing))
    try:
        # Of a metaclass of the user's only what Python itself does, for the rest has been done.
        maker = next(m for m in metaclass.__mro__ if m.__module__ in ("abc", "typing", "builtins"))
        made: type = maker.__new__(metaclass, name, bases, space)
    finally:
        for c, hook in kept:
            type.__setattr__(c, "__init_subclass__", hook)
    return made


def _do_nothing(_cls: type, /, **_: Any) -> None:
    """In the place of a hook that has done its work already."""


def _is_made(one: type) -> bool:
    """Whether a class was made from a bundle, not imported."""
    loader = getattr(sys.modules.get(one.__module__), "__loader__", None)
    return type(loader).__module__ == "fanfold.source.load"
