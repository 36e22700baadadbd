"""Texts that somebody has executed in a loaded module: `exec(text, vars(module))`, `%autoreload`, a debugger."""

from __future__ import annotations

import sys
from types import CodeType, FunctionType, ModuleType
from typing import Any

from fanfold.source.functions import Located, in_text
from fanfold.source.texts import Source, parse, read


def in_own_file(code: CodeType, namespace: dict[str, Any]) -> Located | None:
    """Where a function's module has its very code in its file, though it came as a text; None where it has not."""
    source = _own_source(namespace)
    return None if source is None else in_text(code, source, namespace)


def is_from_elsewhere(function: FunctionType) -> bool:
    """Whether a text has given a module a function which its file would not make again."""
    namespace = function.__globals__
    source = _own_source(namespace)
    if source is None or "." in function.__qualname__ or in_text(function.__code__, source, namespace):
        return False
    from fanfold.source.drift import may_execute

    return not may_execute(source, function.__qualname__)


def is_copy(namespace: dict[str, Any], name: str) -> bool:
    """Whether a namespace was made of a loaded module's, as `%autoreload` makes one for a function that is new."""
    module = sys.modules[name]
    if type(module) is not ModuleType or vars(module).get("__name__") == "__main__":
        return False
    return "__spec__" in namespace and namespace["__spec__"] is vars(module).get("__spec__")


def _own_source(namespace: dict[str, Any]) -> Source | None:
    file = namespace.get("__file__")
    if not isinstance(file, str) or not file.endswith(".py"):
        return None
    try:
        return parse(file, read(file))
    except (OSError, SyntaxError, UnicodeError):
        return None
