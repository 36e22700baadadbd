"""A UDF that calls the debugger, called in this process: a worker has no terminal to ask at."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any

from fanfold.core.options import unwrapped
from fanfold.engines.base import Engine
from fanfold.source.rebuild import by_keywords
from fanfold.submission.prepare import Draft

_DEBUGGERS = frozenset({"breakpoint", "set_trace", "post_mortem"})


def calls_debugger(udf: Any) -> bool:
    """Whether a UDF, or a function of its module that it calls by name, calls `breakpoint()` or `pdb.set_trace()`."""
    function, _ = unwrapped(udf)
    return any(not _DEBUGGERS.isdisjoint(code.co_names) for code in _codes(function, set()))


def call_here(udf: Any, engine: Engine, given: Any, constants: dict[str, Any]) -> Any:
    """The value of one call in this process, with arguments that are checked as in any run. No job is made.

    Raises `CaptureError` and `InputError` as `submit` does, and whatever the UDF raises.
    """
    function, _ = unwrapped(udf)
    draft = Draft(udf, engine, constants)
    (text,) = draft.arguments(given)
    sys.stderr.write(f"fanfold: {draft.name} calls the debugger, so debug_mode runs it in this process.\n")
    arguments = {**draft.read(text), **draft.read(draft.constants)}
    return by_keywords(function)(**arguments)


def _codes(function: Any, seen: set[int]) -> Iterator[CodeType]:
    """The code of a function and of those that it names, as far as they are in the same module."""
    plain: Callable[..., Any] = inspect.unwrap(getattr(function, "__fanfold_udf__", function))
    if not isinstance(plain, FunctionType) or id(plain) in seen:
        return
    seen.add(id(plain))
    for code in _nested(plain.__code__):
        yield code
        for name in code.co_names:
            called = plain.__globals__.get(name)
            if getattr(called, "__module__", None) == plain.__module__:
                yield from _codes(called, seen)


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)
