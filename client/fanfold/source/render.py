"""The text that travels: the statements that functions stand in, at their own lines, and blank lines for the rest."""

from __future__ import annotations

import ast
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from fanfold.source.bundle import SourceFile
from fanfold.source.texts import Place, Source, first_line

#: What stands in the place of expressions.
Instead = Mapping[ast.expr, str]
_NOTHING: Instead = MappingProxyType({})


class Kept:
    """Which statements of which texts travel."""

    def __init__(self) -> None:
        self._numbers: dict[Source, int] = {}
        self._ranges: dict[Source, set[tuple[int, int]]] = defaultdict(set)
        self._module: dict[Source, str] = {}

    def add(self, source: Source, node: ast.AST) -> int:
        """Keep the statement of the top level that a node stands in; the number of its text."""
        starts, ranges = _statements(source)
        self._ranges[source].add(ranges[bisect_right(starts, node.lineno) - 1])  # type: ignore[attr-defined]
        return self._numbers.setdefault(source, len(self._numbers))

    def belongs_to(self, source: Source, module: str) -> None:
        """Say of which module a text is."""
        self._module.setdefault(source, module)

    def sources(self) -> list[Source]:
        """The texts of which something travels."""
        return list(self._numbers)

    def files(self) -> list[SourceFile]:
        """The texts, by number."""
        return [
            SourceFile(self._module.get(source, "__main__"), source.path, _text(source, self._ranges[source]), "entry")
            for source in self._numbers
        ]


@lru_cache(maxsize=1024)
def _statements(source: Source) -> tuple[list[int], list[tuple[int, int]]]:
    """First and last line of each statement of the top level; those that share a line are one."""
    ranges: list[tuple[int, int]] = []
    for node in source.tree.body:
        first, last = first_line(node), node.end_lineno or node.lineno
        first = _at_sign(source.lines, first) if getattr(node, "decorator_list", None) else first
        if ranges and first <= ranges[-1][1]:
            ranges[-1] = (ranges[-1][0], max(last, ranges[-1][1]))
        else:
            ranges.append((first, last))
    return [first for first, _ in ranges], ranges


def _text(source: Source, ranges: set[tuple[int, int]]) -> str:
    lines = source.lines
    last = max(last for _, last in ranges)
    kept = {n for first, last in ranges for n in range(first, last + 1)}
    return "\n".join(lines[n - 1] if n in kept else "" for n in range(1, last + 1)) + "\n"


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
