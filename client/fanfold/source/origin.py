"""Where a function's text is: a file, a notebook's cell, whatever Python has kept."""

from __future__ import annotations

import ast
import linecache
import os
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any

from fanfold.source import refusals
from fanfold.source.stale import is_changed

#: Nodes that have lines of their own and hold statements: statements, and a `try`'s handlers.
Block = ast.stmt | ast.ExceptHandler
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

_INTERACTIVE = ("<ipython-input", "<python-input", "<stdin>", "<string>")


@dataclass(frozen=True, eq=False)
class Source:
    """One text and its tree, both to be left as they are."""

    path: str
    text: str
    tree: ast.Module = field(repr=False)

    @property
    def lines(self) -> list[str]:
        """The lines as Python counts them: split at newlines alone, not at form feeds."""
        return self.text.split("\n")

    @property
    def futures(self) -> list[ast.ImportFrom]:
        """The `from __future__` imports."""
        return [node for node in self.tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]

    @property
    def postpones_annotations(self) -> bool:
        """Whether the text says `from __future__ import annotations`."""
        return any(alias.name == "annotations" for node in self.futures for alias in node.names)


@dataclass(frozen=True, eq=False)
class Place:
    """A statement, with the statements it stands in, outermost first."""

    source: Source
    node: ast.stmt
    ancestors: tuple[Block, ...] = ()


@lru_cache(maxsize=1024)
def parse(path: str, text: str) -> Source:
    """The text with its tree; the same object for the same text. Raises `SyntaxError`."""
    return Source(path, text, ast.parse(text, path))


def source_of(code: CodeType, namespace: dict[str, Any]) -> Source | None:
    """The whole text that `code` is a part of, or None where Python has not kept it."""
    path = code.co_filename
    try:
        # The file itself, for `linecache` holds only a part of it where a bundle of it has been loaded.
        text = read(path) if os.path.exists(path) else "".join(linecache.getlines(path, namespace))
        return parse(path, text) if text else None
    except (OSError, SyntaxError, UnicodeError):
        return None


def read(path: str) -> str:
    """The text of a Python file, in the encoding that it declares."""
    with tokenize.open(path) as file:
        return file.read()


def locate(function: FunctionType) -> Place:
    """The definition of a function. Raises `CaptureError` where there is no text, or it has changed meanwhile."""
    code = function.__code__
    source = source_of(code, function.__globals__)
    if source is None:
        raise refusals.no_source(function)
    for place in everywhere(source):
        if isinstance(place.node, (ast.FunctionDef, ast.AsyncFunctionDef)) and _matches(place.node, code):
            if is_changed(function, source):
                break
            return place
    # `exec`uted text shares the name "<string>" with others, whose text is then what Python finds.
    raise refusals.no_source(function) if code.co_filename == "<string>" else refusals.stale(function)


def _matches(node: ast.FunctionDef | ast.AsyncFunctionDef, code: CodeType) -> bool:
    spec = node.args
    every = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, *filter(None, (spec.vararg, spec.kwarg))]
    names = tuple(arg.arg for arg in every)
    # Within a class, `__x` is compiled as `_Class__x`.
    same = all(a == b or b.endswith(a) for a, b in zip(names, code.co_varnames, strict=False))
    return node.name == code.co_name and first_line(node) == code.co_firstlineno and same and _counts(spec, code)


def _counts(spec: ast.arguments, code: CodeType) -> bool:
    positional = len(spec.posonlyargs) + len(spec.args)
    return positional == code.co_argcount and len(spec.kwonlyargs) == code.co_kwonlyargcount


def first_line(node: ast.stmt) -> int:
    """The statement's first line, decorators included."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min((d.lineno for d in decorators), default=node.lineno)


def made_by(definitions: list[Place], value: Any) -> Place:
    """Of several definitions of a name, the one that the value was made by."""
    members = vars(value).values() if isinstance(value, type) else [value]
    lines = {(f.__code__.co_filename, f.__code__.co_firstlineno) for f in members if isinstance(f, FunctionType)}
    for place in reversed(definitions):
        node = place.node
        if any(p == place.source.path and first_line(node) <= n <= (node.end_lineno or n) for p, n in lines):
            return place
    return definitions[-1]


def everywhere(source: Source) -> Iterator[Place]:
    """Every statement of a text, at any depth."""
    return _within(source, source.tree, (), into_scopes=True)


def top_level(source: Source) -> Iterator[Place]:
    """Every statement that runs in the module's own namespace, those under `if` or `try` included."""
    return _within(source, source.tree, (), into_scopes=False)


def inside(place: Place) -> Iterator[Place]:
    """Every statement of a definition's own scope, itself left out."""
    return _within(place.source, place.node, (*place.ancestors, place.node), into_scopes=False)


def _within(source: Source, parent: ast.AST, ancestors: tuple[Block, ...], *, into_scopes: bool) -> Iterator[Place]:
    for child in ast.iter_child_nodes(parent):
        if isinstance(child, ast.stmt):
            yield Place(source, child, ancestors)
            if into_scopes or not isinstance(child, Definition):
                yield from _within(source, child, (*ancestors, child), into_scopes=into_scopes)
        elif isinstance(child, ast.ExceptHandler):
            yield from _within(source, child, (*ancestors, child), into_scopes=into_scopes)
        elif isinstance(child, ast.match_case):
            yield from _within(source, child, ancestors, into_scopes=into_scopes)


def sources_beside(source: Source) -> list[Source]:
    """The texts that share a namespace with this one: a file stands alone, a notebook's cells share theirs."""
    if os.path.exists(source.path):
        return [source]
    cache: dict[str, Any] = dict(linecache.cache)
    found = {path: entry for path, entry in cache.items() if _is_cell(path, entry)}
    # In the order in which they were first run; a cell changed and run again counts as a new one.
    cells = [source if path == source.path else _try_parse(path, "".join(entry[2])) for path, entry in found.items()]
    known = [cell for cell in cells if cell is not None]
    return known if source in known else [*known, source]


def _is_cell(path: str, entry: tuple[Any, ...]) -> bool:
    known = path.startswith(_INTERACTIVE) or f"{os.sep}ipykernel_" in path
    return known and len(entry) == 4 and entry[1] is None


def _try_parse(path: str, text: str) -> Source | None:
    try:
        return parse(path, text)
    except SyntaxError:
        return None
