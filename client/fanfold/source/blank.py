"""The text that travels: the user's own, with all that is not captured left blank.

Lines and columns stay where they were, so tracebacks are right without any mapping.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple

from fanfold.source.origin import Block, Place, Source, first_line


class Piece(NamedTuple):
    """A statement to keep. `without` are decorators to leave blank; `instead` replaces a statement's text."""

    place: Place
    without: tuple[ast.expr, ...] = ()
    instead: str | None = None


def shipped_text(source: Source, pieces: Iterable[Piece]) -> str:
    """The text of `source` with only `pieces` in it, each at its own line and column."""
    page = _Page(source)
    for piece in pieces:
        page.keep(piece)
    return page.text()


def without_decorators(source: Source, left_out: Mapping[Place, Iterable[ast.expr]]) -> str:
    """The whole text, with only some decorators of some definitions left blank."""
    lines = source.lines
    for place, decorators in left_out.items():
        for n in decorator_lines(lines, place.node, decorators):
            lines[n - 1] = ""
    return "\n".join(lines)


def decorator_lines(lines: list[str], node: ast.stmt, decorators: Iterable[ast.expr]) -> set[int]:
    """All lines from each decorator's `@` up to the next one, or to the `def`."""
    found: set[int] = set()
    for decorator in decorators:
        later = [d.lineno for d in getattr(node, "decorator_list", []) if d.lineno > decorator.lineno]
        end = _at_sign(lines, min(later)) if later else node.lineno
        found.update(range(_at_sign(lines, decorator.lineno), end))
    return found


def _at_sign(lines: list[str], n: int) -> int:
    while not lines[n - 1].lstrip().startswith("@"):
        n -= 1
    return n


class _Page:
    def __init__(self, source: Source) -> None:
        self._lines = source.lines
        #: Per line, what starts on it: column and text.
        self._starts: dict[int, dict[int, str]] = defaultdict(dict)
        #: Per line, what an earlier line's statement has there.
        self._continued: dict[int, str] = {}

    def keep(self, piece: Piece) -> None:
        place = piece.place
        for block in _blocks(place):
            # What a nested statement stands in becomes `if 1:`, so that it keeps its indentation: taking that off
            # would change the strings that go over several lines.
            self._starts[block.lineno][block.col_offset] = "if 1:"
        first = first_line(place.node)
        col = place.node.col_offset
        if piece.instead is not None:
            self._starts[first][col] = piece.instead
            return
        left_out = decorator_lines(self._lines, place.node, piece.without)
        kept = [n for n in range(first, (place.node.end_lineno or first) + 1) if n not in left_out]
        self._starts[kept[0]][col] = self._slice(kept[0], place.node, col)
        for n in kept[1:]:
            self._continued[n] = self._slice(n, place.node, 0)

    def _slice(self, n: int, node: ast.stmt, start: int) -> str:
        line = self._lines[n - 1].encode()
        if n != node.end_lineno:
            return line[start:].decode()
        rest = line[node.end_col_offset :].decode().strip()
        end = None if rest.startswith("#") else node.end_col_offset
        return line[start:end].decode()

    def text(self) -> str:
        kept = {*self._starts, *self._continued}
        return "\n".join(self._line(n) if n in kept else "" for n in range(1, max(kept, default=0) + 1)) + "\n"

    def _line(self, n: int) -> str:
        line = self._lines[n - 1]
        indent = line[: len(line) - len(line.lstrip())]
        text = self._continued.get(n, "")
        for _, start in sorted(self._starts.get(n, {}).items()):
            between = " " if text.endswith("if 1:") else "; "
            text = f"{text}{between}{start}" if text else indent + start
        return text


def _blocks(place: Place) -> list[Block]:
    """The ancestors to stand for: of an `if` and its `elif`, a `try` and its handler, only the inner."""
    chain: list[Block] = [*place.ancestors, place.node]
    return [outer for outer, inner in pairwise(chain) if outer.col_offset != inner.col_offset]
