"""Where the code of a function stands in a text: told by compiling the text and finding that very code in it."""

from __future__ import annotations

import ast
import linecache
import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from fanfold.source.rebuild import FUTURES, Step, inner_codes
from fanfold.source.texts import Source, first_line, parse, read

Path = tuple[Step, ...]
AnyFunction = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class Located(NamedTuple):
    """A function's code in a text: the steps that lead to it, and its node in the tree."""

    source: Source
    path: Path
    node: AnyFunction
    futures: int

    @property
    def line(self) -> int:
        """The first line, decorators included."""
        return self.node.lineno if isinstance(self.node, ast.Lambda) else first_line(self.node)


class Unlocated(NamedTuple):
    """Why a code stands nowhere: its file has another by now (`path`), or Python has not kept its text."""

    path: str = ""


def locate(function: FunctionType) -> Located | Unlocated:
    """Where the code of a function stands, proved by compiling the text: a text that only looks right is not taken."""
    code, namespace = function.__code__, function.__globals__
    path = code.co_filename
    seen = set()
    is_file = os.path.exists(path)
    for text in _texts(code, namespace, is_file=is_file):
        if text in seen:
            continue
        seen.add(text)
        try:
            found = _in_text(code, parse(path, text), namespace)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        if found:
            return found
    return Unlocated(path if is_file and is_compiled_as_it_stands(namespace) else "")


def _texts(code: CodeType, namespace: dict[str, Any], *, is_file: bool) -> Iterator[str]:
    """Texts that may hold the code, the likeliest first."""
    path = code.co_filename
    if is_file:
        # The file itself, for `linecache` holds only a part of it where a bundle of it has been loaded.
        with suppress(OSError, SyntaxError, UnicodeError):
            yield read(path)
        yield "".join((linecache.cache.get(path) or (0, None, []))[2])  # type: ignore[misc]  # as it was before an edit
        return
    yield "".join(linecache.getlines(path, namespace))
    from fanfold.source.unkept import candidates

    yield from candidates(code)


def _in_text(code: CodeType, source: Source, namespace: dict[str, Any]) -> Located | None:
    flags = code.co_flags & FUTURES
    for index in _indexes(source, flags, namespace):
        known = [each for each in index.get(code.co_name, ()) if is_same(each.code, code)]
        # An edit elsewhere in the file moves a function, and leaves it what it was.
        known.sort(key=lambda each: abs(each.code.co_firstlineno - code.co_firstlineno))
        for each in known:
            if node := _node(source, each.path[-1], code):
                return Located(source, each.path, node, flags)
    return None


def _indexes(source: Source, flags: int, namespace: dict[str, Any]) -> Iterator[dict[str, list[_Known]]]:
    yield _index(source, flags)
    if type(_loader(namespace)).__name__ == "AssertionRewritingHook":
        yield _rewritten_index(source)


#: How the names of texts begin that are typed in piece by piece.
_INTERACTIVE = ("<ipython-input", "<python-input", "<stdin>", "<string>")


def texts_beside(sources: Iterable[Source], namespace: dict[str, Any]) -> list[Source]:
    """The texts that share a namespace with some: a file stands alone, a notebook's cells share theirs."""
    known = list(sources)
    path = namespace.get("__file__")
    found = [source for source in known if source.path == path]
    if found:
        return found
    typed = [source for source in known if _is_typed(source.path)]
    if not typed:
        return known
    for name, entry in list(linecache.cache.items()):
        if _is_typed(name) and len(entry) == 4 and entry[1] is None:
            try:
                found.append(parse(name, "".join(entry[2])))
            except (SyntaxError, ValueError):
                continue
    return [*found, *(source for source in typed if source not in found)]


def _is_typed(path: str) -> bool:
    return path.startswith(_INTERACTIVE) or f"{os.sep}ipykernel_" in path


class _Known(NamedTuple):
    code: CodeType
    path: Path


@lru_cache(maxsize=1024)
def _index(source: Source, flags: int) -> dict[str, list[_Known]]:
    """All code of a text, by name."""
    return _by_name(compile(source.text, source.path, "exec", flags=flags, dont_inherit=True))


