"""The text that travels: the user's own, with all that is not captured left blank.

Lines and columns stay where they were, so tracebacks are right without any mapping.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple

from fanfold.source.origin import Block, Place, Source, first_line

#: What stands in the place of expressions.
Instead = Mapping[ast.expr, str]
_NOTHING: Instead = MappingProxyType({})


class Piece(NamedTuple):
    """A statement to keep. `without` are decorators to leave blank; `instead` replaces a statement's text."""

    place: Place
    without: tuple[ast.expr, ...] = ()
    instead: str | None = None
    given: Instead = _NOTHING


def shipped_text(source: Source, pieces: Iterable[Piece]) -> str:
    """The text of `source` with only `pieces` in it, each at its own line and column."""
    page = _Page(source)
    for piece in pieces:
        page.keep(piece)
    return page.text()


def whole_text(source: Source, left_out: Mapping[Place, Iterable[ast.expr]], given: Instead = _NOTHING) -> str:
    """The whole text, with some decorators of some definitions left blank, and what is given instead of expressions."""
    lines = source.lines
    for n, cuts in _cuts(given).items():
        lines[n - 1] = _cut(lines[n - 1], cuts)
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


class _Cut(NamedTuple):
    """A part of a line, in bytes, and what stands there instead; no end where it goes to the end of the line."""

    start: int
    end: int | None
    text: str


def _cuts(given: Instead) -> dict[int, list[_Cut]]:
    """By line, what to cut. All lines stay: an expression over several leaves a pair of brackets over as many."""
    cuts: dict[int, list[_Cut]] = defaultdict(list)
    for node, text in given.items():
        first, last = node.lineno, node.end_lineno or node.lineno
        if first == last:
            cuts[first].append(_Cut(node.col_offset, node.end_col_offset, text))
            continue
        cuts[first].append(_Cut(node.col_offset, None, f"({text}"))
        for n in range(first + 1, last):
            cuts[n].append(_Cut(0, None, ""))
        cuts[last].append(_Cut(0, node.end_col_offset, ")"))
    return cuts


def _cut(line: str, cuts: Iterable[_Cut], start: int = 0, end: int | None = None) -> str:
    """The part of a line from byte `start` to `end`, with what is cut replaced."""
    data, at, parts = line.encode(), start, []
    for cut in sorted(cuts):
        if cut.start >= at:
            parts += [data[at : cut.start].decode(), cut.text]
            at = len(data) if cut.end is None else cut.end
    return "".join([*parts, data[at:end].decode() if end is None or end > at else ""])


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
        cuts = _cuts(piece.given)
        self._starts[kept[0]][col] = self._slice(kept[0], place.node, cuts, col)
        for n in kept[1:]:
            self._continued[n] = self._slice(n, place.node, cuts)

    def _slice(self, n: int, node: ast.stmt, cuts: Mapping[int, list[_Cut]], start: int = 0) -> str:
        line, end = self._lines[n - 1], None
        if n == node.end_lineno:
            rest = line.encode()[node.end_col_offset :].decode().strip()
            end = None if rest.startswith("#") else node.end_col_offset
        return _cut(line, cuts.get(n, ()), start, end)

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
