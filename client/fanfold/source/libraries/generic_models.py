"""Classes that pydantic makes of a generic one, as `Page[Item]`: it keeps them, and gives the same one each time."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from fanfold.source.instances import call

if TYPE_CHECKING:
    from fanfold.source.graph import Graph


def describe(graph: Graph, made: Any) -> Any:
    """The node of such a class, which its generic one is asked for again; None for any other."""
    known = vars(made)["__pydantic_generic_metadata__"]
    generic, arguments = known["origin"], known["args"]
    if generic is None:
        return None
    given = arguments[0] if len(arguments) == 1 else arguments
    if generic[given] is not made:
        return None
    graph.note_lane("source", made.__qualname__, "a class", 0, made.__module__)
    return call(graph, operator.getitem, generic, given)