@lru_cache(maxsize=64)
def _rewritten_index(source: Source) -> dict[str, list[_Known]]:
    """The same of a test's file, whose assertions pytest has rewritten before it compiled it."""
    from _pytest.assertion.rewrite import rewrite_asserts

    tree = ast.parse(source.text, source.path)
    rewrite_asserts(tree, source.text.encode())
    return _by_name(compile(tree, source.path, "exec", dont_inherit=True))


def _by_name(module: CodeType) -> dict[str, list[_Known]]:
    found: dict[str, list[_Known]] = defaultdict(list)

    def note(codes: Iterable[tuple[Step, CodeType]], above: Path) -> None:
        for step, code in codes:
            found[code.co_name].append(_Known(code, (*above, step)))
            note(inner_codes(code), (*above, step))

    note(inner_codes(module), ())
    return found


@lru_cache(maxsize=1024)
def _nodes(source: Source) -> dict[tuple[str, int], list[AnyFunction]]:
    """The functions of a tree, by name and first line."""
    found: dict[tuple[str, int], list[AnyFunction]] = defaultdict(list)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Lambda):
            found["<lambda>", node.lineno].append(node)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found[node.name, first_line(node)].append(node)
    return found


def _node(source: Source, step: Step, code: CodeType) -> AnyFunction | None:
    """The node of the code that a step leads to; of several lambdas in a line, by their places or parameters."""
    name, line, nth = step
    nodes = _nodes(source).get((name, line), [])
    fitting = [node for node in nodes if _fits(node, code)]
    if len(fitting) > 1 and sys.version_info >= (3, 11) and line == code.co_firstlineno:
        spots = [p for p in code.co_positions() if None not in p and (p[0] != p[1] or p[2] != p[3])]
        first, last = min((p[0], p[2]) for p in spots), max((p[1], p[3]) for p in spots)
        placed = [n for n in fitting if _start(n) <= first and last <= _end(n)]
        fitting = sorted(placed, key=lambda n: (_end(n), [-x for x in _start(n)])) or fitting
        return fitting[0]
    return fitting[min(nth, len(fitting) - 1)] if fitting else None


def _start(node: AnyFunction) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _end(node: AnyFunction) -> tuple[int, int]:
    return node.end_lineno or 0, node.end_col_offset or 0


def _fits(node: AnyFunction, code: CodeType) -> bool:
    spec = node.args
    every = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, *filter(None, (spec.vararg, spec.kwarg))]
    # Within a class, `__x` is compiled as `_Class__x`.
    return all(a.arg == b or b.endswith(a.arg) for a, b in zip(every, code.co_varnames, strict=False))


def _loader(namespace: dict[str, Any]) -> Any:
    spec = namespace.get("__spec__")
    return namespace.get("__loader__") if spec is None else getattr(spec, "loader", None)


def is_compiled_as_it_stands(namespace: dict[str, Any]) -> bool:
    """Whether Python's own loader has loaded the module, or it is a script: others compile what they have rewritten."""
    loader = _loader(namespace)
    name = f"{type(loader).__module__}.{type(loader).__name__}"
    return loader is None or name == "_frozen_importlib_external.SourceFileLoader"


def is_same(one: CodeType, other: CodeType) -> bool:
    """Whether two codes do the same, wherever in their lines they stand."""
    if one is other:
        return True
    if (one.co_code, one.co_names, one.co_varnames) != (other.co_code, other.co_names, other.co_varnames):
        return False
    if (one.co_freevars, one.co_cellvars, one.co_flags) != (other.co_freevars, other.co_cellvars, other.co_flags):
        return False
    if len(one.co_consts) != len(other.co_consts):
        return False
    return all(map(_same_constant, one.co_consts, other.co_consts))


def _same_constant(one: Any, other: Any) -> bool:
    if isinstance(one, CodeType) and isinstance(other, CodeType):
        return is_same(one, other)
    if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other):
        return all(map(_same_constant, one, other))
    # A set is printed in the order it was made in.
    return type(one) is type(other) and (repr(one) == repr(other) or (isinstance(one, frozenset) and one == other))
