"""Names that code looks for by text: in its own module's namespace, in `eval`, in a query, a formula or SQL.

What is found so travels like any other global, where it can. It is no sure use of a name, so what cannot travel is
left, and a run that misses it says so.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from fanfold.codec.registry import is_bulk
from fanfold.source.functions import all_names, global_names
from fanfold.source.texts import docstring

if TYPE_CHECKING:
    from fanfold.source.graph import Graph

_NAME = re.compile(r"[^\W\d]\w*")
#: `@name` of a query, `FROM name` of SQL, `name(` and `name.` of a formula.
_IN_QUERY = re.compile(r"@([^\W\d]\w*)")
_IN_SQL = re.compile(r"\b(?:from|join)\s+([^\W\d]\w*)", re.IGNORECASE)
_IN_FORMULA = re.compile(r"([^\W\d]\w*)(?=[.(])")
#: What finds a module by its name.
_FINDERS = frozenset({"modules", "import_module", "__import__"})
#: Names that a prompt has by itself.
_OF_PROMPTS = frozenset({"In", "Out", "exit", "quit", "get_ipython", "open"})
#: As long as a part of a name says something of it: `f"load_{kind}"`.
_SHORTEST_PART = 3


def asked_for(graph: Graph, function: FunctionType) -> frozenset[str]:
    """The globals that a function looks for by text and that can travel, beside those that it uses."""
    code, namespace = function.__code__, function.__globals__
    used = global_names(code)
    texts = [*_texts(code), *_texts_of_globals(namespace, used)]
    names = {text.partition(".")[0] for text in texts} & namespace.keys()
    if _looks_into_its_module(code, used, namespace):
        attributes = (all_names(code) - used) & namespace.keys()  # sys.modules[__name__].helper
        found = names | attributes | _named_in_part(texts, namespace) or set(_whole(namespace))
    elif (used | all_names(code) & {"evaluate"}) & {"eval", "exec", "evaluate"} - namespace.keys():
        found = {name for text in texts for name in _NAME.findall(text)}
    else:
        found = {name for text in texts for name in _in_language(text)}
    new = (name for name in sorted(found - used) if name in namespace and not name.startswith("__"))
    return frozenset(name for name in new if graph.can_travel(namespace[name]))


def _looks_into_its_module(code: CodeType, used: frozenset[str], namespace: dict[str, Any]) -> bool:
    names = all_names(code)
    own = str(namespace.get("__name__"))
    if ("globals" in used and "globals" not in namespace) or names & {"__globals__", "f_globals", "getmodule"}:
        return True
    if own in names and own == "__main__":
        return True
    return bool(names & _FINDERS) and bool({"__name__", "__module__"} & names or own in _texts(code))


def _texts(code: CodeType) -> Iterator[str]:
    """The texts in a code and in any within it, without its docstring."""
    documented, before = docstring(code), None
    for constant in code.co_consts:
        is_name = isinstance(before, CodeType) and sys.version_info < (3, 11)  # there a code's name stands after it
        if isinstance(constant, CodeType):
            yield from _texts(constant)
        elif constant is not documented and not is_name:
            yield from _strings(constant)
        before = constant


def _texts_of_globals(namespace: dict[str, Any], used: frozenset[str]) -> Iterator[str]:
    for name in used:
        yield from _strings(namespace.get(name))


def _strings(value: Any) -> Iterator[str]:
    if type(value) is str:
        yield value
    elif type(value) in (list, tuple, set, frozenset, dict):
        yield from (each for each in [*value, *(value.values() if type(value) is dict else ())] if type(each) is str)


def _named_in_part(texts: list[str], namespace: dict[str, Any]) -> set[str]:
    """The names of which a text is the beginning or the end: they are put together."""
    parts = [text for text in texts if len(text) >= _SHORTEST_PART and text.isidentifier()]
    return {name for name in _whole(namespace) for part in parts if name.startswith(part) or name.endswith(part)}


def _whole(namespace: dict[str, Any]) -> list[str]:
    """All that code may find in a namespace which it goes through, but tables and arrays."""
    own = (name for name in namespace if not name.startswith("_") and name not in _OF_PROMPTS)
    return [name for name in own if not is_bulk(type(namespace[name]))]


def _in_language(text: str) -> list[str]:
    found = _IN_QUERY.findall(text) + _IN_SQL.findall(text)
    return found + (_IN_FORMULA.findall(text) if "~" in text else [])
