"""Texts and their trees: what a file, a notebook's cell or a prompt says, statement by statement."""

from __future__ import annotations

import ast
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

#: Nodes that have lines of their own and hold statements: statements, and a `try`'s handlers.
Block = ast.stmt | ast.ExceptHandler
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


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


def read(path: str) -> str:
    """The text of a Python file, in the encoding that it declares."""
    with tokenize.open(path) as file:
        return file.read()


def first_line(node: ast.stmt) -> int:
    """The statement's first line, decorators included."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min((d.lineno for d in decorators), default=node.lineno)


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
