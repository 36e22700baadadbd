"""The files that objects in a UDF's code open by themselves: a dataset or a file system at the top of its module.

As `codec.handles` says it of arguments. Where such an object holds its texts in the graph is found from its own node.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from fanfold.codec.handles import noted_paths
from fanfold.codec.paths import texts_in

#: What is data of an object: a function that it holds has texts of its own, which are code.
_DATA = frozenset({"list", "tuple", "set", "frozenset", "dict", "value", "call", "cell"})
_WITHIN = ("args", "state", "items", "pairs", "attributes")


def opened_paths(objects: list[Any], number_of: Callable[[Any], Any], nodes: list[Any], spaces: list[Any]) -> str:
    """The paths that objects of libraries open, as text of their tags; none where there are none.

    Texts that stand elsewhere in the code count where a file system is in use that may be asked for them.
    """
    numbers = [number for each in objects if isinstance(number := number_of(each), int)]
    named = list(_texts(numbers, nodes))
    constants = [value for space in spaces for value in dict(space.get("globals") or {}).values()]
    beside = list(_texts([*constants, *(n for n, node in enumerate(nodes) if node and node[0] in _DATA)], nodes))
    paths = noted_paths(objects, named, beside)
    return json.dumps([{"$path": path} for path in paths]) if paths else ""


def _texts(refs: list[Any], nodes: list[Any]) -> Iterator[str]:
    """The texts in what some references lead to."""
    waiting, seen = list(refs), set()
    while waiting:
        ref = waiting.pop()
        if isinstance(ref, list):  # a literal
            yield from (each for each in ref if isinstance(each, str))
        elif isinstance(ref, int) and ref not in seen:
            seen.add(ref)
            kind, *content = nodes[ref] or [""]
            if kind == "value":
                yield from texts_in(json.loads(content[0]))
            elif kind in _DATA:
                waiting += _refs(kind, content[0])


def _refs(kind: str, content: Any) -> list[Any]:
    if kind == "call":
        within = [content[name] for name in _WITHIN if name in content]
        named = list(content.get("kwargs", {}).values())
        return named + [each for part in within for each in (_flat(part) if isinstance(part, list) else [part])]
    return _flat(content) if isinstance(content, list) else [content]


def _flat(refs: list[Any]) -> list[Any]:
    """References that stand singly and in pairs: a literal is a list of one that is none."""
    found: list[Any] = []
    for each in refs:
        is_pair = isinstance(each, list) and len(each) == 2
        found += each if is_pair else [each]
    return found
