"""Globals that are variables of the environment: their names travel, their values stay.

`API_KEY = os.environ["API_KEY"]` at the top of a file says where the value comes from. Shipped by value it would be
kept with the job, for everybody who may read that. So a worker reads the variable anew, from its own environment.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from fanfold.source.texts import Source, dotted

if TYPE_CHECKING:
    from fanfold.source.load import Bundle

#: A variable without a default among a graph's nodes.
_NODE = re.compile(r'\["variable", ?"(\w+)", ?null\]')
_GET = (("os", "environ", "get"), ("environ", "get"), ("os", "getenv"), ("getenv",))
_ITEM = (("os", "environ"), ("environ",))


def variable_behind(source: Source, name: str, value: str) -> list[Any] | None:
    """The node of a global that its file takes from the environment, and that is what it would take now; else None.

    ["variable", name, default], where no default: without one it has to be there.
    """
    found = [node for node in source.tree.body if _binds(node, name)]
    if len(found) != 1:
        return None
    read = _read(found[0].value) if isinstance(found[0], (ast.Assign, ast.AnnAssign)) else None
    if read is None or os.environ.get(read[0], read[1]) != value:
        return None
    return ["variable", *read]


def _binds(node: ast.stmt, name: str) -> bool:
    """Whether a statement, or one within it, gives the name a value."""
    return any(isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Store) for n in ast.walk(node))


def _read(value: ast.expr | None) -> tuple[str, str | None] | None:
    """The variable and the default that an expression reads; None for any other expression."""
    if isinstance(value, ast.Subscript) and dotted(value.value) in _ITEM:
        parts: list[ast.expr] = [value.slice]
    elif isinstance(value, ast.Call) and dotted(value.func) in _GET and not value.keywords:
        parts = value.args
    else:
        return None
    texts = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    if len(texts) != len(parts) or not 1 <= len(texts) <= 2:
        return None
    return texts[0], texts[1] if len(texts) > 1 else None


def say_what_stays(bundle: Bundle, options: Any, secrets: Iterable[str], described: Any) -> None:
    """Say on stderr what of a UDF's file stays in this process: what it sets up, variables of the environment."""
    _say_that_no_text_was_kept(bundle.left_statements)
    say_which_calls_stay(bundle.left_statements)
    if not described.uses_own_packages:
        _say_which_stay(bundle.graph, {*(options.env or ()), *secrets})


def _say_that_no_text_was_kept(left: Collection[str]) -> None:
    """Say on stderr, once in a process, that a script came through a pipe, and so nothing travels that it sets up."""
    if not left or _said:
        return
    from fanfold.source.capture import UNKEPT_SCRIPT

    if any(each.endswith(UNKEPT_SCRIPT) for each in left):
        _said.append(True)
        sys.stderr.write(
            f"fanfold: {UNKEPT_SCRIPT}, stays here (options, seeds, loggers, patches). Give Python the file:"
            " `python script.py` or `python < script.py`, or set it up within the function.\n"
        )


def say_which_calls_stay(left: Iterable[str]) -> None:
    """Say on stderr, once for each in a process, which calls that set up a library are not made again."""
    for each in left:
        if " within " in each and each.endswith("()") and each not in _told:
            _told.add(each)
            sys.stderr.write(
                f"fanfold: {each} is not called again in runs: what it sets in the library stays here. Call it at the"
                " top of the file itself, or within the function that runs.\n"
            )


_said: list[bool] = []
_told: set[str] = set()


def _say_which_stay(graph: str, given: Collection[str]) -> None:
    """Say on stderr which variables runs elsewhere do not have: those of the graph's that they are not `given`."""
    for name in dict.fromkeys(_NODE.findall(graph)):
        if name not in given:
            sys.stderr.write(
                f"fanfold: the UDF's file reads os.environ[{name!r}] at its top. Its name travels, not its value:"
                f' say @udf(secrets=["{name.lower()}"]), or env={{"{name}": ...}} for what is not secret.\n'
            )
