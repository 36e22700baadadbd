"""What a loaded module of the project holds by now, where its file would not give the same again."""

from __future__ import annotations

import ast
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from fanfold.codec.registry import is_bulk
from fanfold.source import refusals
from fanfold.source.changes import changed_names
from fanfold.source.expression import PutBlob, encoded
from fanfold.source.held import Held, by_module
from fanfold.source.origin import Source
from fanfold.source.reading import statements
from fanfold.source.refusals import Usage
from fanfold.source.scope import bindings, names_in


class Settled(NamedTuple):
    """The values that travel with a module, as the codec's text by key, and where in its text each stands."""

    values: dict[str, str]
    given: dict[ast.expr, str]
    afterwards: list[str]


def settled(
    source: Source,
    namespace: dict[str, Any],
    put_blob: PutBlob,
    *,
    mentioned: AbstractSet[str],
    directly: AbstractSet[str],
) -> Settled:
    """What has to travel of the names that any code mentions.

    Raises `CaptureError` where a value cannot and the code that uses the project mentions it itself, `directly`.
    """
    found = Settled({}, {}, [])
    for held in by_module(source, namespace):
        owner, _, attribute = held.name.rpartition(".")
        if mentioned.isdisjoint((attribute, owner.partition(".")[0])):
            continue
        differs = held.differs(namespace)
        # A table that a module has loaded, it can load again.
        if differs is False or (differs is None and is_bulk(type(held.value))):
            continue
        text = encoded(held.value, put_blob, held.name)
        if text is not None:
            found.values[held.key] = text
            if held.in_place and held.expression is not None:
                found.given[held.expression] = held.key
            else:
                found.afterwards.append(f"\n{held.name} = {held.key}")
        elif differs and attribute in directly and not (held.may_start_anew or _is_its_own_doing(held, source)):
            raise refusals.changed(Usage(source.path, source.tree, held.name), held.name, held.value, held.expression)
    return found


def _is_its_own_doing(held: Held, source: Source) -> bool:
    """Whether the module's code, executed from its first line to its last, may itself have made the difference."""
    if held.name.rpartition(".")[2] in changed_names(source.tree):
        return True
    binders = bindings(statements(source))
    for name in names_in([held.expression]):
        lines = [place.node.lineno for place in binders.get(name, ())]
        # One that is bound again, or only later, stands for something else by the end.
        if len(lines) > 1 or (lines and lines[0] > held.expression.lineno):  # type: ignore[union-attr]
            return True
    return "*" in binders
