"""The code hash: what source means, whatever its layout, its comments and the Python that reads it.

Neither `ast.dump` nor `ast.unparse` will do: their output differs between the versions of Python.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

#: Where a name is read or written is told by its place; the others are notes of the parser's.
_SKIPPED = frozenset({"ctx", "kind", "type_comment", "type_ignores"})

#: Raised when the same source would hash differently, so that no old entry of a cache is taken for a new one.
_VERSION = "fanfold-code/1"


def code_hash(parts: Iterable[tuple[str, ...]]) -> str:
    """The hash of a set of parts, in whatever order they come: 64 hex digits."""
    digest = sha256(_VERSION.encode())
    for part in sorted(set(parts)):
        digest.update(_packed([text.encode("utf-8", "surrogatepass") for text in part]))
    return digest.hexdigest()


def tree_hash(node: ast.AST, without: Iterable[ast.expr] = ()) -> str:
    """The hash of a syntax tree, with the decorators in `without` left out."""
    left_out = frozenset(map(id, without))
    digest = sha256()
    # A stack of our own: a long chain of `+` is nested deeper than Python can recurse.
    pending: list[Any] = [node]
    while pending:
        item = pending.pop()
        if isinstance(item, bytes):
            digest.update(item)
        else:
            pending += reversed(list(_opened(item, left_out)))
    return digest.hexdigest()


def _packed(texts: list[bytes]) -> bytes:
    """Texts with their lengths, so that no two lists of them look alike."""
    return b"%d:" % len(texts) + b"".join(b"%d:%s" % (len(text), text) for text in texts)


def _opened(item: Any, left_out: frozenset[int]) -> Iterator[Any]:
    """A node, a list or a constant as bytes, and what in it is yet to be opened."""
    if isinstance(item, ast.AST):
        yield b"(" + type(item).__name__.encode()
        for field, value in _fields(item):
            if field == "decorator_list":
                value = [each for each in value if id(each) not in left_out]  # noqa: PLW2901
            if field not in _SKIPPED and value is not None and value != []:
                yield b" " + field.encode() + b"="
                yield value if isinstance(value, (ast.AST, list)) else _constant(value)
        yield b")"
    else:
        yield b"["
        yield from (each if isinstance(each, ast.AST) else _constant(each) for each in item)
        yield b"]"


def _fields(node: ast.AST) -> Iterator[tuple[str, Any]]:
    if isinstance(node, ast.Constant):
        # Here alone None and nothing mean different things.
        yield "value", _Literal(node.value)
    elif isinstance(node, ast.JoinedStr):
        yield "values", _joined(node.values)
    elif isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        for field, value in ast.iter_fields(node):
            yield field, _with_clean_docstring(value) if field == "body" else value
    else:
        yield from ast.iter_fields(node)


class _Literal:
    """A constant's value, told apart from an absent field."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _constant(value: Any) -> bytes:
    if isinstance(value, _Literal):
        value = value.value
    if isinstance(value, str):
        data = value.encode("utf-8", "surrogatepass")
    elif isinstance(value, bytes):
        data = value
    else:  # Python refuses to print very long integers in decimal
        data = (hex(value) if type(value) is int else repr(value)).encode()
    return _packed([type(value).__name__.encode(), data])


def _joined(values: list[ast.expr]) -> list[ast.expr]:
    """The parts of an f-string with neighbouring texts as one: how they are split differs between versions."""
    parts: list[ast.expr] = []
    for value in values:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            if parts and isinstance(parts[-1], ast.Constant):
                value = ast.Constant(parts.pop().value + value.value)  # type: ignore[attr-defined]  # noqa: PLW2901
            if not value.value:
                continue
        parts.append(value)
    return parts


def _with_clean_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return [ast.Expr(ast.Constant(clean(first.value.value))), *body[1:]]
    return body


def clean(docstring: str) -> str:
    """What `inspect.cleandoc` did before 3.13, so that all versions agree."""
    lines = docstring.expandtabs().split("\n")
    margins = [len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()]
    margin = min(margins, default=0)
    return "\n".join([lines[0].lstrip(), *(line[margin:] for line in lines[1:])]).strip("\n")
