"""Whether a file still says what was loaded from it: told by what its text compiles to now."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fanfold.source.origin import Source


def is_changed(function: FunctionType, source: Source) -> bool:
    """Whether the text has other code now where a function was loaded from; False where there is no telling."""
    if not _is_compiled_as_it_stands(function.__globals__):
        return False
    code = function.__code__
    return not any(_same(code, other) for other in _codes(source).get((code.co_name, code.co_firstlineno), ()))


def _is_compiled_as_it_stands(namespace: dict[str, Any]) -> bool:
    """Whether Python's own loader has loaded the module: others, pytest's for one, compile what they have rewritten."""
    spec = namespace.get("__spec__")
    loader = namespace.get("__loader__") if spec is None else getattr(spec, "loader", None)
    return f"{type(loader).__module__}.{type(loader).__name__}" == "_frozen_importlib_external.SourceFileLoader"


@lru_cache(maxsize=1024)
def _codes(source: Source) -> dict[tuple[str, int], list[CodeType]]:
    """All code of a text, by name and first line."""
    found: dict[tuple[str, int], list[CodeType]] = {}
    for code in _within(compile(source.text, source.path, "exec", dont_inherit=True)):
        found.setdefault((code.co_name, code.co_firstlineno), []).append(code)
    return found


def _within(code: CodeType) -> Iterator[CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _within(const)


def _same(one: CodeType, other: CodeType) -> bool:
    """Whether two codes do the same, wherever in their lines it stands."""
    if (one.co_code, one.co_names, one.co_varnames) != (other.co_code, other.co_names, other.co_varnames):
        return False
    if len(one.co_consts) != len(other.co_consts):
        return False
    return all(map(_same_constant, one.co_consts, other.co_consts))


def _same_constant(one: Any, other: Any) -> bool:
    if isinstance(one, CodeType) and isinstance(other, CodeType):
        return _same(one, other)
    if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other):
        return all(map(_same_constant, one, other))
    # A set is printed in the order it was made in.
    return type(one) is type(other) and (repr(one) == repr(other) or (isinstance(one, frozenset) and one == other))
